package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/newprofile"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// chooseApplication returns the client ID of an application that allows the local server's URLs, as far as loopkey can
// see to that.
func (w *wizard) chooseApplication(ctx context.Context, p *chosenProvider) (string, error) {
	if w.team != nil { // who wrote the file has made it
		return w.config.ClientID, nil
	}
	if w.config.Given("client-id") {
		return w.config.ClientID, w.allowURLs(ctx, p, w.config.ClientID)
	}
	id := ""
	if w.asks && !w.flags.register {
		proposal, question := p.named, "Client ID of the application there"
		if proposal == "" && w.config.Issuer == p.issuer {
			proposal = w.config.ClientID
		}
		if proposal == "" {
			question += " (Enter: none yet)"
		}
		var err error
		if id, err = w.askClientID(ctx, question, proposal); err != nil {
			return "", err
		}
	}
	if id != "" {
		return id, w.allowURLs(ctx, p, id)
	}
	return w.makeApplication(ctx, p)
}

// askClientID asks for a client ID until one is given that can be one, or none.
func (w *wizard) askClientID(ctx context.Context, question, proposal string) (string, error) {
	for {
		id, err := w.ask(ctx, question, proposal)
		if err != nil || id == "" || newprofile.IsClientID(id) {
			return id, err
		}
		w.say("That is no client ID: it has no spaces, and does not begin with a dash.")
	}
}

// agreed reports whether something may be done at the provider: the person says so, or --register where nobody can be
// asked.
func (w *wizard) agreed(ctx context.Context, question string) (bool, error) {
	if w.flags.register && !w.asks {
		return true, nil
	}
	return w.confirm(ctx, question, true)
}

// makeApplication makes an application: by the auth0 program, by dynamic registration, or with the person's hands.
func (w *wizard) makeApplication(ctx context.Context, p *chosenProvider) (string, error) {
	if id, err := w.makeByItself(ctx, p); id != "" || err != nil {
		return id, err
	}
	if !w.asks {
		return "", fmt.Errorf("%w: loopkey can't make an application at %s: make one (%s), and give its --client-id",
			errUsage, words.Printable(p.issuer), p.places.Make)
	}
	w.say("\nMake an application: %s.", p.places.Make)
	w.sayPlaces(p, "")
	for {
		if id, err := w.askClientID(ctx, "Its client ID", ""); id != "" || err != nil {
			return id, err
		}
	}
}

// makeByItself makes an application without the person's hands, where that can be done and the person agrees. The ID is
// "" where not.
func (w *wizard) makeByItself(ctx context.Context, p *chosenProvider) (id string, err error) {
	name, urls := w.applicationName(), w.urls()
	switch {
	case p.hasAuth0():
		command := newprofile.CreateAuth0(p.domain(), name, urls)
		w.say("\nThe auth0 program can make the application, by this command:\n  %s", shown(command))
		if yes, err := w.agreed(ctx, "Run it?"); err != nil || !yes {
			return "", err
		}
		app, err := w.runAuth0(ctx, command, p.domain())
		if err == nil {
			w.say("Made the application %q: its client ID is %s.", words.Printable(app.Name), words.Printable(app.ClientID))
			if !app.Rotates() {
				w.say("What is left to do by hand: switch on Settings → Refresh Token Rotation%s.",
					w.atPage(newprofile.DashboardURL(p.domain(), app.ClientID)))
			}
		}
		return app.ClientID, w.orByHand(err)
	case !p.auth0 && p.registers:
		w.say("\nThe provider registers applications itself (RFC 7591).\nThis one would be %q, public and native, with the "+
			"callback URLs\n%s", name, strings.Join(urls.Callbacks, "\n"))
		if yes, err := w.agreed(ctx, "Register it?"); err != nil || !yes {
			return "", err
		}
		client, err := provider.Register(ctx, w.client(p.issuer), provider.Registration{
			Name: name, RedirectURIs: urls.Callbacks, LogoutURIs: urls.Logouts,
		})
		if err != nil {
			return "", w.orByHand(err)
		}
		w.say("Registered: the client ID is %s.", words.Printable(client.ID))
		return client.ID, w.keepSecret(client.Secret.Reveal())
	}
	return "", nil
}

// atPage returns where something is, as the end of a sentence; "" where no page is known.
func (w *wizard) atPage(page string) string {
	if page == "" {
		return ""
	}
	return " at " + w.terminal.Link(words.Printable(page))
}

// orByHand says what went wrong, so that the person can go on by hand. Where nobody can, it returns the error.
func (w *wizard) orByHand(err error) error {
	if err == nil || !w.asks || errors.Is(err, context.Canceled) {
		return err
	}
	w.sayFailure(err)
	return nil
}

