package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/wire"
)

// A process of its own makes the login that a bridge begins, so that the tab in the browser leads to a session also
// where the host has ended the bridge meanwhile.

// An mcpErrand is all that the process needs to know.
type mcpErrand struct {
	wire.Header
	mcpSetup
	Wish       mcp.Wish `json:"wish"`
	Passphrase string   `json:"passphrase,omitempty"`
}

// mcpAuthorize is the command of the process that makes a login.
func (a *app) mcpAuthorize() *cobra.Command {
	return &cobra.Command{
		Use:    "authorize",
		Hidden: true,
		Short:  "Log in for another loopkey process, which tells how on stdin",
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runMCPErrand(cmd.Context())
		},
	}
}

func (a *app) runMCPErrand(ctx context.Context) error {
	var e mcpErrand
	if err := wire.Unmarshal(a.readErrand(), &e); err != nil || e.Wish.Began.IsZero() {
		return fmt.Errorf("%w: mcp authorize is for loopkey itself: run loopkey mcp login URL", errUsage)
	}
	a.server = e.URL
	a.openBrowser = func(ctx context.Context, target string) error { return a.openIn(ctx, e.Window, target) }
	a.givePassphrase(e.Keystore, e.Passphrase)
	auth, err := a.authorization(&e.mcpSetup, keychainLimitPerson, nil)
	if err != nil {
		return err
	}
	_, _, err = auth.LogIn(ctx, e.Wish, mcp.Browsing{
		Patient: true, Open: a.browse,
		Advice: func(err error) string { _, next := a.judge(err); return next },
	})
	return err
}

// beginMCPLogin starts the process that makes a login, and does not wait for it.
func (a *app) beginMCPLogin(_ context.Context, s *mcpSetup, w mcp.Wish) error {
	e := mcpErrand{mcpSetup: *s, Wish: w, Passphrase: a.passphraseFor(s.Keystore)}
	data, err := wire.Marshal(&e) // for a pipe to ourselves
	if err != nil {
		return err
	}
	cmd, err := a.apartCommand("mcp", "authorize")
	if err != nil {
		return err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		_ = in.Close()
		return fmt.Errorf("the login could not be begun: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	_, err = in.Write(data)
	if closeErr := in.Close(); err == nil {
		err = closeErr
	}
	return err
}
