package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
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
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the provider's logout URL instead of opening it")
	return cmd
}

func (a *app) runLogout(ctx context.Context, f logoutFlags) error {
	if f.all {
		return a.logoutAll(ctx, f)
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	if err := recall(cfg); errors.Is(err, session.ErrNotLoggedIn) {
		a.say("Nobody was logged in under profile %q.", cfg.Profile)
		return nil
	} else if err != nil {
		return err
	}
	return a.logoutOf(ctx, cfg, f)
}

// logoutAll logs out of every session that a login remembered, and of the configured one.
func (a *app) logoutAll(ctx context.Context, f logoutFlags) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	known, err := session.All(cfg.StateDir)
	if err != nil {
		return err
	}
	if cfg.Complete() == nil && !remembers(known, cfg) {
		known = append(known, knownOf(cfg))
	}
	if len(known) == 0 {
		a.say("Nobody was logged in.")
		return nil
	}
	var failed []error
	for _, k := range known {
		of, err := a.configOf(k)
		if err == nil {
			err = a.logoutOf(ctx, of, f)
		}
		if err != nil && !errors.Is(err, errPartly) {
			_, next := judge(err)
			a.say("%s: %s: %s", k.Profile, words.Printable(err.Error()), next)
		}
		failed = append(failed, err)
	}
	err = errors.Join(failed...)
	if err == nil {
		return nil
	}
	return &partlyError{err}
}

// partlyError is an error that was told already; its exit code is still to be found.
type partlyError struct{ error }

func (e *partlyError) Unwrap() []error { return []error{errPartly, e.error} }

func knownOf(cfg *config.Config) session.Known {
	return session.Known{
		Profile: cfg.Profile, Issuer: cfg.Issuer, ClientID: cfg.ClientID, Auth0: cfg.Auth0,
		AudienceParameter: cfg.AudienceParameter, Keystore: cfg.Keystore, BaseURL: cfg.BaseURL,
	}
}

func remembers(known []session.Known, cfg *config.Config) bool {
	for _, k := range known {
		if k.Profile == cfg.Profile && k.Issuer == cfg.Issuer && k.ClientID == cfg.ClientID {
			return true
		}
	}
	return false
}

// configOf is the configuration of a remembered session: that of its profile, if it still names the same client.
func (a *app) configOf(k session.Known) (*config.Config, error) {
	named := *a
	named.flags = map[string]string{"profile": k.Profile}
	cfg, err := named.configure()
	if err != nil {
		return nil, err
	}
	if cfg.Issuer != k.Issuer || cfg.ClientID != k.ClientID {
		remembered(cfg, k)
	}
	return cfg, nil
}

func (a *app) logoutOf(ctx context.Context, cfg *config.Config, f logoutFlags) error {
	acc, err := a.open(cfg, keychainLimitPerson)
	if err != nil {
		return err
	}
	state := rand.Text()
	ended, err := acc.session.End(ctx, session.EndOptions{Local: f.local, PostLogoutRedirectURI: cfg.BaseURL, State: state})
	if err != nil {
		if ended.Revoked {
			a.say("The refresh token is revoked at the provider, but the session could not be deleted here.")
		}
		return err
	}
	if !ended.WasLoggedIn {
		a.say("Nobody was logged in under profile %q at %s.", cfg.Profile, cfg.Issuer)
		return nil
	}
	var report logoutReport
	if ended.Unreadable != nil {
		report.not("the provider was not told, for the stored session could not be read")
	} else if f.local {
		report.did("the refresh token, if there was one, lives on at the provider (--local)")
	} else {
		report.revocation(ended)
		a.endProviderSession(ctx, acc, ended, state, f, &report)
	}
	report.did("deleted here")
	if ended.NoteError != nil {
		report.not("the note of where it was could not be taken away (" + words.Printable(ended.NoteError.Error()) + ")")
	}
	a.say("Logged out of %s: %s.", cfg.Issuer, strings.Join(report.parts, ", "))
	if report.failed {
		return errPartly
	}
	return nil
}

