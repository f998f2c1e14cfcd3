package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func (a *app) status() *cobra.Command {
	var output string
	var all, short bool
	cmd := &cobra.Command{
		Use:     "status",
		Aliases: []string{"whoami"},
		Short:   "Show who is logged in, and until when",
		Long: `Shows the session without asking the provider. Exits 3 when nobody is logged in.

--short is for a shell's prompt: PROFILE:WHO, and "until TIME" while the token that
was got last can be used, "renewable" when the next command renews it, or "expired".
It asks no keychain, but what loopkey noted; where nobody is logged in it is silent.`,
		Example: `  loopkey status
  PS1='$(loopkey status --short 2>/dev/null) $ '`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			if short {
				return a.runShort(all || cmd.Flags().Changed("output"))
			}
			if all {
				return a.statusAll(cmd.Context(), output)
			}
			return a.runStatus(cmd.Context(), output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&short, "short", false, "a few words for a shell's prompt, without asking the keychain")
	cmd.Flags().BoolVar(&all, "all", false, "show the sessions of every profile, and those with MCP servers")
	return cmd
}

func (a *app) runStatus(ctx context.Context, output string) error {
	acc, err := a.account(keychainLimitScript)
	if err != nil {
		return err
	}
	info, err := acc.session.Info(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		err = a.print("json", "", statusJSON(info))
	} else {
		err = a.printStatus(info, acc.config.Server)
	}
	if err != nil {
		return err
	}
	if info.Unusable != nil {
		return fmt.Errorf("profile %q: %w", info.Profile, info.Unusable)
	}
	return nil
}

// statusAll shows every session. It reads each whole, where sessions reads no more than a line needs. One that can't be
// read is said, and has no part in what is printed. The exit code is that of the first such error, or 3 where nobody is
// logged in at all.
func (a *app) statusAll(ctx context.Context, output string) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	all, err := known.All(cfg.StateDir)
	if err != nil {
		return err
	}
	documents, failed := []statusDocument{}, []error{}
	if err := a.sayDamaged(cfg.StateDir, ""); err != nil {
		failed = append(failed, err)
	}
	for _, k := range all {
		a.server = k.Server
		info, err := a.statusOf(ctx, k, cfg)
		switch {
		case errors.Is(err, session.ErrNotLoggedIn): // the note of a session that is gone
			continue
		case err != nil:
			sentence, _ := a.explain(err)
			a.say("%s: %s", sessionOf(k), sentence)
			failed = append(failed, err)
			continue
		}
		document := statusJSON(info)
		document.Server = k.Server
		if documents = append(documents, document); output == "json" {
			continue
		}
		if len(documents) > 1 {
			_, _ = fmt.Fprintln(a.stdout)
		}
		if err := a.printStatus(info, k.Server); err != nil {
			return err
		}
	}
	if output == "json" {
		if err := a.print("json", "", documents); err != nil {
			return err
		}
	}
	a.server = ""
	switch {
	case len(failed) > 0:
		return &partlyError{errors.Join(failed...)}
	case len(documents) == 0:
		return session.ErrNotLoggedIn
	}
	return nil
}

// statusOf describes the session of a client that is noted.
func (a *app) statusOf(ctx context.Context, k known.Client, own *config.Config) (session.Info, error) {
	acc, err := a.openNoted(ctx, k, own)
	if err != nil {
		return session.Info{}, err
	}
	return acc.session.Info(ctx)
}

// openNoted opens the account of a client that is noted. own is the configuration of the command.
func (a *app) openNoted(ctx context.Context, k known.Client, own *config.Config) (*account, error) {
	cfg, err := a.configOf(k, own)
	if err != nil {
		return nil, err
	}
	return a.openKnown(ctx, cfg, keychainLimitScript)
}

// sessionOf names a session: by its MCP server, or by its profile.
func sessionOf(k known.Client) string {
	if k.Server != "" {
		return words.Printable(k.Server)
	}
	return k.Profile
}

// A statusDocument is what `status -o json` prints. Fields may be added, and none renamed.
type statusDocument struct {
	Profile        string              `json:"profile"`
	Issuer         string              `json:"issuer"`
	ClientID       string              `json:"client_id"`
	Server         string              `json:"mcp_server,omitempty"`
	Resource       string              `json:"resource,omitempty"`
	Subject        string              `json:"subject"`
	Name           string              `json:"name,omitempty"`
	Email          string              `json:"email,omitempty"`
	LoggedInAt     *time.Time          `json:"logged_in_at"`
	RenewedAt      *time.Time          `json:"renewed_at,omitempty"`
	Renewable      bool                `json:"renewable"`
	DPoP           bool                `json:"dpop,omitempty"` // the access tokens are bound to a key
	RefreshExpires *time.Time          `json:"refresh_expires_at,omitempty"`
	SessionExpires *time.Time          `json:"session_expires_at,omitempty"`
	IdleExpires    *time.Time          `json:"idle_expires_at,omitempty"`
	IDToken        *statusToken        `json:"id_token"`
	AccessTokens   []statusAccessToken `json:"access_tokens"`
	StepUps        []statusStepUp      `json:"step_ups,omitempty"`
	Claims         provider.Claims     `json:"claims"`
}

