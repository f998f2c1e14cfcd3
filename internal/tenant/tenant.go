// Package tenant is a small but complete OpenID provider for this machine: the
// demo runs on it, and so do the tests. It shares no code with the client that it
// serves, so that the two can disagree.
//
// It knows the authorization code flow with PKCE, refresh tokens that rotate with
// reuse detection, the device grant, pushed requests, UserInfo, revocation,
// RP-initiated and back-channel logout, and the ways in which Auth0 differs.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config says which provider to play. The zero value is an OpenID provider without clients and users.
type Config struct {
	Addr  string // "" = 127.0.0.1:0; a loopback address
	Path  string // the issuer's path, as written in the issuer
	Auth0 bool   // plays an Auth0 tenant: its endpoints, `audience`, organizations, and its silent answers

	Clients []Client
	Users   []User

	HideEndSession           bool // discovery shows no end_session_endpoint, as older Auth0 tenants
	NoRevocation             bool
	RequirePAR               bool
	RequireConsentForOffline bool // drops offline_access unless prompt=consent was sent (OpenID Connect Core 1.0, section 11)
	Rotate                   bool // refresh tokens are used once; a second use revokes the family (RFC 9700, section 4.14.2)
	OpaqueAccessTokens       bool // else JWTs (RFC 9068)
	LeanIDTokens             bool // names and addresses come from UserInfo alone

	AccessTokenLifetime, IDTokenLifetime, RefreshTokenLifetime time.Duration // 0: an hour, ten hours, thirty days
	CacheControl                                               string        // of discovery and keys; "" = public, max-age=3600
	Alg                                                        string        // RS256 (default), PS256, ES256 or EdDSA

	// Hooks for tests: what is about to be signed or sent may be changed.
	OnIDToken, OnAccessToken, OnTokenResponse func(map[string]any)
	Intercept                                 func(endpoint string, w http.ResponseWriter, r *http.Request) bool // true: answered

	Now func() time.Time // nil: time.Now
}

// A Client is a registered application.
type Client struct {
	ID, Secret                           string // no secret: a public client, PKCE demanded
	RedirectURIs, PostLogoutRedirectURIs []string
	Audiences                            []string // the APIs that it may have tokens for
	BackchannelLogoutURI                 string
}

// A User can log in with email and password.
type User struct {
	Subject, Email, Name, Password, Picture string
	Claims                                  map[string]any // more of them, put into ID tokens and UserInfo
}

// A Tenant is a running provider.
type Tenant struct {
	cfg    Config
	issuer string
	server *http.Server
	served chan struct{}
	pages  *pages

	mu       sync.Mutex
	counts   map[string]int
	failures map[string]int
	keys     []*signingKey // the newest first
	browsers map[string]*browserSession
	requests map[string]*authorization // pushed, by request_uri
	codes    map[string]*grantedCode
	refresh  map[string]*refreshToken
	access   map[string]*accessGrant
	devices  map[string]*deviceGrant // by device code
	reused   int

	userCodes chan string
}

// Start runs a tenant on a loopback address until Close, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Tenant, error) {
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = listener.Close()
		return nil, errors.New("tenant: it serves loopback addresses alone")
	}
	t, err := newTenant(cfg, "http://"+listener.Addr().String())
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	t.server = &http.Server{
		Handler: t.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = t.server.Close() })
	go func() {
		defer close(t.served)
		defer stop()
		_ = t.server.Serve(listener)
	}()
	return t, nil
}