// endProviderSession has the person's browser end the provider's session (OpenID Connect RP-Initiated Logout 1.0).
func (a *app) endProviderSession(ctx context.Context, acc *account, ended session.Ended, state string, f logoutFlags, report *logoutReport) {
	switch {
	case errors.Is(ended.EndSessionError, provider.ErrNoEndpoint):
		report.did("the provider's own session goes on (it has no logout page)")
		return
	case ended.EndSessionError != nil:
		report.not("the provider's session was not ended (" + words.Printable(ended.EndSessionError.Error()) + ")")
		return
	case noAnswer(ended.RevokeError):
		report.not("the provider's session was not ended (it can't be reached)")
		return
	case f.noBrowser:
		a.say("To end the provider's session too, open:\n%s", ended.EndSessionPlainURL)
		report.did("the provider's session ends when that page is opened")
		return
	}
	if u, err := url.Parse(ended.EndSessionURL); err != nil || u.Query().Get("state") == "" {
		state = "" // Auth0's /v2/logout sends none back
	}
	how, err := a.leave(ctx, acc, webui.Leave{URL: ended.EndSessionURL, PlainURL: ended.EndSessionPlainURL, State: state})
	taken := new(loopback.PortTakenError)
	switch {
	case err == nil:
		report.did(how)
	case errors.As(err, &taken):
		report.not(fmt.Sprintf("the provider's session may not have ended (port %d is taken, so its answer could not be awaited)", taken.Port))
	case errors.Is(err, loopback.ErrTimeout):
		report.not("the provider's session may not have ended (its page did not come back: is " +
			acc.config.BaseURL + " among the allowed logout URLs?)")
	default:
		report.not("the provider's session may not have ended (" + words.Printable(err.Error()) + ")")
	}
}

// leave leads the browser to the provider's logout and back, by the server that holds our port where that is loopkey
// serve, else by one of its own. It returns what has come of it.
func (a *app) leave(ctx context.Context, acc *account, l webui.Leave) (how string, err error) {
	opened := func(target string, err error) {
		if err != nil {
			a.say("No browser was opened (%s). To end the provider's session, go to:", words.Printable(err.Error()))
		} else {
			a.say("Ending the provider's session in your browser. If nothing opens, go to:")
		}
		a.say("%s", target)
	}
	waiting, cancel := loopback.Deadline(ctx, time.Minute)
	defer cancel(nil)
	how, shown := "the provider's session ended", false
	err = webui.HandOffLogout(waiting, webui.HandOffPath(acc.config.StateDir, acc.config.BaseURL), acc.session.Name(), l, func(target string) {
		shown = true
		opened(target, a.browse(waiting, target))
	})
	if shown && l.State == "" { // a browser that comes back to a server of many pages is not told from others
		how = "the provider's session ends in your browser"
	}
	if err == nil || shown || ctx.Err() != nil {
		return how, err
	}
	// No server, or not one for this session: where it holds the port, that is told.
	return how, loopback.EndSession(ctx, loopback.EndSessionConfig{
		BaseURL: acc.config.BaseURL, URL: l.URL, PlainURL: l.PlainURL, State: l.State, OpenBrowser: a.browse, Opened: opened,
		Private: func(target string) (string, error) { return redirectFile(acc.config.StateDir, target) },
	})
}

// noAnswer reports whether there was nobody to talk to: then the browser will find nobody either.
func noAnswer(err error) bool {
	e, ok := errors.AsType[*provider.UnreachableError](err)
	return ok && e.Status == 0
}

// A logoutReport becomes the one line that says what worked.
type logoutReport struct {
	parts  []string
	failed bool
}

func (r *logoutReport) did(part string) { r.parts = append(r.parts, part) }

func (r *logoutReport) not(part string) {
	r.parts = append(r.parts, part)
	r.failed = true
}

func (r *logoutReport) revocation(ended session.Ended) {
	switch {
	case !ended.HadRefresh:
		r.did("no refresh token to revoke")
	case ended.Revoked:
		r.did("refresh token revoked")
	case errors.Is(ended.RevokeError, provider.ErrNoEndpoint):
		r.did("refresh token not revoked (the provider has no revocation)")
	default:
		r.not("refresh token NOT revoked (" + words.Printable(ended.RevokeError.Error()) + ")")
	}
}
