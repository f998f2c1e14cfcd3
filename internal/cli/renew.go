package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/session"
)

// A process of its own makes a renewal, so that a killed `loopkey token`, a closed terminal or a Ctrl-C does not end
// it: between the provider's response and the keystore it holds the only copy of a rotated refresh token.

// An errand is all that the process needs to know.
type errand struct {
	wire.Header
	known.Client
	ClientSecret string `json:"client_secret,omitempty"`
	Passphrase   string `json:"passphrase,omitempty"`
	CacheDir     string `json:"cache_dir"`
	StateDir     string `json:"state_dir"`
	NoLog        bool   `json:"no_log,omitempty"`
	Push         bool   `json:"-"` // of logins alone
	SignRequests bool   `json:"-"` // of logins alone
	Order        []byte `json:"order"`
}

// Limits of what goes through the pipes, in bytes.
const (
	errandLimit = 1 << 20  // the client secret is the largest part
	replyLimit  = 32 << 20 // it holds a whole session
)

// renew is the command of the process that makes a renewal.
func (a *app) renew() *cobra.Command {
	return &cobra.Command{
		Use:    "renew",
		Hidden: true,
		Short:  "Renew the session for another loopkey process, which tells how on stdin",
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runErrand(cmd.Context())
		},
	}
}

func (a *app) runErrand(ctx context.Context) error {
	var e errand
	err := wire.Unmarshal(a.readErrand(), &e)
	if errors.Is(err, wire.ErrVersion) {
		return wire.Write(a.stdout, &errand{}) // in our version: the other process then does the work itself
	}
	if err != nil {
		return fmt.Errorf("%w: renew is for loopkey itself: run %s --force-refresh",
			errUsage, a.situation(nil).line("token"))
	}
	a.givePassphrase(e.Keystore, e.Passphrase)
	p, store, err := a.openErrand(e, keychainLimitScript)
	if err != nil {
		return err
	}
	s := session.New(session.Config{
		Profile: e.Profile, Provider: p, Store: store, StateDir: e.StateDir, Resource: e.Resource,
		Record: e.record(),
	})
	s.Renew(ctx, e.Order, func(reply []byte) {
		_, err = a.stdout.Write(reply)
		if pipe, ok := a.stdout.(io.Closer); ok { // the other process reads to the end of the pipe
			_ = pipe.Close()
		}
	})
	return err
}

// runApart starts a process that runs the errand, and returns its reply. When ctx ends runApart returns; the process
// goes on.
func (a *app) runApart(ctx context.Context, e errand, order []byte) ([]byte, error) {
	e.Order, e.Passphrase = order, a.passphraseFor(e.Keystore)
	data, err := wire.Marshal(&e) // for a pipe to ourselves
	if err != nil {
		return nil, err
	}
	cmd, err := a.apartCommand("renew")
	if err != nil {
		return nil, session.ErrNotApart
	}
	a.catchSignals() // the session that comes back is read to its end, or ctx says why not
	cmd.Stdin = bytes.NewReader(data)
	stdout, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil, session.ErrNotApart
	}
	replied := make(chan []byte, 1)
	go func() {
		reply, _ := io.ReadAll(io.LimitReader(stdout, replyLimit))
		replied <- reply
		_ = cmd.Wait()
	}()
	select {
	case reply := <-replied:
		return reply, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