func newTenant(cfg Config, origin string) (*Tenant, error) {
	if cfg.Auth0 && cfg.Path == "" {
		cfg.Path = "/" // Auth0's issuers end in one
	}
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	orElse(&cfg.AccessTokenLifetime, time.Hour)
	orElse(&cfg.IDTokenLifetime, 10*time.Hour)
	orElse(&cfg.RefreshTokenLifetime, 30*24*time.Hour)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.CacheControl == "" {
		cfg.CacheControl = "public, max-age=3600"
	}
	if cfg.Alg == "" {
		cfg.Alg = "RS256"
	}
	key, err := newSigningKey(cfg.Alg)
	if err != nil {
		return nil, err
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	return &Tenant{
		cfg: cfg, issuer: origin + cfg.Path, served: make(chan struct{}), pages: pages, keys: []*signingKey{key},
		counts: map[string]int{}, failures: map[string]int{}, browsers: map[string]*browserSession{},
		requests: map[string]*authorization{}, codes: map[string]*grantedCode{}, refresh: map[string]*refreshToken{},
		access: map[string]*accessGrant{}, devices: map[string]*deviceGrant{},
		userCodes: make(chan string, 16),
	}, nil
}

// Close ends the tenant and waits for its end.
func (t *Tenant) Close() {
	_ = t.server.Close()
	<-t.served
}

// Issuer returns the issuer as discovery writes it.
func (t *Tenant) Issuer() string { return t.issuer }

// url returns the address of one of the tenant's own paths.
func (t *Tenant) url(path string) string { return strings.TrimSuffix(t.issuer, "/") + path }

// path names an endpoint, as Auth0 does or as others do.
func (t *Tenant) path(auth0, other string) string {
	if t.cfg.Auth0 {
		return auth0
	}
	return other
}

func (t *Tenant) routes() http.Handler {
	mux := http.NewServeMux()
	base := strings.TrimSuffix(t.cfg.Path, "/")
	route := func(method, path, endpoint string, handler http.HandlerFunc) {
		mux.HandleFunc(method+" "+base+path, t.endpoint(endpoint, handler))
	}
	route("GET", "/.well-known/openid-configuration", "discovery", t.discovery)
	route("GET", "/.well-known/oauth-authorization-server", "discovery", t.discovery)
	route("GET", "/.well-known/jwks.json", "keys", t.jwks)
	route("GET", "/authorize", "authorize", t.authorize)
	route("POST", "/authorize", "authorize", t.decide)
	route("POST", t.path("/oauth/par", "/par"), "par", t.push)
	route("POST", t.path("/oauth/token", "/token"), "token", t.token)
	route("GET", "/userinfo", "userinfo", t.userinfo)
	route("POST", t.path("/oauth/revoke", "/revoke"), "revoke", t.revoke)
	route("POST", t.path("/oauth/device/code", "/device/code"), "device", t.deviceCode)
	route("GET", "/device", "device_page", t.devicePage)
	route("POST", "/device", "device_page", t.deviceDecide)
	route("GET", t.path("/oidc/logout", "/logout"), "end_session", t.endSession)
	route("POST", t.path("/oidc/logout", "/logout"), "end_session", t.endSession)
	if t.cfg.Auth0 {
		route("GET", "/v2/logout", "end_session", t.v2Logout)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// endpoint counts a request and lets tests stand in for its answer.
func (t *Tenant) endpoint(name string, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		t.counts[name]++
		status := t.failures[name]
		t.mu.Unlock()
		switch {
		case t.cfg.Intercept != nil && t.cfg.Intercept(name, w, r):
		case status != 0:
			http.Error(w, http.StatusText(status), status)
		default:
			handler(w, r)
		}
	}
}

// Requests counts the requests to an endpoint since the start or the last Reset:
// discovery, keys, authorize, par, token, userinfo, revoke, device, end_session.
func (t *Tenant) Requests(endpoint string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[endpoint]
}

// Reset counts from zero again.
func (t *Tenant) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.counts)
}

// Fail makes an endpoint answer with a status; 0 mends it.
func (t *Tenant) Fail(endpoint string, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures[endpoint] = status
}

// SetAccessTokenLifetime changes how long the access tokens live that are given from now on.
func (t *Tenant) SetAccessTokenLifetime(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.AccessTokenLifetime = d
}

// RevokeAll takes back every refresh token of a user.
func (t *Tenant) RevokeAll(subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, token := range t.refresh {
		if token.family.user.Subject == subject {
			token.family.revoked = true
		}
	}
}

// ReusedFamilies counts the families of refresh tokens that were revoked because one of them was used twice.
func (t *Tenant) ReusedFamilies() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reused
}

func (t *Tenant) client(id string) *Client {
	i := slices.IndexFunc(t.cfg.Clients, func(c Client) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &t.cfg.Clients[i]
}

func (t *Tenant) user(email string) *User {
	i := slices.IndexFunc(t.cfg.Users, func(u User) bool { return strings.EqualFold(u.Email, email) })
	if i < 0 {
		return nil
	}
	return &t.cfg.Users[i]
}
