package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// Limits on the keychain: a script must not hang on a dialog that nobody sees, a person may be typing a password.
const (
	keychainLimitScript = 9 * time.Second
	keychainLimitPerson = 55 * time.Second
)

// An account is what the commands work on: a session, with the configuration that led to it.
type account struct {
	config   *config.Config
	provider *provider.Provider
	session  *session.Session
	store    keystore.Store
}

// configure reads the configuration.
func (a *app) configure() (*config.Config, error) {
	input := config.Input{Flags: a.flags, Environ: a.env}
	if !a.isolated {
		if dir, err := os.Getwd(); err == nil { // a directory that is gone holds no .env
			input.Dir = dir
		}
	}
	return config.Load(input)
}

// account opens the session that the configuration names, without reading it. Where
// no issuer is configured, the one that the profile remembers is meant.
func (a *app) account(keychainLimit time.Duration) (*account, error) {
	cfg, err := a.configure()
	if err != nil {
		return nil, err
	}
	if err := recall(cfg); err != nil {
		return nil, err
	}
	return a.open(cfg, keychainLimit)
}

func (a *app) open(cfg *config.Config, keychainLimit time.Duration) (*account, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	secret, err := cfg.ClientSecret()
	if err != nil {
		return nil, err
	}
	passphrase := a.passphrase()
	e := errand{
		Profile: cfg.Profile, Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: secret, Auth0: cfg.Auth0,
		AudienceParameter: cfg.AudienceParameter, Keystore: cfg.Keystore, CacheDir: cfg.CacheDir, StateDir: cfg.StateDir,
	}
	p, store, err := e.open(keychainLimit, passphrase)
	if err != nil {
		return nil, err
	}
	return &account{
		config: cfg, provider: p, store: store,
		session: session.New(session.Config{
			Profile: cfg.Profile, Provider: p, Store: store, StateDir: cfg.StateDir, Known: knownOf(cfg), MayAskAudiences: cfg.RefreshAudiences,
			Apart: func(ctx context.Context, order []byte) ([]byte, error) {
				return a.runApart(ctx, e, passphrase, order)
			},
			Notice: func(text string) { a.say("loopkey: %s", words.Printable(text)) },
		}),
	}, nil
}

// recall completes a configuration that names no issuer from the one session that the profile has.
// Where ./.env names it, what it says of a session that is there already counts for nothing: called an
// Auth0 tenant, a provider might be asked for what makes it end the session.
func recall(cfg *config.Config) error {
	if cfg.Issuer != "" {
		if cfg.FromDotEnv("issuer") {
			if k, ok := session.Recall(cfg.StateDir, session.Name(cfg.Profile, cfg.Issuer, cfg.ClientID)); ok {
				remembered(cfg, k)
			}
		}
		return nil
	}
	all, err := session.All(cfg.StateDir)
	if err != nil {
		return err
	}
	var found []session.Known
	for _, k := range all {
		if k.Profile == cfg.Profile && (cfg.ClientID == "" || cfg.ClientID == k.ClientID) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("profile %q: %w, and no issuer is configured", cfg.Profile, session.ErrNotLoggedIn)
	case 1:
		remembered(cfg, found[0])
		return nil
	}
	var issuers []string
	for _, k := range found {
		issuers = append(issuers, k.Issuer+" (client "+k.ClientID+")")
	}
	return fmt.Errorf("%w: profile %q is logged in at %s: say which with --issuer and --client-id",
		errUsage, cfg.Profile, strings.Join(issuers, " and "))
}

// remembered points a configuration at a session of before.
func remembered(cfg *config.Config, k session.Known) {
	cfg.Remember(k.Issuer, k.ClientID, k.Auth0, k.AudienceParameter, k.Keystore, k.BaseURL)
}

func openStore(kind, stateDir string, limit time.Duration, passphrase passphraseFunc) (keystore.Store, error) {
	switch kind, path, _ := strings.Cut(kind, ":"); kind {
	case "keychain":
		return keystore.Keychain(keystore.KeychainOptions{Limit: limit}), nil
	case "file":
		return keystore.File(filepath.Join(stateDir, "sessions"), passphrase), nil
	case "socket":
		return keystore.Dial(path), nil
	default:
		return nil, fmt.Errorf("%w: --keystore is %q: it is keychain or file", errUsage, kind)
	}
}

// A passphraseFunc gives the encrypted file's passphrase.
type passphraseFunc = func(ctx context.Context, confirm bool) (string, error)

// passphrase asks for the encrypted file's passphrase: LOOPKEY_PASSPHRASE, else the person, once.
func (a *app) passphrase() passphraseFunc {
	var once sync.Mutex
	known := a.lookup("LOOPKEY_PASSPHRASE")
	return func(ctx context.Context, confirm bool) (string, error) {
		once.Lock()
		defer once.Unlock()
		if known != "" {
			return known, nil
		}
		answer, err := a.ask(ctx, "Passphrase for loopkey's session file: ")
		if err != nil {
			return "", err
		}
		if confirm {
			again, err := a.ask(ctx, "The same once more: ")
			if err != nil {
				return "", err
			}
			if again != answer {
				return "", &keystore.UnavailableError{Why: "the two passphrases differ", Next: "try again"}
			}
		}
		known = answer
		return answer, nil
	}
}

// ask reads a line from the terminal without showing it.
func (a *app) ask(ctx context.Context, prompt string) (string, error) {
	missing := &keystore.UnavailableError{
		Why: "the encrypted file needs a passphrase and there is no terminal to ask on", Next: "set LOOPKEY_PASSPHRASE",
	}
	tty, err := os.Open(ttyPath) // not stdin: that may be a pipe with something else in it
	if err != nil {
		return "", missing
	}
	defer tty.Close()
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", missing
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	_, _ = io.WriteString(a.stderr, prompt)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done(): // the terminal must not stay silent
		_ = term.Restore(fd, before)
		_, _ = io.WriteString(a.stderr, "\n")
		return "", context.Cause(ctx)
	case l := <-read:
		_, _ = io.WriteString(a.stderr, "\n")
		if l.err != nil || len(l.text) == 0 {
			return "", &keystore.UnavailableError{Why: "no passphrase was given", Next: "set LOOPKEY_PASSPHRASE, or type it", Err: errors.Join(l.err)}
		}
		return string(l.text), nil
	}
}
