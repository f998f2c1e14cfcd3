package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const (
	clientID = "tests"
	redirect = "http://localhost:3000/auth/callback"
	verifier = "0123456789012345678901234567890123456789012"
	api      = "https://api.example.com/"
	other    = "https://other.example.com/"
)

// A scene is a tenant, and a session of a user there. Its clock can be set forward.
type scene struct {
	t      *testing.T
	tenant *tenant.Tenant
	p      *provider.Provider
	store  keystore.Store
	cfg    session.Config
	ahead  atomic.Int64
}

func newScene(t *testing.T, cfg tenant.Config) *scene {
	t.Helper()
	s := &scene{t: t, store: keystore.Memory()}
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	cfg.Now = now
	cfg.Clients = []tenant.Client{{ID: clientID, RedirectURIs: []string{redirect}, Audiences: []string{api, other}}}
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada", Password: "x"}}
	var err error
	if s.tenant, err = tenant.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.tenant.Close)
	s.p, err = provider.New(provider.Config{
		Issuer: s.tenant.Issuer(), ClientID: clientID, Auth0: cfg.Auth0, DPoP: cfg.DPoP, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = session.Config{
		Profile: "default", Provider: s.p, Store: s.store, StateDir: t.TempDir(), Now: now, MayAskAudiences: cfg.Auth0,
	}
	return s
}

// process returns the session as another process sees it.
func (s *scene) process() *session.Session { return session.New(s.cfg) }

func (s *scene) tokens(audience string) *provider.Tokens {
	s.t.Helper()
	return s.granted("openid profile email offline_access", "n", audience)
}

// granted returns what the tenant grants for a scope and an audience. Without a nonce it is a login without OpenID
// Connect.
func (s *scene) granted(scope, nonce, audience string, further ...string) *provider.Tokens {
	s.t.Helper()
	ctx := s.t.Context()
	sum := sha256.Sum256([]byte(verifier))
	prover, err := s.p.NewProver(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	target, err := s.p.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: redirect, State: "s", Nonce: nonce, Scope: scope, Audience: audience, Audiences: further,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]), Prover: prover,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	page, err := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: redirect}.Visit(ctx, target)
	if err != nil {
		s.t.Fatal(err)
	}
	back, err := url.Parse(page.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := s.p.Exchange(ctx, provider.CodeExchange{
		Code: provider.NewSecret(back.Query().Get("code")), RedirectURI: redirect,
		CodeVerifier: provider.NewSecret(verifier), Nonce: nonce, Audience: audience, Audiences: further,
		Prover: prover,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return tokens
}

func (s *scene) login(audience string) *provider.Tokens {
	s.t.Helper()
	tokens := s.tokens(audience)
	if err := s.process().Begin(s.t.Context(), tokens); err != nil {
		s.t.Fatal(err)
	}
	s.tenant.Reset()
	return tokens
}

// forgetKeys empties the cache of the provider's keys, so that they are fetched again.
func (s *scene) forgetKeys() {
	s.t.Helper()
	var err error
	s.p, err = provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID, Now: s.cfg.Now})
	if err != nil {
		s.t.Fatal(err)
	}
	s.cfg.Provider = s.p
}

func (s *scene) get(r session.Request) (session.AccessToken, error) {
	return s.process().AccessToken(s.t.Context(), r)
}

func (s *scene) requests(want int) {
	s.t.Helper()
	if got := s.tenant.Requests("token"); got != want {
		s.t.Errorf("%d token requests, not %d", got, want)
	}
	s.tenant.Reset()
}

func refuse(body string) func(string, http.ResponseWriter, *http.Request) bool {
	return func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
		if endpoint != "token" || r.PostFormValue("grant_type") != "refresh_token" {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// stored returns what a test needs of the session's body in the keystore.
func (s *scene) stored() (body struct {
	RefreshToken string `json:"refresh_token"`
}) {
	s.t.Helper()
	record, err := s.store.Load(s.t.Context(), s.process().Name())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(record.Body, &body); err != nil {
		s.t.Fatal(err)
	}
	return body
}

type failing struct {
	keystore.Store
	err error
}

func (f failing) Save(context.Context, string, keystore.Record) error { return f.err }

// renewed returns the reply of a process that makes a renewal.
func renewed(ctx context.Context, apart *session.Session, order []byte) (reply []byte) {
	apart.Renew(ctx, order, func(came []byte) { reply = came })
	return reply
}

// offline is a network that leads nowhere.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("offline")
}
