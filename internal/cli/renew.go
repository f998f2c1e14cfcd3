package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A renewal is made by a process of its own, which a killed `loopkey token`, a
// closed terminal or a Ctrl-C leaves alone: between the provider's answer and the
// keystore lies the only copy of a rotated refresh token.

// An errand is all that such a process has to know. It is read from a pipe, for
// arguments and environments can be seen by others.
type errand struct {
	wire.Header
	known.Client
	ClientSecret string `json:"client_secret,omitempty"`
	Passphrase   string `json:"passphrase,omitempty"`
	CacheDir     string `json:"cache_dir"`
	StateDir     string `json:"state_dir"`
	Order        []byte `json:"order"`
}

// errandLimit bounds an errand in bytes; a client secret is the largest thing in it.
const errandLimit = 1 << 20

// replyLimit bounds a reply in bytes: it holds a whole session.
const replyLimit = 32 << 20

func (e *errand) open(keychainLimit time.Duration, passphrase keystores.Passphrase) (*provider.Provider, keystore.Store, error) {
	p, err := provider.New(provider.Config{
		Issuer: e.Issuer, ClientID: e.ClientID, ClientSecret: provider.NewSecret(e.ClientSecret),
		Auth0: e.Auth0, AudienceParameter: e.AudienceParameter, CacheDir: e.CacheDir,
	})
	if err != nil {
		return nil, nil, err
	}
	store, err := openStore(e.Keystore, keystores.Options{StateDir: e.StateDir, Limit: keychainLimit, Passphrase: passphrase})
	return p, store, err
}

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
	var data []byte
	if !terminal.Is(a.stdin) {
		data, _ = io.ReadAll(io.LimitReader(a.stdin, errandLimit))
	}
	if wire.Unmarshal(data, &e) != nil {
		return fmt.Errorf("%w: renew is for loopkey itself: run loopkey token --force-refresh", errUsage)
	}
	p, store, err := e.open(keychainLimitScript, func(context.Context, bool) (string, error) { return e.Passphrase, nil })
	if err != nil {
		return err
	}
	s := session.New(session.Config{Profile: e.Profile, Provider: p, Store: store, StateDir: e.StateDir})
	s.Renew(ctx, e.Order, func(reply []byte) {
		_, err = a.stdout.Write(reply)
		if pipe, ok := a.stdout.(io.Closer); ok { // its end is the end of the reply, whatever is still to be done
			_ = pipe.Close()
		}
	})
	return err
}

// runApart has a process of its own run the errand, and returns what it wrote. It
// stops waiting when ctx ends; the process goes on.
func (a *app) runApart(ctx context.Context, e errand, passphrase keystores.Passphrase, order []byte) ([]byte, error) {
	e.Order = order
	var err error
	if wantsPassphrase(e.Keystore) {
		if e.Passphrase, err = passphrase(ctx, false); err != nil { // known by now
			return nil, err
		}
	}
	data, err := wire.Marshal(&e) // for a pipe to ourselves
	if err != nil {
		return nil, err
	}
	self, err := executable()
	if err != nil {
		return nil, session.ErrNotApart
	}
	cmd := exec.Command(self, "renew") //nolint:noctx,gosec // ourselves; an end of ctx must not end it
	cmd.Args[0] = os.Args[0]
	cmd.Env = environ.WithoutSecrets(a.env)
	cmd.SysProcAttr = apart()
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