type statusToken struct {
	ExpiresAt *time.Time `json:"expires_at"`
}

type statusAccessToken struct {
	Audience  string     `json:"audience"`
	Scope     string     `json:"scope"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// A statusStepUp is another authentication beside the session's, with tokens of its own.
type statusStepUp struct {
	ACR       string     `json:"acr,omitempty"`
	AuthTime  *time.Time `json:"auth_time,omitempty"`
	Audience  string     `json:"audience"`
	ExpiresAt *time.Time `json:"expires_at"` // the access token
	Renewable bool       `json:"renewable"`
}

func stepUpsJSON(infos []session.StepUpInfo) (all []statusStepUp) {
	for _, u := range infos {
		all = append(all, statusStepUp{u.ACR, words.UTC(u.AuthTime), u.Audience, words.UTC(u.Expiry), u.Renewable})
	}
	return all
}

// stepUpLife says what a step-up is, and until when its token can be used. when writes a time.
func stepUpLife(u session.StepUpInfo, now time.Time, when func(t, now time.Time) string) string {
	about := "no acr given"
	if u.ACR != "" {
		about = words.Line(u.ACR, 100)
	}
	if !u.AuthTime.IsZero() {
		about += ", authenticated " + when(u.AuthTime, now)
	}
	about += ", " + lifetimeIn(u.Expiry, now, when)
	if u.Renewable {
		about += ", renewed when needed"
	}
	if u.Audience != "" {
		about += ", for " + u.Audience
	}
	return about
}

func statusJSON(info session.Info) statusDocument {
	document := statusDocument{
		Profile: info.Profile, Issuer: info.Issuer, ClientID: info.ClientID, Resource: info.Resource,
		Subject: info.Subject, Name: info.Claims.Text("name"), Email: info.Claims.Text("email"),
		LoggedInAt: words.UTC(info.LoggedInAt), RenewedAt: words.UTC(info.RenewedAt), Renewable: info.Renewable,
		DPoP:           info.Bound,
		RefreshExpires: words.UTC(info.RefreshExpiry), SessionExpires: words.UTC(info.SessionExpiry),
		IdleExpires:  words.UTC(info.IdleExpiry),
		AccessTokens: []statusAccessToken{}, StepUps: stepUpsJSON(info.StepUps), Claims: info.Claims,
	}
	if !info.IDTokenExpiry.IsZero() {
		document.IDToken = &statusToken{words.UTC(info.IDTokenExpiry)}
	}
	for _, t := range info.AccessTokens {
		document.AccessTokens = append(document.AccessTokens, statusAccessToken{t.Audience, t.Scope, words.UTC(t.Expiry)})
	}
	return document
}

// printStatus prints a session as a table, for a person to read. server is the URL of the MCP server that it is with;
// "": with none.
func (a *app) printStatus(info session.Info, server string) error {
	now := time.Now()
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	row := func(label, value string) {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", label, words.Printable(value))
	}
	if info.Resource != "" {
		row("MCP server", server)
	} else {
		row("User", words.NameAndEmail(info.Claims))
		row("Subject", info.Subject)
	}
	row("Issuer", info.Issuer)
	row("Client", info.ClientID)
	if info.Resource == "" {
		row("Profile", info.Profile)
	}
	row("Logged in", words.Moment(info.LoggedInAt, now))
	if !info.IDTokenExpiry.IsZero() {
		row("ID token", lifetime(info.IDTokenExpiry, now))
	}
	for _, t := range info.AccessTokens {
		about := lifetime(t.Expiry, now)
		if t.Audience != "" {
			about += ", for " + t.Audience
		}
		if info.Bound {
			about += ", DPoP"
		}
		row("Access token", about)
		if t.Scope != "" {
			row("  scope", t.Scope)
		}
	}
	for _, u := range info.StepUps {
		row("Step-up", stepUpLife(u, now, words.Moment))
	}
	switch {
	case info.Renewable && !info.RefreshExpiry.IsZero():
		row("Renewable", "yes, until "+words.Moment(info.RefreshExpiry, now))
	case info.Renewable:
		row("Renewable", "yes")
	default:
		row("Renewable", "no")
	}
	if !info.SessionExpiry.IsZero() {
		row("Session ends", words.Moment(info.SessionExpiry, now))
	}
	if !info.IdleExpiry.IsZero() {
		row("  if not used", words.Moment(info.IdleExpiry, now))
	}
	return w.Flush()
}

// lifetime says until when a token can be used.
func lifetime(expiry, now time.Time) string { return lifetimeIn(expiry, now, words.Moment) }

func lifetimeIn(expiry, now time.Time, when func(t, now time.Time) string) string {
	switch {
	case expiry.IsZero():
		return "no expiry given"
	case !expiry.After(now):
		return "expired " + when(expiry, now)
	}
	return "until " + when(expiry, now)
}
