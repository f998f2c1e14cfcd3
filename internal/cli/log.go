package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/journal"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

func (a *app) log() *cobra.Command {
	var output string
	var last int
	var follow bool
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show when you logged in, and which tools got a token",
		Long: `Shows what loopkey noted on this machine, the newest at the end: logins, renewals,
logouts, and each token that was handed out, with the tool and the program that ran
it. The log holds no token. It is bounded, and no other user can read it.
LOOPKEY_LOG=off, or log = false above the profiles of config.toml, turns it off.`,
		Example: `  loopkey log -n 20
  loopkey log --follow
  loopkey log -o json | jq 'select(.event == "token")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			if cmd.Flags().Changed("last") && last < 0 {
				return fmt.Errorf("%w: --last is %d: it can't be negative", errUsage, last)
			}
			return a.runLog(cmd.Context(), output, last, follow)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, or json: an object in each line")
	cmd.Flags().IntVarP(&last, "last", "n", -1, "only so many entries, the last ones")
	cmd.Flags().Lookup("last").DefValue = "all"
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is noted from now on, until Ctrl-C")
	return cmd
}

// followEvery is how often log --follow looks whether the log has grown.
const followEvery = 250 * time.Millisecond

func (a *app) runLog(ctx context.Context, output string, last int, follow bool) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	reader := journal.Reader{StateDir: cfg.StateDir}
	entries, err := reader.Next()
	if err != nil {
		return fmt.Errorf("the log: %w", err)
	}
	entries = journal.Last(entries, last)
	if len(entries) == 0 && output == "text" && !follow {
		a.say("The log is empty.")
	}
	if !cfg.Log {
		a.say("Nothing new is noted: %s turns the log off.", words.Printable(cfg.Origin("log")))
	}
	for err = a.printLog(output, entries); err == nil && follow; err = a.printLog(output, entries) {
		if clock.Pause(ctx, followEvery) != nil { // Ctrl-C is how it is ended
			return nil
		}
		if entries, err = reader.Next(); err != nil {
			return fmt.Errorf("the log: %w", err)
		}
	}
	return err
}

// printLog prints entries of the log.
func (a *app) printLog(output string, entries []journal.Entry) error {
	var text strings.Builder
	for _, e := range entries {
		if output == "text" {
			text.WriteString(e.Time.Local().Format("2006-01-02 15:04:05") + "  " + sentenceOf(e) + "\n")
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	if text.Len() == 0 {
		return nil
	}
	return a.print("raw", strings.TrimSuffix(text.String(), "\n"), nil)
}

// sentenceOf says what an entry is about.
func sentenceOf(e journal.Entry) string {
	at := " at " + e.Issuer + " (profile " + e.Profile + ")"
	if e.Server != "" {
		at = " at " + e.Server
	}
	text := ""
	switch session.EventKind(e.Event) {
	case session.EventLogin:
		text = "logged in" + at
	case session.EventRenewed:
		text = "renewed" + at
	case session.EventRefused:
		text = "the provider ended the session" + at
	case session.EventStepUp:
		text = "authenticated anew" + at
	case session.EventLogout:
		text = "logged out" + at
	case tokenEvent:
		text = e.Kind + " token to loopkey " + e.Tool
		if e.Command != "" {
			text += " " + e.Command
		}
		if e.Host != "" {
			text += " for " + e.Host
		}
		switch {
		case e.Parent != "":
			text += ", run by " + e.Parent + " (" + strconv.Itoa(e.ParentPID) + ")"
		case e.ParentPID != 0:
			text += ", run by process " + strconv.Itoa(e.ParentPID)
		}
		text += at
	default:
		text = e.Event + at
	}
	if e.Audience != "" {
		text += ", audience " + e.Audience
	}
	return words.Printable(text)
}
