package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/newprofile"
	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// profileFlags are the flags of setup without a tool.
type profileFlags struct {
	yes, noLogin, register bool
	name                   string
	login                  loginFlags
}

// A wizard sets up a profile.
type wizard struct {
	*app
	flags   profileFlags
	asks    bool           // the person is asked for what no flag gives
	config  *config.Config // of the flags, the environment and the profile as it is
	profile string
	values  []config.Assignment // what the profile is to have

	team             *newprofile.Team   // of --from; nil: the person gives the values
	address          newprofile.Address // of a flag, where that may mean several issuers
	issuer, clientID string
}

// open reads what the flags and the environment give.
func (w *wizard) open() (err error) {
	w.isolated = true // a profile is for all folders
	if err := w.correctAddress(); err != nil {
		return err
	}
	if w.config, err = w.configure(); err != nil {
		return err
	}
	if w.config.File == "" {
		return fmt.Errorf("%w: there is no place for config.toml: set LOOPKEY_CONFIG to its path", errUsage)
	}
	w.profile = w.config.Profile
	return nil
}

// setUpProfile makes a profile, or changes one, and logs in with it.
func (a *app) setUpProfile(ctx context.Context, f profileFlags) error {
	w := &wizard{app: a, flags: f, asks: a.terminal.Interactive()}
	if err := w.open(); err != nil {
		return err
	}
	return w.run(ctx)
}

// run goes through the steps: the provider, the application, the profile, the login.
func (w *wizard) run(ctx context.Context) error {
	given := w.config.Given("issuer") && (w.config.Given("client-id") || w.flags.register)
	if !w.asks && !given {
		return fmt.Errorf("%w: there is no terminal to ask on: give --domain (or --issuer) and --client-id, or --register "+
			"in place of that", errUsage)
	}
	if w.asks && !given {
		w.say("This sets up a profile: the provider that you log in to,\nand the application there.\n")
	}
	p, err := w.chooseProvider(ctx)
	if err != nil {
		return err
	}
	client, err := w.chooseApplication(ctx, p)
	if err != nil {
		return err
	}
	if w.asks && !given {
		if err := w.askRest(ctx, p); err != nil {
			return err
		}
	}
	if err := w.chooseKeystore(ctx); err != nil {
		return err
	}
	if err := w.assign(p, client); err != nil {
		return err
	}
	if err := w.writeProfile(ctx); err != nil {
		return err
	}
	return w.finish(ctx)
}

// askRest asks for what a login need not have.
func (w *wizard) askRest(ctx context.Context, p *chosenProvider) error {
	if p.auth0 && !w.config.Given("audience") {
		audience, err := w.ask(ctx, "Identifier of the API that you want tokens for (Enter: none)", w.config.Audience)
		if err != nil {
			return err
		}
		w.config.Audience = audience
	}
	for !w.config.ProfileNamed() {
		name, err := w.ask(ctx, "Name of the profile", w.profile)
		if err != nil {
			return err
		}
		if _, err = config.Edit(nil, name); err == nil {
			w.profile = name
			break
		}
		w.sayFailure(err)
	}
	if p.places.HasSecret && !w.config.Given("client-secret") && w.app.flags["client-secret-file"] == "" {
		const question = "Client secret (it is not shown, and goes into a file of its own; Enter: none): "
		secret, err := w.terminal.Password(ctx, question)
		if err != nil {
			return err
		}
		if err := w.keepSecret(strings.TrimSpace(secret)); err != nil {
			return err
		}
	}
	return nil
}

// chooseKeystore asks whether sessions should rest in an encrypted file, where this machine has no keychain. One that
// is locked is one.
func (w *wizard) chooseKeystore(ctx context.Context) error {
	if !w.asks || w.config.Given("keystore") || w.config.Keystore != keystores.Default {
		return nil
	}
	store, err := w.openStore(keystores.Default, w.config.StateDir, keychainLimitScript)
	if err != nil {
		return err
	}
	_, err = store.Head(ctx, "setup") // no session has that name
	unavailable := new(keystore.UnavailableError)
	if !errors.As(err, &unavailable) {
		return nil
	}
	switch unavailable.Reason {
	case keystore.ReasonNoBus, keystore.ReasonNoService, keystore.ReasonNoKeychain, keystore.ReasonNoDefault,
		keystore.ReasonNoLogonSession:
	default:
		return nil
	}
	w.say("\nThis machine has no keychain for the session: %s.", words.Printable(unavailable.Why))
	yes, err := w.confirm(ctx, "Use an encrypted file, with a passphrase?", true)
	if yes {
		w.app.flags["keystore"] = keystores.File
	}
	return err
}

