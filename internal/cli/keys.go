package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/clientkey"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func (a *app) keys() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make and show the key by which the client authenticates",
		Long: `A client can authenticate by a private key in place of a secret (private_key_jwt),
and sign its authorization requests. The key is a file of yours, or one that
loopkey makes and keeps in the keystore. Its public half is registered with the
provider; what these commands print is public.`,
		Example: `  loopkey keys make
  loopkey config set client_key keystore
  loopkey keys show -o pem`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: keys needs make, show, rotate or delete: see %s --help", errUsage, cmd.CommandPath())
			}
			if meant := similar(args[0], commandNames(cmd)); meant != "" {
				return fmt.Errorf("%w: there is no keys %s: did you mean loopkey keys %s?", errUsage, args[0], meant)
			}
			return fmt.Errorf("%w: there is no keys %s: there are make, show, rotate and delete", errUsage, args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(a.keysMake(), a.keysShow(), a.keysRotate(), a.keysDelete())
	return cmd
}

const (
	keyForms     = "jwks, jwk or pem"
	algorithmUse = "ES256, RS256, PS256 or EdDSA (default: what the provider accepts)"
)

func (a *app) keysMake() *cobra.Command {
	var output, algorithm string
	cmd := &cobra.Command{
		Use: "make", Short: "Make a key in the keystore, and print its public half", Args: noArgs,
		Long: `Makes a key for the client and keeps it in the keystore. Register what it prints
with the provider, then let the client use it: loopkey config set client_key keystore`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runKeysMake(cmd.Context(), output, algorithm) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "jwks", keyForms)
	cmd.Flags().StringVar(&algorithm, "alg", "", algorithmUse)
	return cmd
}

func (a *app) keysShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show", Short: "Print the public half of the client's key", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runKeysShow(cmd.Context(), output) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "jwks", keyForms)
	return cmd
}

