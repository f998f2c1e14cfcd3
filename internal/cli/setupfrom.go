package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/newprofile"
	"github.com/loopkey/loopkey/internal/words"
)

// fromFlags are the flags of the configuration that a team's file gives a value to.
func fromFlags() map[string]string {
	return map[string]string{
		"domain": "domain", "issuer": "issuer", "client-id": "client_id", "audience": "audience", "scope": "scope",
		"base-url": "base_url", "port": "callback_ports",
	}
}

// setUpFrom makes a profile of what a team's file proposes, after the person has seen it.
func (a *app) setUpFrom(ctx context.Context, source string, f profileFlags) error {
	for flag := range fromFlags() {
		if a.flags[flag] != "" {
			return fmt.Errorf("%w: --%s is what the file of --from says: leave one of them out", errUsage, flag)
		}
	}
	if f.register {
		return fmt.Errorf("%w: with --from, the application is the team's: leave --register out", errUsage)
	}
	content, from, err := newprofile.ReadTeam(ctx, source)
	if err != nil {
		return err
	}
	team, err := newprofile.ParseTeam(content)
	if err != nil {
		return err
	}
	w := &wizard{app: a, flags: f, asks: a.terminal.Interactive(), team: &team}
	w.sayTeam(team, from)
	if yes, err := w.confirm(ctx, "Trust this?", false); err != nil {
		return err
	} else if !yes && w.asks {
		return fmt.Errorf("%w: nothing of %s was taken", errDeclined, words.Printable(source))
	} else if !yes {
		return fmt.Errorf("%w: there is no terminal to ask on: look through this, and give --yes if you trust it", errUsage)
	}
	named := a.flags["profile"] != ""
	if !named && team.Profile != "" {
		a.flags["profile"] = team.Profile
	}
	for flag, key := range fromFlags() {
		if value := team.Value(key); value != "" {
			a.flags[flag] = value
		}
	}
	if err := w.open(); err != nil {
		return err
	}
	if err := w.mayBeTeams(named); err != nil {
		return err
	}
	return w.run(ctx)
}

// sayTeam shows everything that a team's file would have loopkey trust.
func (w *wizard) sayTeam(team newprofile.Team, from string) {
	w.say("%s proposes this profile, which would be %s:", words.Printable(from),
		words.Printable(cmp.Or(w.app.flags["profile"], team.Profile, "your default one")))
	for _, line := range team.Shown() {
		w.say("  %s", words.Printable(line))
	}
	if len(team.Hosts) > 0 {
		w.say("These servers would get tokens from the tools that you set up:")
	}
	for _, h := range team.Hosts {
		w.say("  %s", words.Printable(h.Shown()))
	}
	// Named once more, and last: the servers may have filled the screen.
	w.say("You would log in at %s, and your tools would get its tokens.",
		words.Printable(cmp.Or(team.Value("issuer"), team.Value("domain"))))
	if len(environ.Secrets(environ.Without(w.env, "LOOPKEY_PASSPHRASE"))) > 0 {
		w.say("The client secret that the environment holds would be sent there.")
	}
}

// mayBeTeams refuses to give a team's file a profile of the person's own, which is for another client, unless the
// person has named the profile.
func (w *wizard) mayBeTeams(named bool) error {
	before, exists, err := config.OfProfile(w.input(), w.profile)
	if err != nil || named || !exists {
		return err
	}
	p := &chosenProvider{issuer: w.config.Issuer}
	if before["client_id"] == w.config.ClientID && sameIssuer(before, p) {
		return nil
	}
	return fmt.Errorf("%w: you have a profile %s already, for another application: name the new one with --profile",
		errUsage, w.profile)
}

// hostsText returns the lines of config.toml that list the servers of a team's file, but for those that the profile
// lists.
func (w *wizard) hostsText() string {
	if w.team == nil {
		return ""
	}
	listed := map[string]bool{}
	for i := range w.config.Hosts {
		listed[w.config.Hosts[i].String()] = true
	}
	var lines strings.Builder
	for _, h := range w.team.Hosts {
		if !listed[h.Name] {
			fmt.Fprintf(&lines, "[[%s.hosts]]\n%s\n", config.TableOf(w.profile), strings.Join(h.Lines, "\n"))
		}
	}
	return lines.String()
}
