package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

func (a *app) sessions() *cobra.Command {
	var output string
	var prune bool
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List all sessions: who, where, until when",
		Long: `Lists a line for each session of this user, also of those with MCP servers, at the
cost of one read of its keystore; loopkey status --all shows all there is to know
of each. A star marks the profile that commands use. Exits 5 where a keystore can't
be asked, and 0 where nobody is logged in.`,
		Example: `  loopkey sessions
  loopkey sessions -o json
  loopkey sessions --prune`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			return a.runSessions(cmd.Context(), output, prune)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&prune, "prune", false, "first delete what is left of sessions that gave their last token")
	return cmd
}

// States of a session in a list. Only the keystore's yes or no is one of the first three.
const (
	stateIn      = "logged_in"
	stateEnded   = "ended" // it is stored, and no token can be had of it
	stateOut     = "logged_out"
	stateUnknown = "unknown"
)

// A listedSession is what `sessions -o json` prints of a session. Fields may be added, and none renamed.
type listedSession struct {
	Profile        string     `json:"profile"`
	Current        bool       `json:"current"` // commands use this profile
	State          string     `json:"state"`
	Reason         string     `json:"reason,omitempty"` // why the session has ended, or its state is not known
	Issuer         string     `json:"issuer"`
	ClientID       string     `json:"client_id"`
	Server         string     `json:"mcp_server,omitempty"`
	Resource       string     `json:"resource,omitempty"`
	Keystore       string     `json:"keystore"`
	Subject        string     `json:"subject,omitempty"`
	Name           string     `json:"name,omitempty"`
	Email          string     `json:"email,omitempty"`
	LoggedInAt     *time.Time `json:"logged_in_at,omitempty"`
	ExpiresAt      *time.Time `json:"expires_at,omitempty"` // the access token
	Renewable      bool       `json:"renewable"`
	RefreshExpires *time.Time `json:"refresh_expires_at,omitempty"`
	SessionExpires *time.Time `json:"session_expires_at,omitempty"`

	StepUps []statusStepUp `json:"step_ups,omitempty"`

	who, until, lasts string   // for a person
	stepUps           []string // likewise
}

func (a *app) runSessions(ctx context.Context, output string, prune bool) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	all, err := known.All(cfg.StateDir)
	if err != nil {
		return err
	}
	listed, failed := []listedSession{}, []error{}
	if err := a.sayDamaged(cfg.StateDir, ""); err != nil {
		failed = append(failed, err)
	}
	for _, k := range all {
		a.server = k.Server
		if prune {
			if pruned, err := a.prune(ctx, k, cfg); err == nil && pruned {
				continue
			} // what can't be deleted is listed
		}
		info, err := a.briefOf(ctx, k, cfg)
		l := listedOf(k, info, err)
		l.Current = k.Resource == "" && k.Profile == cfg.Profile
		if l.State == stateUnknown {
			sentence, _ := a.explain(err)
			l.Reason = words.Printable(err.Error())
			a.say("%s: %s", sessionOf(k), sentence)
			failed = append(failed, err)
		}
		listed = append(listed, l)
	}
	a.server = ""
	if output == "json" {
		err = a.print("json", "", listed)
	} else {
		err = a.printSessions(listed)
	}
	if err == nil && len(failed) > 0 {
		err = &partlyError{errors.Join(failed...)}
	}
	return err
}

// briefOf describes the session of a client that is noted, in few words.
func (a *app) briefOf(ctx context.Context, k known.Client, own *config.Config) (session.Info, error) {
	acc, err := a.openNoted(ctx, k, own)
	if err != nil {
		return session.Info{}, err
	}
	return acc.session.Brief(ctx)
}

// prune deletes what is left of a session of which no token can be had any more, and reports whether it did. The
// session itself is asked, under its lock: one whose keystore can't say is left alone.
func (a *app) prune(ctx context.Context, k known.Client, own *config.Config) (bool, error) {
	cfg, err := a.configOf(k, own)
	if err != nil {
		return false, err
	}
	for _, place := range k.Keystores() {
		acc, err := a.openKnown(ctx, inKeystore(cfg, place), keychainLimitScript)
		if err != nil {
			return false, err
		}
		if _, err := acc.session.End(ctx, session.EndOptions{
			Local: true, Only: func(i session.Info) bool { return i.Unusable != nil },
		}); err != nil {
			return false, err
		}
	}
	if _, left := known.Recall(own.StateDir, k.Name()); left {
		return false, nil
	}
	a.say("Deleted what was left of %s at %s.", sessionOf(k), words.Printable(k.Issuer))
	return true, nil
}

