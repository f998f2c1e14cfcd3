package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

type logoutFlags struct{ local, all, noBrowser bool }

func (a *app) logout() *cobra.Command {
	var f logoutFlags
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Log out here and at the provider",
		Long: `Revokes the refresh token, ends the provider's session in your browser, and
deletes the session here, which happens whatever the provider says. Exits 1 if
something could not be done at the provider.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runLogout(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.local, "local", false, "delete the session here and leave the provider alone")
	flags.BoolVar(&f.all, "all", false, "log out of every profile")
	a.browserFlags(flags)
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the provider's logout URL instead of opening it")
	return cmd
}

func (a *app) runLogout(ctx context.Context, f logoutFlags) error {
	if f.all {
		return a.logoutAll(ctx, f)
	}
	cfg, err := a.sessionConfig()
	if errors.Is(err, session.ErrNotLoggedIn) {
		deleted, err := a.endClients(ctx, cfg)
		err = cmp.Or(err, a.sayDamaged(cfg.StateDir, cfg.Profile))
		if !deleted && err == nil {
			a.say("Nobody was logged in under profile %q.", cfg.Profile)
		}
		a.sayOthers(cfg)
		return err
	}
	if err != nil {
		return err
	}
	_, failed := a.endClients(ctx, cfg)
	err = a.logoutOf(ctx, cfg, f)
	a.sayOthers(cfg)
	return cmp.Or(err, failed)
}

// endClients deletes the tokens that clients of the profile got for themselves, with nobody logged in, also those of a
// client that a command was once given. Where this command is given one, it is about that client alone.
func (a *app) endClients(ctx context.Context, cfg *config.Config) (deleted bool, err error) {
	if cfg.Given("issuer") || cfg.Given("client-id") {
		return a.endClientsIf(ctx, cfg, func(k known.Client) bool { return k.Name() == cfg.Name() })
	}
	deleted, err = a.endClientsIf(ctx, cfg, func(k known.Client) bool { return k.Profile == cfg.Profile })
	return deleted, cmp.Or(err, a.sayDamagedTokens(cfg.StateDir, cfg.Profile))
}

// endClientsIf is endClients for the clients that are wanted.
func (a *app) endClientsIf(
	ctx context.Context, cfg *config.Config, wanted func(known.Client) bool,
) (deleted bool, err error) {
	all, err := known.WithTokens(cfg.StateDir)
	if err != nil {
		return false, err
	}
	for _, note := range known.DamagedTokens(cfg.StateDir) {
		if of, ok := a.clientOf(note, cfg); ok {
			all = append(all, of)
		}
	}
	before := a.opened
	defer func() { a.opened = before }()
	for _, k := range all {
		if !wanted(k) {
			continue
		}
		if failed := a.endClient(ctx, k, cfg); failed != nil {
			err = cmp.Or(err, failed)
			continue
		}
		deleted = true
		a.say("Deleted the tokens that the client %s at %s got for itself.",
			words.Printable(k.ClientID), words.Printable(k.Issuer))
	}
	return deleted, err
}

// clientOf returns the client whose tokens a damaged note is about, if that is the configured one or its profile's.
func (a *app) clientOf(note known.DamagedNote, own *config.Config) (known.Client, bool) {
	if own.Name() == note.Name {
		return own.Client, own.Complete() == nil
	}
	cfg, err := config.Load(config.Input{Flags: map[string]string{"profile": note.Profile}, Environ: a.env, Alone: true})
	if err != nil || cfg.Name() != note.Name {
		return known.Client{}, false
	}
	return cfg.Client, cfg.Complete() == nil
}

// endClient deletes the tokens of one client. That takes no secret: what became of it is no matter.
func (a *app) endClient(ctx context.Context, k known.Client, cfg *config.Config) error {
	of, err := a.configOf(k, cfg)
	if err != nil {
		return err
	}
	for _, place := range k.Keystores() {
		acc, err := a.openWith(inKeystore(of, place), "", keychainLimitPerson)
		if err == nil {
			err = acc.session.EndClient(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sayOthers says which sessions the profile of a logout has beside the one that it ended.
func (a *app) sayOthers(cfg *config.Config) {
	others, err := sessionsOf(cfg.StateDir, cfg.Profile)
	if err != nil {
		return
	}
	named := ""
	if cfg.ProfileNamed() {
		named = cfg.Profile
	}
	for _, k := range others {
		if k.Name() != cfg.Name() {
			a.say("Profile %q is still logged in at %s (client %s). To log out there too, run:\n  %s",
				k.Profile, words.Printable(k.Issuer), words.Printable(k.ClientID),
				a.logoutLine("profile", named, "issuer", k.Issuer, "client-id", k.ClientID))
		}
	}
}

// logoutLine returns the line of a logout of another client than the command's, so without what is that one's own.
func (a *app) logoutLine(set ...string) string {
	return situation{flags: map[string]string{"keystore": a.flags["keystore"]}}.line("logout", set...)
}

// logoutAll logs out of every client that is logged in, and of the configured one. Each resolves by itself, so that its
// refresh token is revoked by its own client.
func (a *app) logoutAll(ctx context.Context, f logoutFlags) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	all, err := known.All(cfg.StateDir)
	if err != nil {
		return err
	}
	isKnown := func(c known.Client) bool { return c.Name() == cfg.Name() }
	if cfg.Complete() == nil && !cfg.CompletedByDotEnv() && !slices.ContainsFunc(all, isKnown) {
		all = append(all, cfg.Client)
	}
	damaged := a.sayDamaged(cfg.StateDir, "")
	deleted, err := a.endClientsIf(ctx, cfg, func(known.Client) bool { return true })
	err = cmp.Or(err, a.sayDamagedTokens(cfg.StateDir, ""))
	if len(all) == 0 && damaged == nil {
		if !deleted && err == nil {
			a.say("Nobody was logged in.")
		}
		return err
	}
	type logout struct {
		known   known.Client
		config  *config.Config
		endings []*ending
		err     error
	}
	var logouts []*logout
	var endings []*ending
	for _, k := range all {
		a.server = k.Server
		l := &logout{known: k}
		if l.config, l.err = a.configOf(k, cfg); l.err == nil {
			l.endings = a.endingsOf(ctx, l.config)
			endings = append(endings, l.endings...)
		}
		logouts = append(logouts, l)
	}
	a.endAll(ctx, endings, f.local)
	failed := []error{damaged, err}
	for _, l := range logouts {
		a.server = l.known.Server
		if l.err == nil {
			l.err = a.reportEndings(ctx, l.config, l.endings, f)
		}
		if l.err != nil && !errors.Is(l.err, errPartly) {
			sentence, _ := a.explain(l.err)
			a.say("%s: %s", sessionOf(l.known), sentence)
		}
		failed = append(failed, l.err)
	}
	a.server = ""
	err = errors.Join(failed...)
	if err == nil {
		return nil
	}
	return &partlyError{err}
}

// sayDamaged says which notes of sessions can't be read, those of one profile or of all (""), and returns errPartly if
// there are any: those sessions may still be there.
func (a *app) sayDamaged(stateDir, profile string) error {
	return a.sayNotes(known.Damaged(stateDir), profile, "profile %q may still be logged in")
}

// sayDamagedTokens is sayDamaged for the tokens that clients got for themselves.
func (a *app) sayDamagedTokens(stateDir, profile string) error {
	return a.sayNotes(known.DamagedTokens(stateDir), profile,
		"tokens that a client under profile %q got for itself may still be here")
}

func (a *app) sayNotes(damaged []known.DamagedNote, profile, may string) error {
	damaged = slices.DeleteFunc(damaged, func(n known.DamagedNote) bool { return profile != "" && n.Profile != profile })
	for _, note := range damaged {
		a.say("The note %s can't be read,\nso "+may+": run %s,\nwith --issuer and --client-id where the profile has none.",
			words.Printable(note.Path), words.Printable(note.Profile), a.logoutLine("profile", note.Profile))
	}
	if len(damaged) > 0 {
		return errPartly
	}
	return nil
}

// logoutOf logs out of the client that a configuration names, in its keystore and in all others where a login of the
// client was noted.
func (a *app) logoutOf(ctx context.Context, cfg *config.Config, f logoutFlags) error {
	endings := a.endingsOf(ctx, cfg)
	a.endAll(ctx, endings, f.local)
	return a.reportEndings(ctx, cfg, endings, f)
}

// reportEndings says what became of a client's sessions, and has the browser end the provider's once.
func (a *app) reportEndings(ctx context.Context, cfg *config.Config, endings []*ending, f logoutFlags) error {
	found := false
	var failed []error
	for _, e := range endings {
		wasLoggedIn, err := a.reportEnding(ctx, e, f, found)
		found = found || wasLoggedIn
		failed = append(failed, err)
	}
	err := errors.Join(failed...)
	if err == nil && !found {
		a.say("%s", nobodyWas(cfg))
	}
	return err
}

// nobodyWas says that there was no session to log out of.
func nobodyWas(cfg *config.Config) string {
	if cfg.Server != "" {
		return "Nobody was logged in to " + words.Printable(cfg.Server) + "."
	}
	where := ""
	if cfg.FromDotEnv("issuer") { // the person may not know that it comes with the folder
		where = ", which " + cfg.Origin("issuer") + " names"
	}
	return fmt.Sprintf("Nobody was logged in under profile %q at %s%s.", cfg.Profile, cfg.Issuer, where)
}

// reportEnding says what became of a session. left says that the browser has been at the provider's logout already.
func (a *app) reportEnding(ctx context.Context, e *ending, f logoutFlags, left bool) (wasLoggedIn bool, err error) {
	ended, cfg := e.ended, e.config
	if e.acc != nil {
		a.opened = e.acc // advice is about this one
	}
	if e.err != nil {
		if ended.Revoked {
			a.say("The refresh token is revoked at the provider,\nbut the session could not be deleted here.")
		}
		return ended.WasLoggedIn, e.err
	}
	if !ended.WasLoggedIn {
		return false, nil
	}
	var report logoutReport
	if f.local {
		report.did("deleted here")
	}
	switch {
	case ended.Unreadable != nil:
		report.not("the provider was not told, for the stored session could not be read")
	case f.local:
		report.did("the refresh token, if there was one, stays valid at the provider (--local)")
	default:
		report.revocation(ended)
		if !left && cfg.Resource == "" { // without an ID token there is no hint whose session to end
			a.endProviderSession(ctx, e.acc, ended, e.state, f, &report)
		}
	}
	if !f.local {
		report.did("deleted here")
	}
	if ended.NoteError != nil {
		report.not("the note about the session could not be removed (" + words.Printable(ended.NoteError.Error()) + ")")
	}
	a.say("Logged out of %s: %s.", words.Printable(cmp.Or(cfg.Server, cfg.Issuer)), strings.Join(report.parts, ", "))
	if report.failed {
		return true, errPartly
	}
	return true, nil
}
