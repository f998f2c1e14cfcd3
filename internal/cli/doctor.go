package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/session"
)

func (a *app) doctor() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what keeps loopkey from working, and say what to do",
		Long: `Checks the configuration, the way to the provider, what the provider thinks of the
client, the port, the keychain, the browser and the session: a line for each, and what
to do under those that are not well. It sends no secret and logs nobody in.
Exits 1 when something is broken.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			return a.runDoctor(cmd.Context(), output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// A finding is what `doctor -o json` prints of a check. Fields may be added, and none renamed.
type finding struct {
	Name    string `json:"name"`
	State   string `json:"state"` // ok, warning, broken or skipped
	Message string `json:"message"`
	Fix     string `json:"fix"` // "": there is nothing to do
}

func (a *app) runDoctor(ctx context.Context, output string) error {
	subject, all, paper := a.subject(), []finding{}, a.sheet()
	later := output == "json" || a.mayAsk(subject.Config)
	worst := doctor.Run(ctx, subject, doctor.Checks(), func(f doctor.Finding) {
		one := finding{f.Name, string(f.State), f.Message, a.fix(f)}
		if all = append(all, one); !later {
			paper.write(one)
		}
	})
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case output == "json":
		if err := a.print("json", "", all); err != nil {
			return err
		}
	case later:
		for _, one := range all {
			paper.write(one)
		}
	}
	if err := notWritten(paper.err); err != nil {
		return err
	}
	if worst == doctor.Broken {
		return &exitError{exitFailed} // the report says what is broken
	}
	return nil
}

// mayAsk reports whether the keystore may ask the person for a passphrase.
func (a *app) mayAsk(cfg *config.Config) bool {
	if cfg == nil || !a.terminal.Interactive() {
		return false
	}
	kind, _, ok := keystores.Find(cfg.Keystore)
	return ok && kind.WantsPassphrase && a.passphrase(cfg.Keystore).known() == ""
}

// subject returns what doctor examines: the configuration, and the session and the keystore that it names.
func (a *app) subject() doctor.Subject {
	s := doctor.Subject{Environ: a.env, Version: version()}
	cfg, err := a.configure()
	if err != nil {
		s.ConfigErr = err
		return s
	}
	s.Config = cfg
	meant, err := a.sessionOf(cfg)
	switch {
	case err == nil:
		s.Config = meant
	case !errors.Is(err, session.ErrNotLoggedIn):
		s.ConfigErr = err
	}
	if s.Config.Complete() != nil {
		s.Store, s.StoreErr = a.openStore(s.Config.Keystore, s.Config.StateDir, keychainLimitScript)
		return s
	}
	acc, err := a.openWith(s.Config, "", keychainLimitScript) // without the client secret, which is not to be sent
	if err != nil {
		s.StoreErr = err
		return s
	}
	s.Store, s.Session, s.OwnServer = acc.store, acc.session, acc.server().There
	s.CheckKey, s.CheckCertificate = acc.provider.CheckKey, acc.provider.CheckCertificate
	return s
}

// fix returns what the person can do about a finding, or "".
func (a *app) fix(f doctor.Finding) string {
	if f.State != doctor.Warning && f.State != doctor.Broken {
		return ""
	}
	at := a.situation(a.opened)
	if f.Err != nil { // which knows best
		if _, next := a.judge(f.Err); next != "" {
			return next
		}
	}
	if f.Reason != "" {
		return at.fill(f.Reason, f.About, "")
	}
	return at.fill(f.About.Reason, f.About, "")
}

// A sheet is where findings are written, for a person to read.
type sheet struct {
	*app
	marks map[string]string // by the state
	arrow string            // before what to do
	ascii bool
	err   error // of the first write that failed
}

// sheet returns a sheet for the standard output. It has colours on a terminal alone.
func (a *app) sheet() *sheet {
	s := &sheet{app: a, arrow: "→"}
	plain := environ.IsPlain(a.env)
	marks := map[doctor.State]struct{ mark, ascii, color string }{
		doctor.OK: {"✓", "+", "32"}, doctor.Warning: {"!", "!", "33"}, doctor.Broken: {"✗", "x", "31"},
		doctor.Skipped: {"-", "-", "2"},
	}
	s.ascii = plain || !a.showsUnicode()
	s.marks = map[string]string{}
	for state, m := range marks {
		text := m.mark
		if s.ascii {
			text = m.ascii
		}
		if terminal.Is(a.stdout) && !plain {
			text = "\x1b[" + m.color + "m" + text + "\x1b[0m"
		}
		s.marks[string(state)] = text
	}
	if s.ascii {
		s.arrow = "->"
	}
	return s
}

// nameWidth is the width of the longest name of a finding.
const nameWidth = 14

// fold breaks a text that begins in a column, so that it stays there in the window of a terminal.
func (s *sheet) fold(text string, column int) string {
	width := terminal.Width(s.stdout)
	if width < helpWidth/2 {
		return text
	}
	return strings.ReplaceAll(fold(text, width-column), "\n", "\n"+strings.Repeat(" ", column))
}

// write writes a finding: a line, and under it what to do.
func (s *sheet) write(f finding) {
	text := fmt.Sprintf("%s %-*s %s\n", s.marks[f.State], nameWidth, f.Name, s.fold(f.Message, nameWidth+3))
	if f.Fix != "" {
		text += fmt.Sprintf("  %*s %s %s\n", nameWidth, "", s.arrow, s.fold(f.Fix, nameWidth+5))
	}
	if s.ascii {
		text = strings.NewReplacer("→", "->", "…", "...").Replace(text)
	}
	if _, err := fmt.Fprint(s.stdout, text); s.err == nil {
		s.err = err
	}
}
