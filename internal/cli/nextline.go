package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/spf13/cobra"
)

// situation returns the situation of a command that works on the account; nil is an account that was not opened.
func (a *app) situation(acc *account) situation {
	at := situation{config: a.config, flags: a.flags, params: a.loginFlags, serving: a.serveFlags}
	at.command = ownCommand(a.command)
	if acc != nil {
		at.config, at.auth0 = acc.config, acc.provider.Auth0()
	}
	at.server = a.server
	if at.config == nil {
		return at
	}
	_, at.session = known.Recall(at.config.StateDir, at.config.Name())
	all, _ := sessionsOf(at.config.StateDir, at.config.Profile) // without them there is less to say
	for _, k := range all {
		if k.Name() != at.config.Name() {
			at.others = append(at.others, k)
		}
	}
	at.profiles, _ = config.Profiles(config.Input{Environ: a.env})
	return at
}

// ownCommand returns a command as a person writes it after loopkey; "" for a tool's own command, which is no line to
// run, and for one whose arguments are not repeated.
func ownCommand(cmd *cobra.Command) string {
	if cmd == nil || !cmd.HasParent() {
		return ""
	}
	switch parent := cmd.Parent(); {
	case parent == cmd.Root():
		return cmd.Name()
	case parent.Name() == "keys":
		return "keys " + cmd.Name()
	}
	return ""
}

// line returns the command line that runs a command of loopkey for the same session: with the flags that this command
// was given, and for a login with what an earlier login was told and no configuration says. set are flags and their
// values in place of these; an empty value leaves the flag out.
func (at situation) line(command string, set ...string) string {
	flags := map[string]string{}
	for _, name := range []string{
		"profile", "domain", "issuer", "client-id", "client-secret-file", "client-key", "client-certificate",
		"client-certificate-key", "base-url", "port", "discovery-url", "keystore",
	} {
		flags[name] = at.flags[name]
	}
	if command == at.command || command == "login" {
		flags["audience"] = at.flags["audience"]
		if command == at.command || slices.Contains(strings.Fields(at.flags["scope"]), "openid") {
			flags["scope"] = at.flags["scope"]
		}
	}
	if command == "login" && at.server == "" {
		at.addLastLogin(flags)
	}
	if c := at.config; c != nil && flags["profile"] == "" && c.Origin("profile") == "flag --profile" {
		flags["profile"] = c.Profile // of one session among several, which the person did not name
	}
	for i := 0; i+1 < len(set); i += 2 {
		flags[set[i]] = set[i+1]
	}
	line := append([]string{"loopkey"}, strings.Fields(command)...)
	if at.server != "" && (command == "login" || command == "logout") {
		line = []string{"loopkey", "mcp", command, quote(at.server)}
		flags["scope"] = at.flags["scope"]
	}
	known := config.Flags(false)
	if command == "login" || command == "logout" || command == "serve" {
		known = append(known, config.BrowserFlags()...)
		for _, f := range config.BrowserFlags() {
			flags[f.Name] = at.flags[f.Name]
		}
	}
	for _, f := range known {
		switch value := flags[f.Name]; {
		case value == "":
		case f.Value == "bool" && value == "true":
			line = append(line, "--"+f.Name)
		case f.Value == "bool":
			line = append(line, "--"+f.Name+"="+quote(value))
		case f.Short != "":
			line = append(line, "-"+f.Short, quote(value))
		default:
			line = append(line, "--"+f.Name, quote(value))
		}
	}
	if command == "login" && (at.command == "login" || at.command == "setup") {
		line = append(line, at.params...)
	}
	return strings.Join(line, " ")
}

// setting returns the line that gives a key of the profile a value; "" takes it out.
func (at situation) setting(key, value string) string {
	at.flags = map[string]string{"profile": at.flags["profile"]}
	return strings.Replace(at.line("config set"), "config set", "config set "+key+" "+words.Shell(value), 1)
}