// assign notes what the profile is to have.
func (w *wizard) assign(p *chosenProvider, client string) error {
	w.issuer, w.clientID = p.issuer, client
	set := func(key, value string) { w.values = append(w.values, config.Assignment{Key: key, Value: value}) }
	before, exists, err := config.OfProfile(w.input(), w.profile)
	if err != nil {
		return err
	}
	switch byHost := (provider.Config{Issuer: p.issuer}).IsAuth0(); {
	case sameIssuer(before, p) && (before["issuer"] == "" || !p.auth0 || byHost): // it stays as it is written
	case p.auth0:
		set("domain", p.domain())
		set("issuer", "")
	default:
		set("issuer", p.issuer)
		set("domain", "")
	}
	set("client_id", client)
	if w.team != nil && w.team.Value("audience_parameter") != "" {
		set("audience_parameter", w.team.Value("audience_parameter"))
	}
	if w.config.Given("audience") || w.config.Audience != "" {
		set("audience", w.config.Audience)
	}
	if w.config.Given("scope") {
		set("scope", w.config.Scope)
	}
	byPort := w.app.flags["port"] != "" && !w.config.Given("base-url") // then callback_ports says where the server is
	if !byPort && w.config.BaseURL != localurl.Default || before["base_url"] != "" {
		set("base_url", w.config.BaseURL)
	}
	if ports := w.app.flags["port"]; ports != "" {
		set("callback_ports", ports)
	}
	if keystore := w.app.flags["keystore"]; keystore != "" {
		set("keystore", keystore)
	}
	// What the profile leaves to the environment is the same as it was, but for a team's client, which is another.
	leaves := func(key string) bool { return before[key] == "" && (w.team == nil || !exists) }
	moved := !leaves("client_id") && before["client_id"] != client ||
		(!leaves("issuer") || !leaves("domain")) && !sameIssuer(before, p)
	switch file := w.app.flags["client-secret-file"]; {
	case file != "":
		path, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("%w: --client-secret-file: %w", errUsage, err)
		}
		set("client_secret_file", path)
		set("client_secret", "")
	case moved: // it is another client's
		set("client_secret_file", "")
		set("client_secret", "")
	}
	switch {
	case w.config.Given("discovery-url"):
		set("discovery_url", w.config.DiscoveryURL)
	case moved:
		set("discovery_url", "")
	}
	return nil
}

// sameIssuer reports whether a profile is for the issuer of p already.
func sameIssuer(before map[string]string, p *chosenProvider) bool {
	if before["issuer"] != "" {
		return before["issuer"] == p.issuer
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(before["domain"]), "https://"), "/") == p.domain()
}

