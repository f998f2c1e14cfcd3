package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// ErrNoClient says that there is no client for the server's authorization server: none is configured, and none can be
// registered there.
var ErrNoClient = errors.New("the authorization server registers no clients by itself")

// A NoClientError is ErrNoClient with what has to be registered.
type NoClientError struct {
	Issuer      string
	RedirectURI string
}

func (e *NoClientError) Error() string {
	return fmt.Sprintf("%v: %s", ErrNoClient, words.Printable(e.Issuer))
}

// Unwrap returns ErrNoClient.
func (e *NoClientError) Unwrap() error { return ErrNoClient }

// A client is a client at an authorization server.
type client struct {
	id           string
	secret       provider.Secret
	redirectURIs []string // in the order in which they are tried
	registered   bool     // by this program
}

// A registration is a client that this program registered, as the keystore has it.
type registration struct {
	Version      int      `json:"v"`
	Issuer       string   `json:"issuer"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret,omitempty"`
	RedirectURIs []string `json:"redirect_uris"`
}

// registrationName returns the keystore's name of the client that is registered at an issuer.
func registrationName(issuer string) string {
	sum := sha256.Sum256([]byte(issuer))
	return "mcp-client." + hex.EncodeToString(sum[:8])
}

// loadRegistration returns the client that is registered at an issuer, or nil where there is none that can be read.
func loadRegistration(ctx context.Context, store keystore.Store, issuer string) (*registration, error) {
	record, err := store.Head(ctx, registrationName(issuer))
	switch {
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var r registration
	if json.Unmarshal(record.Head, &r) != nil || r.Version != 1 || r.Issuer != issuer || r.ClientID == "" {
		return nil, nil
	}
	return &r, nil
}

// ClientSecret returns the secret of a client that this program registered at an issuer, or the zero Secret where it
// has none.
func ClientSecret(ctx context.Context, store keystore.Store, issuer, clientID string) (provider.Secret, error) {
	r, err := loadRegistration(ctx, store, issuer)
	if err != nil || r == nil || r.ClientID != clientID {
		return provider.Secret{}, err
	}
	return provider.NewSecret(r.ClientSecret), nil
}

// ForgetClient deletes the client that this program registered at an issuer, if it is the one with that ID. The next
// login registers another one.
func ForgetClient(ctx context.Context, store keystore.Store, issuer, clientID string) error {
	r, err := loadRegistration(ctx, store, issuer)
	if err != nil || r == nil || r.ClientID != clientID {
		return err
	}
	return store.Delete(ctx, registrationName(issuer))
}

// client returns the client for an issuer: the configured one, else the one that is registered there, else a new one.
// The caller holds the lock of the server; the issuer's lock is taken meanwhile, for several servers may have the same.
func (a *Authorization) client(ctx context.Context, issuer string) (*client, error) {
	if a.isConfigured(issuer) {
		c := &client{id: a.cfg.ClientID, redirectURIs: a.cfg.ClientURIs}
		if len(c.redirectURIs) == 0 {
			c.redirectURIs = a.cfg.RedirectURIs[:1]
		}
		if a.isOwn(issuer) {
			c.secret = a.cfg.ClientSecret
		}
		return c, nil
	}
	lock, err := a.acquire(ctx, registrationName(issuer))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	kept, err := loadRegistration(ctx, a.cfg.Store, issuer)
	if err != nil {
		return nil, err
	}
	if kept == nil || !slices.Contains(kept.RedirectURIs, a.cfg.RedirectURIs[0]) {
		if kept, err = a.register(ctx, issuer); err != nil {
			return nil, err
		}
	}
	return &client{
		id: kept.ClientID, secret: provider.NewSecret(kept.ClientSecret), registered: true,
		redirectURIs: slices.DeleteFunc(slices.Clone(a.cfg.RedirectURIs), func(uri string) bool {
			return !slices.Contains(kept.RedirectURIs, uri)
		}),
	}, nil
}

// isConfigured reports whether the configuration names the client for an issuer.
func (a *Authorization) isConfigured(issuer string) bool {
	return a.cfg.ClientID != "" && (a.cfg.ClientIssuer == "" || a.cfg.ClientIssuer == issuer)
}

// register registers a client and keeps it. The caller holds the issuer's lock.
func (a *Authorization) register(ctx context.Context, issuer string) (*registration, error) {
	registered, err := provider.Register(ctx, a.providerConfig(issuer), provider.Registration{
		Name: "loopkey", RedirectURIs: a.cfg.RedirectURIs,
	})
	refused := new(provider.RefusedError)
	switch {
	case errors.Is(err, provider.ErrNoEndpoint):
		return nil, &NoClientError{Issuer: issuer, RedirectURI: a.cfg.RedirectURIs[0]}
	case errors.As(err, &refused) && refused.Reason == "": // such as a server whose registration wants a token
		return nil, fmt.Errorf("%w (%w)", &NoClientError{Issuer: issuer, RedirectURI: a.cfg.RedirectURIs[0]}, err)
	case err != nil:
		return nil, err
	}
	r := &registration{
		Version: 1, Issuer: issuer, ClientID: registered.ID, ClientSecret: registered.Secret.Reveal(),
		RedirectURIs: a.cfg.RedirectURIs,
	}
	head, err := json.Marshal(r) //nolint:gosec // the keystore is where secrets belong
	if err != nil {
		return nil, err
	}
	err = a.cfg.Store.Save(ctx, registrationName(issuer), keystore.Record{Head: head, Body: []byte("{}")})
	return r, err
}