// oneAudience returns the line of a login that asks for one audience: the configured one, or else the first of those
// that the hosts of the profile name.
func (at situation) oneAudience() string {
	var set []string
	if c := at.config; c != nil && c.Audience == "" && len(c.Audiences) > 0 {
		set = []string{"audience", c.Audiences[0]}
	}
	return at.login("--one-audience", set...)
}

// login returns the line of a login with one more flag, in place of what was given and does not go with it: a login on
// another device has no parameters of the authorization request (RFC 8628).
func (at situation) login(flag string, set ...string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(flag, "=false"), " ")
	byCode := name == "--device"
	at.params = slices.DeleteFunc(slices.Clone(at.params), func(given string) bool {
		given, _, _ = strings.Cut(strings.TrimSuffix(given, "=false"), " ")
		return given == name && name != "--param" || given == "--device" && !slices.Contains(forDevices(), name) ||
			byCode && !slices.Contains(forDevices(), given)
	})
	if byCode {
		set = append(set, "browser-profile", "", "private", "")
	}
	return at.line("login", set...) + " " + flag
}

// forDevices are the flags of a login that go with --device.
func forDevices() []string {
	return []string{"--dpop", "--one-audience", "--session-max-age", "--session-idle", "--timeout"}
}

// byBrowser returns the line of a login through the browser, where one on another device was asked for.
func (at situation) byBrowser() string {
	at.params = slices.DeleteFunc(slices.Clone(at.params), func(given string) bool { return given == "--device" })
	return at.line("login")
}

// addLastLogin adds what only the last login says: a command finds it again, and a new login does not look for it.
func (at situation) addLastLogin(flags map[string]string) {
	c := at.config
	if c == nil || c.Origin("issuer") != config.LastLogin {
		return
	}
	if host, ok := strings.CutPrefix(c.Issuer, "https://"); ok && c.Auth0 {
		flags["domain"] = strings.TrimSuffix(host, "/")
	} else {
		flags["issuer"] = c.Issuer
	}
	flags["client-id"] = c.ClientID
	for name, value := range map[string]string{
		"base-url": c.BaseURL, "keystore": c.Keystore, "discovery-url": c.DiscoveryURL,
	} {
		usual := value == localurl.Default || value == keystores.Default || strings.Contains(value, ":") && name == "keystore"
		if c.Origin(name) == config.LastLogin && !usual {
			flags[name] = value
		}
	}
}

// quote returns a word as a shell reads it back.
func quote(word string) string { return words.Shell(words.Printable(word)) }

// notLoggedIn says what to do where nobody is logged in: under another name, at another issuer, or at all.
func (at situation) notLoggedIn() string {
	c := at.config
	if c == nil {
		return "run " + at.line("login")
	}
	if at.meantProfile() != "" || c.Issuer == "" || c.ClientID == "" {
		return at.incomplete()
	}
	where := ""
	origin := c.Origin("issuer")
	if c.FromDotEnv("issuer") || strings.HasSuffix(origin, " in the environment") && len(at.others) > 0 {
		where = "that is at " + words.Printable(c.Issuer) + ", which " + origin + " names: "
	}
	advice := where + "run " + at.line("login")
	if where != "" && len(at.others) > 0 {
		other := at.others[0]
		advice += "; for the session at " + words.Printable(other.Issuer) + " run " +
			at.again("issuer", other.Issuer, "client-id", other.ClientID, "domain", "")
	}
	return advice
}

// meantProfile returns the profile that may have been meant where one was named that there is not; otherwise "".
func (at situation) meantProfile() string {
	if at.config == nil || at.config.Origin("profile") == "default" || slices.Contains(at.profiles, at.config.Profile) {
		return ""
	}
	return similar(at.config.Profile, at.names())
}

