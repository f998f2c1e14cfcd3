package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
)

func (a *app) unlock() *cobra.Command {
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "Ask for the session file's passphrase once, for all commands",
		Long: `Asks for the passphrase of the encrypted session file, and lets its key rest with
the system: in the kernel's keyring on Linux, encrypted by DPAPI on Windows, in
the keychain on macOS. No command asks until --for ends it, or loopkey lock.`,
		Example: `  loopkey unlock --for 2h`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runUnlock(cmd.Context(), lifetime, cmd.Flags().Changed("for"))
		},
	}
	cmd.Flags().DurationVar(&lifetime, "for", 0, "how long (default unlock_for in the profile, or 8h)")
	return cmd
}

func (a *app) runUnlock(ctx context.Context, lifetime time.Duration, given bool) error {
	if given && (lifetime < time.Second || lifetime > config.MostUnlocked) {
		return fmt.Errorf("%w: --for is a time from one second to %s", errUsage, words.Duration(config.MostUnlocked))
	}
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	store, err := a.openStore(keystores.File, cfg.StateDir, keychainLimitPerson)
	if err != nil {
		return err
	}
	unlocker, ok := store.(keystore.Unlocker)
	if !ok {
		return keystore.ErrNotFound
	}
	until, err := unlocker.Unlock(ctx, cmp.Or(lifetime, cfg.UnlockFor, config.DefaultUnlocked))
	if errors.Is(err, keystore.ErrNotFound) {
		a.say("No session is in an encrypted file, so there is nothing to unlock.\nThe OS keychain has a lock of its own.")
		return nil
	}
	if err != nil {
		return err
	}
	a.say("Unlocked until %s.", words.Moment(until, time.Now()))
	return nil
}
