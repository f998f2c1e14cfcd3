package cli

import (
	"context"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// An account is what most commands work on: a session, and the configuration that names it.
type account struct {
	config   *config.Config
	provider *provider.Provider
	session  *session.Session
	store    keystore.Store
	rebase   func(baseURL string) // makes session anew, for another base URL in its note; nil: it has none

	elsewhere      string // the keystore of the last login, where the command was told another one
	withoutOffline bool   // the login leaves out offline_access, which the provider does not know
	oneAudience    bool   // the login asks for one audience, as the person wants it
}

// configure reads the configuration.
func (a *app) configure() (*config.Config, error) {
	cfg, err := config.Load(a.input())
	a.config = cfg
	a.traceConfig(cfg)
	return cfg, err
}

// input returns what the configuration of the command is read from.
func (a *app) input() config.Input {
	input := config.Input{Flags: a.flags, Params: a.params, Environ: a.env}
	if !a.isolated {
		if dir, err := os.Getwd(); err == nil { // a folder that was deleted holds no .env
			input.Dir = dir
		}
	}
	return input
}

// account opens the account that the configuration names, or the one that the profile is logged in to. It does not read
// the session.
func (a *app) account(keychainLimit time.Duration) (*account, error) {
	cfg, err := a.sessionConfig()
	if err != nil {
		return nil, err
	}
	return a.open(cfg, keychainLimit)
}

// open opens the account that a configuration names.
func (a *app) open(cfg *config.Config, keychainLimit time.Duration) (*account, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	if err := cfg.Needs("client-key", "client-certificate", "client-certificate-key"); err != nil {
		return nil, err
	}
	if k, ok := cfg.Noted(); ok {
		cfg.KeepCredentials(k)
	}
	secret, err := cfg.ClientSecret()
	if err != nil {
		return nil, err
	}
	return a.openWith(cfg, secret, keychainLimit)
}

// openWith opens the account that a complete configuration names, with a client secret.
func (a *app) openWith(cfg *config.Config, secret string, keychainLimit time.Duration) (*account, error) {
	elsewhere := ""
	if k, ok := cfg.Noted(); ok {
		cfg.RememberDiscovery(k)
		cfg.KeepDPoP(k)
		cfg.KeepCredentials(k)
		cfg.KeepKeystore(k)
		if !slices.Contains(k.Keystores(), cfg.Keystore) {
			elsewhere = k.Keystore
		}
	}
	e := errand{
		Client: cfg.Client, ClientSecret: secret, CacheDir: cfg.CacheDir, StateDir: cfg.StateDir,
		NoLog: !cfg.Log, Push: cfg.Push, SignRequests: cfg.SignRequests,
	}
	limits := session.Limits{MaxAge: cfg.SessionMaxAge, Idle: cfg.SessionIdle}
	acc, err := a.accountOf(e, cfg.RefreshAudiences, limits, keychainLimit)
	if err != nil {
		return nil, err
	}
	acc.config, acc.elsewhere = cfg, elsewhere
	a.opened = acc
	return acc, nil
}

// openKnown opens the account that the configuration of a noted session names. The secret of a client that loopkey
// registered itself is in the keystore.
func (a *app) openKnown(ctx context.Context, cfg *config.Config, keychainLimit time.Duration) (*account, error) {
	if cfg.Resource == "" {
		return a.open(cfg, keychainLimit)
	}
	store, err := a.openStore(cfg.Keystore, cfg.StateDir, keychainLimit)
	if err != nil {
		return nil, err
	}
	secret, err := mcp.ClientSecret(ctx, store, cfg.Issuer, cfg.ClientID)
	if err != nil {
		return nil, err
	}
	return a.openWith(cfg, secret.Reveal(), keychainLimit)
}

// accountOf opens the account of an errand, without a configuration.
func (a *app) accountOf(
	e errand, mayAskAudiences bool, limits session.Limits, keychainLimit time.Duration,
) (*account, error) {
	p, store, err := a.openErrand(e, keychainLimit)
	if err != nil {
		return nil, err
	}
	acc := &account{provider: p, store: store}
	acc.rebase = func(baseURL string) {
		e.BaseURL = baseURL
		acc.session = session.New(session.Config{
			Profile: e.Profile, Provider: p, Store: store, StateDir: e.StateDir, Known: e.Client, Resource: e.Resource,
			MayAskAudiences: mayAskAudiences,
			Apart: func(ctx context.Context, order []byte) ([]byte, error) {
				return a.runApart(ctx, e, order)
			},
			Limits: limits, Notice: a.notice, Record: e.record(),
		})
	}
	acc.rebase(e.BaseURL)
	return acc, nil
}

// openErrand returns the provider and the keystore of an errand. It asks neither for anything.
func (a *app) openErrand(e errand, keychainLimit time.Duration) (*provider.Provider, keystore.Store, error) {
	cfg := config.ProviderOf(e.Client)
	cfg.ClientSecret, cfg.CacheDir, cfg.Logger = provider.NewSecret(e.ClientSecret), e.CacheDir, a.trace()
	store, err := a.openStore(e.Keystore, e.StateDir, keychainLimit)
	if err != nil {
		return nil, nil, err
	}
	cfg.Push, cfg.SignRequests = e.Push, e.SignRequests
	cfg.ClientKey, cfg.ClientCertificate = clientKey(e, store), clientCertificate(e)
	p, err := provider.New(cfg)
	return p, store, err
}

// keep stores a new login, and revokes the refresh token of the login that it replaces. It returns loopback.ErrAgain
// where the provider revoked both.
func (a *app) keep(ctx context.Context, acc *account, t *provider.Tokens, mayReplace func(subject string) bool) error {
	replaced, err := acc.session.Replace(ctx, t, mayReplace)
	if err != nil {
		return err
	}
	again, err := acc.session.Retire(ctx, replaced)
	if again {
		return loopback.ErrAgain
	}
	if err != nil {
		a.say("The previous login could not be ended at the provider: %s", words.Printable(err.Error()))
	}
	return nil
}

// sayStoring says, if ctx ends before stop is called, that the login is stored all the same.
func (a *app) sayStoring(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { a.say("The provider has granted the login; it is being stored.") })
}