// writeProfile writes the profile into config.toml, after it has shown what changes. Where there is such a profile
// already, and it says otherwise, the person is asked.
func (w *wizard) writeProfile(ctx context.Context) error {
	before, exists, err := config.OfProfile(w.input(), w.profile)
	if err != nil {
		return err
	}
	listed := w.hostsText()
	change, err := setup.PlanText(w.config.File, func(content string) (string, error) {
		after, err := config.Edit([]byte(content), w.profile, w.values...)
		if err != nil || listed == "" {
			return string(after), err //nolint:wrapcheck // PlanText names the file
		}
		return addHosts(string(after), listed, w.profile)
	})
	if err != nil {
		return fmt.Errorf("%w: add these lines by hand:\n%s%s", err,
			strings.Join(w.lines(map[string]string{}), "\n"), listed)
	}
	if change.IsEmpty() {
		w.say("The profile %s in %s is as it should be.", w.profile, words.Printable(change.Path))
		return nil
	}
	w.say("In %s:", words.Printable(change.Path))
	w.say("  [%s]", config.TableOf(w.profile))
	for _, line := range w.lines(before) {
		w.say("%s", words.Printable(line))
	}
	for line := range strings.Lines(listed) {
		w.say("+ %s", words.Printable(strings.TrimSuffix(line, "\n")))
	}
	if exists && len(before) > 0 {
		question := "Change the profile " + w.profile + " so?"
		if yes, err := w.confirm(ctx, question, false); err != nil {
			return err
		} else if !yes && !w.asks {
			return fmt.Errorf("%w: there is a profile %s already, and it says otherwise: --yes changes it, --profile names "+
				"another", errUsage, w.profile)
		} else if !yes {
			return fmt.Errorf("%w: the profile %s stays as it is: --profile names another", errDeclined, w.profile)
		}
	}
	backup, err := change.Write()
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	if backup != "" {
		w.say("Written. The file as it was is %s.", words.Printable(backup))
	} else {
		w.say("Written.")
	}
	return nil
}

// lines returns what changes of a profile's values. A secret is not shown.
func (w *wizard) lines(before map[string]string) []string {
	var lines []string
	for _, v := range w.values {
		old := before[v.Key]
		if old == v.Value {
			continue
		}
		if old != "" {
			lines = append(lines, "- "+v.Key+" = "+config.Assignment{Key: v.Key, Value: old}.TOML())
		}
		if v.Value != "" {
			lines = append(lines, "+ "+v.Key+" = "+v.TOML())
		}
	}
	return lines
}

// finish logs in with the profile, and says what to do with it.
func (w *wizard) finish(ctx context.Context) error {
	a, of := w.app, ""
	a.flags = map[string]string{}
	cfg, err := a.configure()
	if err == nil && cfg.Profile != w.profile {
		a.flags["profile"], of = w.profile, " -p "+w.profile
		cfg, err = a.configure()
	}
	if err != nil {
		return err
	}
	for _, beaten := range []struct{ name, is, wanted string }{
		{"issuer", cfg.Issuer, w.issuer}, {"client-id", cfg.ClientID, w.clientID},
		{"audience", cfg.Audience, cmp.Or(w.config.Audience, cfg.Audience)},
	} {
		if beaten.is != beaten.wanted {
			w.say("%s is used in place of the profile's: unset it.", words.Sentence(cfg.Origin(beaten.name)))
			a.flags[beaten.name] = beaten.wanted
		}
	}
	if !w.flags.noLogin {
		w.say("\nNow the first login.")
		w.flags.login.timeout = cmp.Or(w.flags.login.timeout, 3*time.Minute)
		if err := a.runLogin(ctx, w.flags.login); err != nil {
			return err
		}
	}
	first := [2]string{"token", "a fresh access token"}
	if w.flags.noLogin {
		first = [2]string{"login", "log in"}
	}
	w.say("\nDone. From now on:")
	for _, line := range [][2]string{
		first, {"exec%s -- COMMAND", "a command with the token in ACCESS_TOKEN"}, {"logout", "ends the session everywhere"},
	} {
		command := "loopkey " + line[0] + of
		if strings.Contains(line[0], "%s") {
			command = "loopkey " + fmt.Sprintf(line[0], of)
		}
		w.say("  %-*s  # %s", len("loopkey exec -- COMMAND")+len(of), command, line[1])
	}
	if of != "" {
		w.say("`loopkey switch %s` makes this the profile of commands without -p.", w.profile)
	}
	return nil
}

// urls returns what an application has to allow.
func (w *wizard) urls() newprofile.URLs {
	var urls newprofile.URLs
	base := cmp.Or(w.config.BaseURL, localurl.Default)
	for _, port := range w.config.Ports() {
		if port == 0 { // any: a provider that takes that compares no ports
			port = localurl.BasePort(base)
		}
		at := localurl.WithPort(base, port)
		if callback := localurl.At(at, login.CallbackPath); !slices.Contains(urls.Callbacks, callback) {
			urls.Callbacks, urls.Logouts = append(urls.Callbacks, callback), append(urls.Logouts, at)
		}
	}
	return urls
}