// listedOf returns the line about a session that was asked about.
func listedOf(k known.Client, info session.Info, err error) listedSession {
	now := time.Now()
	l := listedSession{
		Profile: k.Profile, Issuer: k.Issuer, ClientID: k.ClientID, Server: k.Server, Resource: k.Resource,
		Keystore: k.Keystore, who: "-", until: "-",
	}
	switch {
	case errors.Is(err, session.ErrNotLoggedIn):
		l.State = stateOut
		return l
	case err != nil:
		l.State = stateUnknown
		return l
	case info.Unusable != nil:
		l.State, l.Reason = stateEnded, info.Unusable.Error()
	default:
		l.State = stateIn
	}
	l.Subject, l.Name, l.Email = info.Subject, info.Claims.Text("name"), info.Claims.Text("email")
	l.LoggedInAt, l.Renewable = words.UTC(info.LoggedInAt), info.Renewable
	l.RefreshExpires, l.SessionExpires = words.UTC(info.RefreshExpiry), words.UTC(info.SessionExpiry)
	l.ExpiresAt = words.UTC(ownExpiry(info))
	l.StepUps = stepUpsJSON(info.StepUps)
	for _, u := range info.StepUps {
		l.stepUps = append(l.stepUps, words.Printable(stepUpLife(u, now, words.Clock)))
	}
	if info.Resource == "" {
		l.who = words.NameAndEmail(info.Claims)
	}
	l.until, l.lasts = until(info, now), ", "+lasts(info, now)
	return l
}

// until says in few words how long tokens of a session can be had.
func until(info session.Info, now time.Time) string {
	if info.UnusableAt(now) != nil {
		return "-"
	}
	when, token := "when needed", ""
	if end := earlier(info.RefreshExpiry, info.SessionExpiry); !end.IsZero() {
		when = "until " + words.Clock(end, now)
	}
	if expiry := ownExpiry(info); expiry.After(now) {
		token = words.Clock(expiry, now)
	}
	switch {
	case info.Renewable && token != "":
		return token + ", renewed " + when
	case info.Renewable:
		return "renewed " + when
	case token == "":
		return "no expiry given"
	}
	return token
}

// lasts is until as a part of a sentence.
func lasts(info session.Info, now time.Time) string {
	if info.UnusableAt(now) == nil && ownExpiry(info).After(now) {
		return "until " + until(info, now)
	}
	return until(info, now)
}

// ownExpiry returns until when the session's own access token can be used; zero: the provider did not say.
func ownExpiry(info session.Info) time.Time {
	if len(info.AccessTokens) == 0 {
		return time.Time{}
	}
	return earlier(info.AccessTokens[0].Expiry, info.SessionExpiry)
}

// earlier returns the earlier of two times. A zero one is not known.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// printSessions prints a table for a person to read.
func (a *app) printSessions(listed []listedSession) error {
	if len(listed) == 0 {
		at := a.situation(nil)
		at.command = "login" // what makes a session, of whichever profile
		a.say("There are no sessions: %s.", at.sentence(session.ErrNotLoggedIn))
		return nil
	}
	inWords := map[string]string{
		stateIn: "logged in", stateEnded: "ended", stateOut: "logged out", stateUnknown: "can't tell",
	}
	var rows, narrow []string
	for _, l := range listed {
		star, profile := " ", l.Profile
		if l.Current {
			star = "*"
		}
		where := words.Printable(l.Issuer)
		if l.Resource != "" {
			profile, where = "(mcp)", words.Printable(l.Server)
		}
		client, store := words.Printable(l.ClientID), words.Printable(l.Keystore)
		beside := ""
		for _, u := range l.stepUps {
			beside += "\n    step-up " + u
		}
		rows = append(rows, fmt.Sprintf("%s %s\t%s\t%s\t%s\t%s\t%s\t%s", star, profile, inWords[l.State], l.who, where,
			client, l.until, store)+beside)
		narrow = append(narrow, fmt.Sprintf("%s %s: %s\n    %s%s\n    %s\n    client %s, keystore %s",
			star, profile, l.who, inWords[l.State], l.lasts, where, client, store)+beside)
	}
	return a.printTable("  PROFILE\tSTATE\tUSER\tISSUER\tCLIENT\tUNTIL\tKEYSTORE", rows,
		func(i int) string { return narrow[i] })
}