// anySubject lets a login at the terminal replace anyone's session.
func anySubject(string) bool { return true }

// holder returns what a loopkey that holds the port must be to do this account's work.
func (acc *account) holder() handoff.Holder {
	return handoff.Holder{Session: acc.session.Name(), Setup: map[string]string{
		"keystore": acc.config.Keystore, "discovery URL": acc.config.DiscoveryURL,
		"audience parameter": acc.config.AudienceParameter, "DPoP": strconv.FormatBool(acc.config.DPoP),
		"pushed requests": strconv.FormatBool(acc.config.Push),
		"signed requests": strconv.FormatBool(acc.config.SignRequests),
		"client key":      acc.config.ClientKey, "client certificate": acc.config.ClientCertificate,
		"client authentication": acc.config.ClientAuth,
	}}
}

// wanted returns what a login of the account asks for, with params.
func (acc *account) wanted(params url.Values) login.Wanted {
	return login.Wanted{
		Scope: acc.chosenScope(), Audience: acc.config.Audience, Audiences: acc.furtherAudiences(), Params: params,
	}
}

// furtherAudiences returns what a login of the account asks for beside the one audience, where the provider takes
// several.
func (acc *account) furtherAudiences() []string {
	if acc.oneAudience || !acc.provider.TakesAudiences() {
		return nil
	}
	return acc.config.Audiences
}

// server returns the loopkey that may hold the port of the account's base URL.
func (acc *account) server() handoff.Client {
	return acc.serverAt(localurl.BasePort(acc.config.BaseURL))
}