func (a *app) keysRotate() *cobra.Command {
	var output, algorithm string
	var finish bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace the key in the keystore by a new one, in two steps", Args: noArgs,
		Long: `Makes a new key beside the one that is in use, and prints both public halves.
Register the new one with the provider; then --finish puts it to use and deletes
the old one.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if finish {
				return a.runKeysFinish(cmd.Context())
			}
			return a.runKeysRotate(cmd.Context(), output, algorithm)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "jwks", keyForms)
	cmd.Flags().StringVar(&algorithm, "alg", "", "ES256, RS256, PS256 or EdDSA (default: as the key in use)")
	cmd.Flags().BoolVar(&finish, "finish", false, "use the new key, and delete the old one")
	return cmd
}

func (a *app) keysDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete", Short: "Delete the client's keys from the keystore", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runKeysDelete(cmd.Context()) },
	}
}

// ring returns the place of the client's keys, and the configuration that names the client.
func (a *app) ring() (clientkey.Ring, *config.Config, error) {
	cfg, err := a.configure()
	if err != nil {
		return clientkey.Ring{}, nil, err
	}
	cfg, err = a.recall(cfg)
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) { // then the configuration has to be complete
		return clientkey.Ring{}, nil, err
	}
	if err := cfg.Complete(); err != nil {
		return clientkey.Ring{}, nil, err
	}
	if k, ok := cfg.Noted(); ok {
		cfg.KeepKeystore(k)
		cfg.KeepCredentials(k)
	}
	store, err := a.openStore(cfg.Keystore, cfg.StateDir, keychainLimitPerson)
	return clientkey.Ring{
		Store: store, StateDir: cfg.StateDir, Issuer: cfg.Issuer, ClientID: cfg.ClientID,
	}, cfg, err
}

func (a *app) runKeysMake(ctx context.Context, output, algorithm string) error {
	if err := checkOutput(output, "jwks", "jwk", "pem"); err != nil {
		return err
	}
	ring, cfg, err := a.ring()
	if err != nil {
		return err
	}
	if algorithm == "" {
		if algorithm, err = a.acceptedAlgorithm(ctx, cfg); err != nil {
			return err
		}
	}
	var made *clientkey.Keys
	err = ring.Change(ctx, func(k *clientkey.Keys) (*clientkey.Keys, error) {
		if k != nil {
			return nil, fmt.Errorf("%w: there is a key already: %s makes a new one beside it", errUsage,
				a.situation(nil).line("keys rotate"))
		}
		key, err := newKey(algorithm)
		made = &clientkey.Keys{Current: key, Made: time.Now().UTC()}
		return made, err
	})
	if err != nil {
		return err
	}
	a.say("Made a key for the client %s at %s.\nRegister its public half, which follows, with the provider.",
		words.Printable(cfg.ClientID), words.Printable(cfg.Issuer))
	if cfg.ClientKey != config.KeyInKeystore {
		a.say("Then let the client use it: %s", a.situation(nil).setting("client_key", config.KeyInKeystore))
	}
	return a.printKeys(output, made.Public())
}

// newKey is clientkey.New for an algorithm that a person named.
func newKey(algorithm string) (jose.JSONWebKey, error) {
	key, err := clientkey.New(algorithm)
	if errors.Is(err, clientkey.ErrAlgorithm) {
		return key, fmt.Errorf("%w: --alg is %q: it is one of %s", errUsage, algorithm,
			strings.Join(clientkey.Algorithms(), ", "))
	}
	return key, err
}

// acceptedAlgorithm returns the first of our algorithms that the provider accepts in client assertions: RS256 where it
// does not say.
func (a *app) acceptedAlgorithm(ctx context.Context, cfg *config.Config) (string, error) {
	of := config.ProviderOf(cfg.Client)
	of.CacheDir, of.Logger = cfg.CacheDir, a.trace()
	p, err := provider.New(of)
	if err != nil {
		return "", err
	}
	support, err := p.Support(ctx)
	if err != nil {
		return "", err
	}
	for _, algorithm := range clientkey.Algorithms() {
		if slices.Contains(support.AssertionAlgorithms, algorithm) {
			return algorithm, nil
		}
	}
	return "RS256", nil
}

func (a *app) runKeysShow(ctx context.Context, output string) error {
	if err := checkOutput(output, "jwks", "jwk", "pem"); err != nil {
		return err
	}
	ring, cfg, err := a.ring()
	if err != nil {
		return err
	}
	if err := cfg.Needs("client-key"); err != nil {
		return err
	}
	if cfg.ClientKey == "" || cfg.ClientKey == config.KeyInKeystore {
		k, err := ring.Load(ctx)
		if err != nil {
			return err
		}
		return a.printKeys(output, k.Public())
	}
	read, err := clientkey.Read(cfg.ClientKey)
	if err != nil {
		return err
	}
	return a.printKeys(output, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: read.Signer.Public(), KeyID: read.ID, Algorithm: read.Algorithm, Use: "sig",
	}}})
}

func (a *app) runKeysRotate(ctx context.Context, output, algorithm string) error {
	if err := checkOutput(output, "jwks", "jwk", "pem"); err != nil {
		return err
	}
	ring, _, err := a.ring()
	if err != nil {
		return err
	}
	var all *clientkey.Keys
	err = ring.Change(ctx, func(k *clientkey.Keys) (*clientkey.Keys, error) {
		if k == nil {
			return nil, clientkey.ErrNone
		}
		if all = k; k.Next != nil {
			return k, nil
		}
		if algorithm == "" {
			algorithm = k.Current.Algorithm
		}
		next, err := newKey(algorithm)
		k.Next, k.NextMade = &next, time.Now().UTC()
		return k, err
	})
	if err != nil {
		return err
	}
	a.say("The old key is in use until you run %s --finish.\nRegister the new one beside it first: the last of these.",
		a.situation(nil).line("keys rotate"))
	return a.printKeys(output, all.Public())
}

func (a *app) runKeysFinish(ctx context.Context) error {
	ring, _, err := a.ring()
	if err != nil {
		return err
	}
	err = ring.Change(ctx, func(k *clientkey.Keys) (*clientkey.Keys, error) {
		switch {
		case k == nil:
			return nil, clientkey.ErrNone
		case k.Next == nil:
			return nil, fmt.Errorf("%w: there is no new key: %s makes one", errUsage, a.situation(nil).line("keys rotate"))
		}
		return &clientkey.Keys{Current: *k.Next, Made: k.NextMade}, nil
	})
	if err != nil {
		return err
	}
	a.say("The new key is in use, and the old one is deleted: take it out at the provider.")
	return nil
}

func (a *app) runKeysDelete(ctx context.Context) error {
	ring, cfg, err := a.ring()
	if err != nil {
		return err
	}
	said := "There is no client key in the keystore."
	if _, err := ring.Load(ctx); !errors.Is(err, clientkey.ErrNone) { // also one that can't be read is deleted
		if err := ring.Delete(ctx); err != nil {
			return err
		}
		said = "Deleted the client's key: take it out at the provider too."
	}
	a.say("%s", said)
	if cfg.ClientKey == config.KeyInKeystore {
		a.sayKeyNamed(cfg)
	}
	return nil
}

// sayKeyNamed says how the client stops using a key that is deleted: until then its next login would look for it.
func (a *app) sayKeyNamed(cfg *config.Config) {
	switch origin := cfg.Origin("client-key"); {
	case strings.HasPrefix(origin, "profile "):
		a.say("The profile still names it. To take it out there, run:\n  %s", a.situation(nil).setting("client_key", ""))
	case origin == config.LastLogin:
		a.say("The session was made with it: %s ends that.", a.situation(nil).line("logout"))
	case !strings.HasPrefix(origin, "flag "):
		a.say("%s still names it: unset that.", words.Sentence(words.Printable(origin)))
	}
}

// printKeys prints public keys: all of them as a set, or the newest one, which is the one to register.
func (a *app) printKeys(output string, set jose.JSONWebKeySet) error {
	newest := set.Keys[len(set.Keys)-1]
	if output == "pem" {
		text, err := clientkey.PublicPEM(newest)
		if err != nil {
			return err
		}
		return a.print("raw", string(bytes.TrimSpace(text)), nil)
	}
	if output == "jwk" {
		return a.print("json", "", newest)
	}
	return a.print("json", "", set)
}
