package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/session"
)

func (a *app) lock() *cobra.Command {
	return &cobra.Command{
		Use:   "lock",
		Short: "Forget the session file's key, and tokens that are in memory",
		Long: `Makes the system forget the keys of all encrypted session files of yours, so that
the passphrase is needed again, and a running agent or serve forget their tokens.
Nobody is logged out. Sessions in the OS keychain can be read while that is unlocked.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runLock(cmd.Context()) },
	}
}

func (a *app) runLock(ctx context.Context) error {
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	if err := keystores.Lock(ctx, cfg.StateDir); err != nil {
		return err
	}
	if err := session.Touch(cfg.StateDir); err != nil {
		return err
	}
	a.say("Locked: sessions in an encrypted file need their passphrase again.\n" +
		"Those in the OS keychain can be read while that is unlocked.")
	return nil
}
