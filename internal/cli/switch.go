package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

func (a *app) switchProfile() *cobra.Command {
	return &cobra.Command{
		Use:   "switch [PROFILE]",
		Short: "Choose the profile that commands without -p use",
		Long: `Writes default_profile into config.toml. -p and LOOPKEY_PROFILE come first, and a
.env still beats what the profile sets: only a profile that is named comes before
it. - is the profile before. Without a profile, switch lists those there are.`,
		Example: `  loopkey switch work
  loopkey switch -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%w: switch takes one profile, not %q too", errUsage, args[1])
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.allProfiles(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if a.flags["profile"] != "" {
				return fmt.Errorf("%w: switch takes the profile as its argument, without -p", errUsage)
			}
			if len(args) == 0 {
				return a.listProfiles()
			}
			return a.runSwitch(args[0])
		},
	}
}

// defaultProfile is the name of the profile that commands use where nothing names one.
const defaultProfile = "default"

// allProfiles returns the profiles that can be switched to.
func (a *app) allProfiles() []string { return sorted(append(a.profiles(), defaultProfile)) }

// listProfiles lists the profiles, with what is noted of their sessions.
func (a *app) listProfiles() error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	var rows, narrow []string
	for _, name := range sorted(append(a.allProfiles(), cfg.Profile)) {
		star, noted := " ", a.notedOf(name)
		if name == cfg.Profile {
			star = "*"
		}
		rows = append(rows, star+" "+name+"\t"+noted)
		narrow = append(narrow, star+" "+name+"\n    "+strings.Replace(noted, ", until", ",\n    until", 1))
	}
	return a.printTable("", rows, func(i int) string { return narrow[i] })
}

// notedOf says in few words who is logged in under a profile, by what is noted.
func (a *app) notedOf(profile string) string {
	b := *a
	b.flags = map[string]string{"profile": profile}
	acc, info, ok, err := b.noted()
	switch {
	case errors.Is(err, session.ErrNotLoggedIn):
		return "nobody is logged in"
	case err != nil:
		return words.Printable(err.Error())
	case !ok:
		return "logged in at " + words.Printable(acc.config.Issuer)
	case info.UnusableAt(time.Now()) != nil:
		return "the session of " + whose(acc, info) + " has ended"
	}
	return whose(acc, info) + ", " + lasts(info, time.Now())
}

// nextOf says what to do where nobody is logged in under a profile; "" where somebody is.
func (a *app) nextOf(profile string) string {
	b := *a
	b.flags = map[string]string{"profile": profile}
	if _, _, _, err := b.noted(); !errors.Is(err, session.ErrNotLoggedIn) {
		return ""
	}
	return ": " + b.situation(nil).sentence(session.ErrNotLoggedIn)
}

// whose says who is logged in, and where.
func whose(acc *account, info session.Info) string {
	return words.NameAndEmail(info.Claims) + " at " + words.Printable(acc.config.Issuer)
}

func (a *app) runSwitch(to string) error {
	before, err := config.Load(config.Input{Environ: environ.Without(a.env, profileVariable)})
	if err != nil {
		return err
	}
	if to == "-" {
		if to = a.previousProfile(); to == "" {
			return fmt.Errorf("%w: there was no profile before", errUsage)
		}
	}
	if names := a.allProfiles(); !slices.Contains(names, to) {
		if meant := similar(to, names); meant != "" {
			return fmt.Errorf("%w: there is no profile %q: did you mean loopkey switch %s?", errUsage, to, meant)
		}
		return fmt.Errorf("%w: there is no profile %q: there are %s; loopkey setup -p %s makes it",
			errUsage, to, strings.Join(names, ", "), quote(to))
	}
	_, err = a.editConfig(before.File, func(content []byte) ([]byte, error) {
		return config.EditAbove(content, config.Assignment{Key: "default_profile", Value: to})
	})
	if err != nil {
		return err
	}
	if before.Profile != to {
		a.notePrevious(before.Profile)
	}
	a.say("Commands use profile %q now: %s.", to, a.notedOf(to)+a.nextOf(to))
	if named := a.lookup(profileVariable); named != "" && named != to {
		a.say("But LOOPKEY_PROFILE in the environment names %q, which comes first: unset it.", words.Printable(named))
	}
	return nil
}

// noConfigFile is the error where config.toml has no place.
func noConfigFile() error {
	return fmt.Errorf("%w: there is no place for config.toml: set %s", errUsage, private.HomeVariable())
}

// editConfig changes config.toml, and reports whether there was something to change.
func (a *app) editConfig(path string, edit func(content []byte) ([]byte, error)) (changed bool, err error) {
	if path == "" {
		return false, noConfigFile()
	}
	change, err := setup.PlanText(path, func(content string) (string, error) {
		edited, err := edit([]byte(content))
		return string(edited), err
	})
	if err != nil || change.IsEmpty() {
		return false, err
	}
	_, err = change.Write()
	return err == nil, err
}

// previousFile returns where the profile is noted that was the default before; "": there is no place for that.
func (a *app) previousFile() string {
	folder := private.FoldersOf(appName, a.lookup).State
	if folder == "" || private.Dir(folder) != nil {
		return ""
	}
	return filepath.Join(folder, "previous-profile")
}

// previousProfile returns the profile that was the default before, or "".
func (a *app) previousProfile() string {
	name, err := private.Read(a.previousFile(), 1<<10)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// notePrevious notes the profile that was the default before. That it could not is no failure of the switch.
func (a *app) notePrevious(name string) {
	if file := a.previousFile(); file != "" {
		_ = private.Replace(file, []byte(name+"\n"))
	}
}