// allowURLs has the application allow the local server's URLs: by the auth0 program, or with the person's hands.
func (w *wizard) allowURLs(ctx context.Context, p *chosenProvider, id string) error {
	if p.hasAuth0() && (w.asks || w.flags.register) && newprofile.IsClientID(id) {
		done, err := w.updateByAuth0(ctx, p, id)
		if err = w.orByHand(err); err != nil || done {
			return err
		}
	} else if w.flags.register {
		instead := ""
		if p.registers && !p.auth0 {
			instead = ", or leave --client-id out for a new one"
		}
		return fmt.Errorf("%w: --register can't change an application at %s: leave it out%s",
			errUsage, words.Printable(p.issuer), instead)
	}
	w.sayPlaces(p, id)
	if w.asks && !w.config.Given("client-id") {
		_, err := w.ask(ctx, "Enter, when that is done", "")
		return err
	}
	return nil
}

// updateByAuth0 looks by the auth0 program at what an application allows, and adds what it lacks. It reports whether
// the application now has all that it has to have.
func (w *wizard) updateByAuth0(ctx context.Context, p *chosenProvider, id string) (done bool, err error) {
	look := newprofile.ShowAuth0(p.domain(), id)
	w.say("\nThe auth0 program can tell whether the application allows\nwhat loopkey needs, by this command:\n  %s",
		shown(look))
	if yes, err := w.agreed(ctx, "Run it?"); err != nil || !yes {
		return false, err
	}
	app, err := w.runAuth0(ctx, look, p.domain())
	if err != nil {
		return false, err
	}
	if app.ClientID != id {
		return false, fmt.Errorf("%w showed another application", newprofile.ErrAuth0)
	}
	command, err := app.Update(p.domain(), w.urls())
	if err != nil {
		return false, err //nolint:wrapcheck // it says why
	}
	if command == nil {
		w.say("The application %q allows all that loopkey needs.", words.Printable(app.Name))
		return true, nil
	}
	w.say("This adds what it lacks, and keeps the rest:\n  %s", shown(command))
	if yes, err := w.agreed(ctx, "Run it?"); err != nil || !yes {
		return false, err
	}
	if _, err := w.runAuth0(ctx, command, p.domain()); err != nil {
		return false, err
	}
	w.say("Changed the application %q.", words.Printable(app.Name))
	return true, nil
}

// applicationName is what the application is called at the provider.
func (w *wizard) applicationName() string {
	if w.flags.name != "" {
		return w.flags.name
	}
	return appName
}

// hasAuth0 reports whether the auth0 program is installed, and knows the provider.
func (c *chosenProvider) hasAuth0() bool {
	_, err := exec.LookPath(newprofile.Auth0Program)
	return err == nil && c.auth0 && newprofile.Auth0Knows(c.domain())
}

// shown returns a command as a shell reads it.
func shown(command []string) string { return words.Printable(words.Shell(command...)) }

const (
	auth0Time  = 2 * time.Minute // it may have to unlock a keychain, and to ask Auth0
	auth0Limit = 1 << 20         // bytes of its output
)

// runAuth0 runs a command of the auth0 program, and returns the application that it prints.
func (w *wizard) runAuth0(ctx context.Context, command []string, tenant string) (newprofile.Auth0App, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, auth0Time, fmt.Errorf("%w did not end", newprofile.ErrAuth0))
	defer cancel()
	out := &bounded{limit: auth0Limit}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the person has seen it
	cmd.Env, cmd.Stdout, cmd.Stderr = environ.WithoutSecrets(w.env), out, w.stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return newprofile.Auth0App{}, cause
		}
		return newprofile.Auth0App{}, fmt.Errorf(
			"%w failed (%w), and says above why: where it is not logged in to that tenant, run `%s`",
			newprofile.ErrAuth0, err, words.Shell(newprofile.Auth0Program, "login", "--domain", tenant))
	}
	return newprofile.ReadAuth0(out.Bytes()) //nolint:wrapcheck // it names the program
}

// A bounded buffer keeps no more than its limit, and takes the rest as a broken pipe would.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}

// sayPlaces says which URLs belong where at the provider.
func (w *wizard) sayPlaces(p *chosenProvider, id string) {
	urls := w.urls()
	if id != "" {
		w.say("\nThe application at %s has to allow these URLs:", p.providerName())
	} else {
		w.say("There, give it these URLs:")
	}
	for _, callback := range urls.Callbacks {
		w.say("  %s: %s", p.places.Callback, callback)
	}
	for _, logout := range urls.Logouts {
		if p.places.Logout != "" {
			w.say("  %s: %s", p.places.Logout, logout)
		}
	}
	if len(p.places.Also) > 0 {
		w.say("and have these switched on:\n  %s", strings.Join(p.places.Also, "\n  "))
	}
	if at := w.atPage(newprofile.DashboardURL(p.domain(), id)); p.auth0 && at != "" {
		w.say("All of that is%s", at)
	}
	if p.places.Provider == newprofile.Other {
		w.say("What each provider calls them: %s",
			w.terminal.Link("https://github.com/loopkey/loopkey/blob/main/docs/providers.md"))
	}
}

// providerName returns what the person calls the provider.
func (c *chosenProvider) providerName() string {
	if c.places.Provider == newprofile.Other {
		return words.Printable(c.issuer)
	}
	return c.places.Provider
}
