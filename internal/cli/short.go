package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

// noted describes the session that the configuration names by what is noted of it: no keystore is asked. ok is false
// where a login was noted and nothing else, as an earlier version of loopkey did. The error is session.ErrNotLoggedIn
// where no login is noted.
func (a *app) noted() (acc *account, info session.Info, ok bool, err error) {
	acc, err = a.account(keychainLimitScript)
	if err != nil {
		return nil, info, false, err
	}
	if _, loggedIn := known.Recall(acc.config.StateDir, acc.config.Name()); !loggedIn {
		return acc, info, false, session.ErrNotLoggedIn
	}
	info, ok = acc.session.Noted()
	return acc, info, ok, nil
}

// runShort prints a few words for a shell's prompt. more says that flags ask for more than those.
func (a *app) runShort(more bool) error {
	if more {
		return fmt.Errorf("%w: --short goes with neither --all nor --output", errUsage)
	}
	acc, info, ok, err := a.noted()
	if errors.Is(err, session.ErrNotLoggedIn) {
		return &exitError{exitNotLoggedIn} // a prompt has no place for an error
	}
	if err != nil {
		return err
	}
	text := "?"
	if ok {
		text = shortStatus(info, time.Now())
	}
	if err := a.print("raw", acc.config.Profile+":"+text, nil); err != nil {
		return err
	}
	if info.Unusable != nil {
		return &exitError{exitNotLoggedIn}
	}
	return nil
}

// shortStatus says in a stable form who is logged in, and how long the session's own token can be used.
func shortStatus(info session.Info, now time.Time) string {
	who := cmp.Or(words.Printable(words.Line(info.Claims.Text("email"), 80)), words.Name(info.Claims))
	if info.Resource != "" {
		who = words.Printable(info.Resource)
	}
	who = strings.Map(inPrompt, who)
	expiry := ownExpiry(info)
	switch {
	case info.UnusableAt(now) != nil:
		return who + " expired"
	case expiry.After(now):
		return who + " until " + words.Clock(expiry, now)
	case info.Renewable:
		return who + " renewable"
	}
	return who
}

// inPrompt puts a harmless character in the place of one that a shell may carry out in a prompt. The name is the
// provider's word, and many prompts are put together anew each time, in quotes that expand once more.
func inPrompt(c rune) rune {
	if strings.ContainsRune("$`\\%!#", c) {
		return '?'
	}
	return c
}

// sayWhoIsIn prints who is logged in, by what is noted, below the help. A configuration that can't be used is for the
// commands to report.
func (a *app) sayWhoIsIn() {
	acc, info, ok, err := a.noted()
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintln(a.stdout, foldFor(a.stdout, fmt.Sprintf(format, args...)))
	}
	switch {
	case err == nil && ok && info.UnusableAt(time.Now()) == nil:
		say("\nLogged in as %s (profile %s), %s.",
			whose(acc, info), acc.config.Profile, lasts(info, time.Now()))
	case err == nil && ok:
		say("\nThe session of %s (profile %s) has ended: run %s.",
			whose(acc, info), acc.config.Profile, a.situation(acc).line("login"))
	case errors.Is(err, session.ErrNotLoggedIn):
		at := a.situation(acc)
		others := a.loggedInElsewhere(at)
		if len(others) == 0 {
			say("\nNobody is logged in: %s.", at.notLoggedIn())
			return
		}
		say("\nNobody is logged in under the profile %s. Under others:", words.Printable(at.config.Profile))
		for _, name := range others {
			say("  %s: %s", words.Printable(name), a.notedOf(name))
		}
		say("Add -p %s to a command, or run loopkey switch %[1]s.", quote(others[0]))
	}
}

// loggedInElsewhere returns the other profiles that have a session, by what is noted.
func (a *app) loggedInElsewhere(at situation) []string {
	if at.config == nil {
		return nil
	}
	return slices.DeleteFunc(a.allProfiles(), func(name string) bool {
		if name == at.config.Profile {
			return true
		}
		b := *a
		b.flags = map[string]string{"profile": name}
		_, info, ok, err := b.noted()
		return err != nil || !ok || info.UnusableAt(time.Now()) != nil
	})
}