// incomplete says what to do where no issuer or no client ID is configured.
func (at situation) incomplete() string {
	if meant := at.meantProfile(); meant != "" {
		where := ""
		if at.flags["profile"] == "" {
			where = words.Printable(at.config.Origin("profile")) + " names that profile: "
		}
		return where + "did you mean " + at.again("profile", meant) + "?"
	}
	missing := "--domain (or --issuer) and --client-id"
	switch c := at.config; {
	case c != nil && c.Issuer != "":
		missing = "--client-id"
	case c != nil && at.flags["profile"] == "" && len(at.names()) > 0:
		names := at.names()
		which := "use the profile "
		if len(names) > 1 {
			which = "choose one of the profiles "
		}
		return which + words.Printable(strings.Join(names, ", ")) + ": run " + at.again("profile", at.likeliest(names))
	}
	return "run " + at.line("setup") + ", or give " + missing
}

// likeliest returns the first of several profiles under which a login is noted, or else the first.
func (at situation) likeliest(names []string) string {
	for _, name := range names {
		if noted, _ := sessionsOf(at.config.StateDir, name); len(noted) > 0 {
			return name
		}
	}
	return names[0]
}

// names returns the profiles that there are, but for the current one.
func (at situation) names() []string {
	return slices.DeleteFunc(slices.Clone(at.profiles), func(name string) bool { return name == at.config.Profile })
}

// again returns the line of the command that failed, with other flags.
func (at situation) again(set ...string) string {
	command := at.command
	if command == "" || command == "exec" { // its own arguments are not repeated
		command = "token"
	}
	if command == "serve" {
		return at.serveAgain(set...)
	}
	return at.line(command, set...)
}

// serveAgain returns the line that starts the loopkey serve which failed anew. Where one is running, line("serve") is
// enough: that opens what the running one serves.
func (at situation) serveAgain(set ...string) string {
	return strings.Join(append([]string{at.line("serve", set...)}, at.serving...), " ")
}

// named returns a line that names the client of the session.
func (at situation) named() string {
	if at.config == nil {
		return at.line("token")
	}
	return at.line("token", "domain", "", "issuer", at.config.Issuer, "client-id", at.config.ClientID)
}

// kept says that nothing was lost, where there is something to lose.
func (at situation) kept() string {
	if at.session {
		return "; the session is kept"
	}
	return ""
}

// unreachable says what to do where the provider can't be reached. Of the address it says who named it, unless a
// session shows that it was right.
func (at situation) unreachable() string {
	switch {
	case at.session:
		return "try again when the provider can be reached" + at.kept()
	case at.config == nil || at.config.Issuer == "":
		return "check the spelling, or try again when the provider can be reached"
	}
	return "check the issuer " + words.Printable(at.config.Issuer) + " (" + at.config.Origin("issuer") +
		"), or try again when the provider can be reached"
}

// entry returns the lines of config.toml that list a server.
func (at situation) entry(server string) string {
	if server == "" {
		return " an entry can be for https, and for http on this machine"
	}
	return "\n  [[" + config.TableOf(at.profile()) + ".hosts]]\n  host = " + strconv.Quote(words.Printable(server))
}

// nextPort returns the port after the one of the local server: one to choose where that can't be had.
func (at situation) nextPort() string {
	port := localurl.Port(at.base()) + 1
	if port <= 1024 || port > 65535 { // for administrators
		port = localurl.BasePort(localurl.Default) + 1
	}
	return strconv.Itoa(port)
}

// nextCallback returns the callback URL at nextPort.
func (at situation) nextCallback() string {
	port, _ := strconv.Atoi(at.nextPort()) // can't fail
	base := localurl.Default
	if at.config != nil && at.config.BaseURL != "" {
		base = at.config.BaseURL
	}
	return localurl.At(localurl.WithPort(base, port), login.CallbackPath)
}

// anotherProfile says how to get a token that is bound to no key, where the profile or its last login wants bound ones.
func (at situation) anotherProfile() string {
	if at.config != nil && at.config.Origin("dpop") == config.LastLogin {
		return "the last login bound its tokens: use another profile for it (-p NAME), or run " + at.login("--dpop=false")
	}
	return "use another profile for it (-p NAME), without dpop"
}
