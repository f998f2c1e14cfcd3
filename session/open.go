package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// Options are for Open. Issuer and ClientID are required; the zero value of the rest is what most programs want.
type Options struct {
	Issuer, ClientID string
	DiscoveryURL     string          // of the metadata, where it is not under the issuer
	ClientSecret     provider.Secret // zero: a public client
	Auth0            bool            // the issuer is an Auth0 tenant under a domain of its own
	DPoP             bool            // a login binds its tokens to a key: provider.Config.DPoP
	Profile          string          // tells apart the sessions of one client; "": default
	AppName          string          // in the keychain, in folders and as User-Agent; "": loopkey, to share its sessions
	// Store is where the session rests; nil: the OS keychain, also where the last login of the command loopkey went to an
	// encrypted file. That one needs a passphrase, which only the program can ask for: give keystore.File then.
	Store      keystore.Store
	StateDir   string       // holds the session's lock; "": the platform's folder for AppName
	CacheDir   string       // holds what the provider publishes; "": the platform's folder for AppName
	HTTPClient *http.Client // nil: one with limits
	Now        func() time.Time
}

const loopkey = "loopkey"

// Open returns the session of a client at a provider. It makes no request to the provider. It asks the store once, so
// that a keychain that can't be used is known before anybody logs in: then the error wraps keystore.ErrUnavailable.
// That nobody is logged in is no error. Options that can't be used are provider.ErrConfig.
func Open(ctx context.Context, o Options) (*Session, error) {
	app, profile := cmp.Or(o.AppName, loopkey), cmp.Or(o.Profile, "default")
	for what, name := range map[string]string{"application": app, "profile": profile} {
		if !private.IsSessionName(name) {
			return nil, fmt.Errorf("%w: %q can't be the name of a %s", provider.ErrConfig, name, what)
		}
	}
	folders := private.FoldersOf(app, os.Getenv)
	stateDir := cmp.Or(o.StateDir, folders.State)
	if stateDir == "" {
		return nil, fmt.Errorf("%w: there is no folder for the session's lock: set %s",
			provider.ErrConfig, private.HomeVariable())
	}
	if app == loopkey {
		noted := known.Client{Profile: profile, Issuer: o.Issuer, ClientID: o.ClientID}
		if k, ok := known.Recall(stateDir, noted.Name()); ok {
			o.DiscoveryURL = cmp.Or(o.DiscoveryURL, k.DiscoveryURL)
			o.DPoP = o.DPoP || k.DPoP // nothing gets weaker by itself
		}
	}
	p, err := provider.New(provider.Config{
		Issuer: o.Issuer, DiscoveryURL: o.DiscoveryURL, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Auth0: o.Auth0,
		DPoP: o.DPoP, CacheDir: cmp.Or(o.CacheDir, folders.Cache), HTTPClient: o.HTTPClient, AppName: o.AppName, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	cfg := Config{
		Profile: profile, Provider: p, Store: o.Store, StateDir: stateDir, MayAskAudiences: p.Auth0(), Now: o.Now,
	}
	if o.Store == nil {
		cfg.Store = keystore.Keychain(keystore.KeychainOptions{Service: app})
		if app == loopkey {
			cfg.Known = known.Client{
				Profile: profile, Issuer: p.Issuer(), DiscoveryURL: o.DiscoveryURL,
				ClientID: p.ClientID(), Auth0: o.Auth0, DPoP: o.DPoP, Keystore: "keychain",
			}
		}
	}
	s := New(cfg)
	_, err = cfg.Store.Head(ctx, s.name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt) {
		return nil, s.named(err)
	}
	return s, nil
}
