// Package tenant is a small but complete OpenID provider on a loopback address. The demo and the tests run on it. It
// shares no code with the client, so that a mistake in the client is not repeated here.
//
// It offers the authorization code flow with PKCE, refresh tokens that rotate with reuse detection, the device grant,
// client credentials, token exchange, JWT bearer and identity assertions (ID-JAG), pushed and signed authorization
// requests, clients that authenticate by a key, UserInfo, revocation, RP-initiated and back-channel logout. With
// Config.Auth0 it differs from the specifications where Auth0 does. With Config.OAuth it registers clients too (RFC
// 7591).
package tenant

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Config says which provider the tenant plays. The zero value is an OpenID provider without clients and users.
type Config struct {
	Addr string // a loopback address; "": 127.0.0.1:0
	Path string // the issuer's path, as written in the issuer
	// Auth0 plays an Auth0 tenant: its endpoints, the parameter audience, organizations, and access tokens for the
	// default audience where another was asked for.
	Auth0 bool
	// OAuth plays an authorization server for the resource servers of others: a login need not ask for openid, and
	// clients register themselves (RFC 7591). Those may have tokens for Resources.
	OAuth     bool
	Resources []string

	// Trusted are the issuers whose JWTs for this tenant count as subject tokens and assertions, with their keys.
	Trusted map[string]jose.JSONWebKeySet
	// CustomSubjects are types of subject tokens of the tenant's own, as Auth0 has them: each func returns the email of
	// the user that a token is about.
	CustomSubjects map[string]func(token string) (email string)
	Vault          map[string]string // the tokens of other providers, by connection (Auth0)

	Clients []Client
	Users   []User
	// Organizations are those of an Auth0 tenant. OrganizationIDs has logins name one by its ID alone, as Auth0 does until
	// names are allowed.
	Organizations   []Organization
	OrganizationIDs bool
	// OneClick lets anybody who sees the login page continue as one of Users, without a password: the page shows their
	// passwords anyway.
	OneClick bool

	// HideEndSession leaves end_session_endpoint out of discovery, as older Auth0 tenants do.
	HideEndSession bool
	NoRevocation   bool
	RequirePAR     bool
	// Prompts are the values of prompt that are taken, and discovery names them; nil: those of OpenID Connect Core 1.0,
	// and discovery names none. NoSelectAccount refuses that one, and says so nowhere before.
	Prompts         []string
	NoSelectAccount bool
	// ACRs are the kinds of authentication that there are; nil: whatever a login asks for.
	ACRs []string
	// RequireSignedRequests refuses authorization requests without a request object (RFC 9101).
	RequireSignedRequests bool
	// Certificate makes the tenant serve TLS. It then has aliases of its endpoints for clients with certificates (RFC
	// 8705), which one of ClientCAs issued, unless they are registered themselves.
	Certificate *tls.Certificate
	ClientCAs   *x509.CertPool
	// AssertionsToEndpoint wants client assertions made out to the token endpoint, as Okta does, and not to the issuer.
	AssertionsToEndpoint bool
	OneResource          bool // a login for several resources (RFC 8707) is refused
	DPoP                 bool // tokens are bound to the key of a proof (RFC 9449)
	ProofNonce           bool // with DPoP: each proof needs the tenant's nonce
	// RequireConsentForOffline drops offline_access unless prompt=consent was sent (OpenID Connect Core 1.0, section 11).
	RequireConsentForOffline bool
	// Rotate makes a refresh token usable once. A second use revokes the family (RFC 9700, section 4.14.2).
	Rotate             bool
	OpaqueAccessTokens bool // else JWTs (RFC 9068)
	LeanIDTokens       bool // names and email addresses come only from UserInfo

	AccessTokenLifetime  time.Duration // 0: an hour
	IDTokenLifetime      time.Duration // 0: ten hours
	RefreshTokenLifetime time.Duration // 0: thirty days
	CacheControl         string        // of discovery and keys; "": public, max-age=3600
	Alg                  string        // RS256, PS256, ES256 or EdDSA; "": RS256

	// OnIDToken, OnAccessToken and OnTokenResponse let a test change claims and token responses before they are
	// signed or sent.
	OnIDToken, OnAccessToken, OnTokenResponse func(map[string]any)
	// Intercept lets a test respond in place of the tenant. It returns true if it did.
	Intercept func(endpoint string, w http.ResponseWriter, r *http.Request) bool

	Now func() time.Time // nil: time.Now
}

// A Client is a registered application.
type Client struct {
	ID, Secret                           string // no secret: a public client, which must use PKCE
	RedirectURIs, PostLogoutRedirectURIs []string
	AnyPort                              bool     // of these URIs on the loopback (RFC 8252, section 7.3)
	Audiences                            []string // the APIs that it may have tokens for
	Scopes                               []string // those that it may have for itself
	Federated                            string   // the sub of a trusted issuer's JWT by which it may authenticate
	BackchannelLogoutURI                 string
	// Keys are the public keys of a client. Without a secret it authenticates by them (private_key_jwt).
	Keys          []jose.JSONWebKey
	Public        bool // it authenticates by nothing: its keys are those of its request objects
	SignsRequests bool // its authorization requests need a request object (RFC 9101)
	// CertificateThumbprint is that of the certificate by which a client authenticates (self_signed_tls_client_auth).
	// CertificateSubject is its subject, which one of Config.ClientCAs vouches for (tls_client_auth).
	CertificateThumbprint, CertificateSubject string
	// BindsToCertificate binds the tokens of a client to the certificate that it shows, however it authenticates.
	BindsToCertificate bool
	Bound              bool // it gets no token without a proof of its key (DPoP)
}

// allows reports whether redirect is a redirect URI of the client.
func (c *Client) allows(redirect string) bool { return c.has(c.RedirectURIs, redirect) }

// returnsTo reports whether a browser may go to a URL of the client after a logout.
func (c *Client) returnsTo(back string) bool { return c.has(c.PostLogoutRedirectURIs, back) }

func (c *Client) has(all []string, uri string) bool {
	return slices.ContainsFunc(all, func(registered string) bool {
		return uri == registered || c.AnyPort && withoutPort(uri) == withoutPort(registered)
	})
}

// withoutPort returns a URL on the loopback without its port, and any other URL as it is.
func withoutPort(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || !net.ParseIP(u.Hostname()).IsLoopback() && u.Hostname() != "localhost" {
		return raw
	}
	u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	return u.String()
}

// A User can log in with email and password.
type User struct {
	Subject, Email, Name, Password, Picture string
	Claims                                  map[string]any // more of them, put into ID tokens and UserInfo
}

// An Organization has some of the users as its members (Auth0).
type Organization struct {
	ID, Name string   // the ID begins with org_, the name has no capitals
	Members  []string // by subject
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
	// assertions are those that were used, by client and jti.
	assertions map[string]*usedAssertion
	redeemed   map[string]bool // identity assertions, by jti
	reused     int

	demandsMFA bool
	proofNonce string
	proofs     map[string]*seenProof // by key and jti

	registering sync.Mutex
	registered  map[string]*Client // those that registered themselves

	userCodes chan string
}

// Start runs a tenant on a loopback address until Close, or until ctx ends.
func Start(ctx context.Context, cfg Config) (*Tenant, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmp.Or(cfg.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		_ = listener.Close()
		return nil, errors.New("tenant: only loopback addresses are served")
	}
	at := listener.Addr().String()
	listener, scheme := cfg.withTLS(listener)
	t, err := newTenant(cfg, scheme+"://"+at)
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
	cfg.AccessTokenLifetime = cmp.Or(cfg.AccessTokenLifetime, time.Hour)
	cfg.IDTokenLifetime = cmp.Or(cfg.IDTokenLifetime, 10*time.Hour)
	cfg.RefreshTokenLifetime = cmp.Or(cfg.RefreshTokenLifetime, 30*24*time.Hour)
	cfg.CacheControl = cmp.Or(cfg.CacheControl, "public, max-age=3600")
	cfg.Alg = cmp.Or(cfg.Alg, "RS256")
	if cfg.Now == nil {
		cfg.Now = time.Now
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
		assertions: map[string]*usedAssertion{}, redeemed: map[string]bool{},
		userCodes: make(chan string, 16), registered: map[string]*Client{},
		proofs: map[string]*seenProof{}, proofNonce: rand.Text(),
	}, nil
}

// Close stops the tenant. It returns when the tenant has stopped.
func (t *Tenant) Close() {
	_ = t.server.Close()
	<-t.served
}

// Issuer returns the issuer as discovery writes it.
func (t *Tenant) Issuer() string { return t.issuer }

// url returns the address of one of the tenant's own paths.
func (t *Tenant) url(path string) string { return strings.TrimSuffix(t.issuer, "/") + path }

// path returns the path of an endpoint: with Config.Auth0 the one that Auth0 uses.
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
	route("POST", "/authorize", "authorize", t.logIn)
	prefixes := []string{""}
	if t.cfg.Certificate != nil {
		prefixes = append(prefixes, aliasPrefix)
	}
	for _, prefix := range prefixes {
		route("POST", prefix+t.path("/oauth/par", "/par"), "par", t.push)
		route("POST", prefix+t.path("/oauth/token", "/token"), "token", t.token)
		route("GET", prefix+"/userinfo", "userinfo", t.userinfo)
		route("POST", prefix+t.path("/oauth/revoke", "/revoke"), "revoke", t.revoke)
		route("POST", prefix+t.path("/oauth/device/code", "/device/code"), "device", t.deviceCode)
	}
	route("GET", "/device", "device_page", t.devicePage)
	route("POST", "/device", "device_page", t.deviceLogIn)
	route("GET", t.path("/oidc/logout", "/logout"), "end_session", t.endSession)
	route("POST", t.path("/oidc/logout", "/logout"), "end_session", t.endSession)
	if t.cfg.OAuth {
		route("POST", "/register", "register", t.register)
	}
	if t.cfg.Auth0 {
		route("GET", "/v2/logout", "end_session", t.v2Logout)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !t.isOwnHost(r.Host) {
			http.Error(w, "this request was meant for another host", http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// isOwnHost reports whether a request's Host is a loopback one with the tenant's port. Any other comes from a page that
// made its own name resolve to this machine (DNS rebinding).
func (t *Tenant) isOwnHost(host string) bool {
	own, err := url.Parse(t.issuer)
	if err != nil {
		return false
	}
	for _, name := range []string{own.Hostname(), "localhost", "127.0.0.1", "::1"} {
		if strings.EqualFold(host, net.JoinHostPort(name, own.Port())) {
			return true
		}
	}
	return false
}

// endpoint wraps a handler: it counts the requests, and lets tests respond in its place.
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

// Requests returns how many requests came to an endpoint since Start or the last Reset. The endpoints are discovery,
// keys, authorize, par, token, userinfo, revoke, device, end_session and register.
func (t *Tenant) Requests(endpoint string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[endpoint]
}

// Reset makes Requests count from zero again.
func (t *Tenant) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.counts)
}

// Fail makes an endpoint respond with an HTTP status. With 0 it works again.
func (t *Tenant) Fail(endpoint string, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures[endpoint] = status
}

// SetAccessTokenLifetime sets the lifetime of the access tokens that are issued from now on.
func (t *Tenant) SetAccessTokenLifetime(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.AccessTokenLifetime = d
}

// SetIDTokenLifetime sets the lifetime of the ID tokens that are issued from now on. A negative one makes them expired.
func (t *Tenant) SetIDTokenLifetime(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.IDTokenLifetime = d
}

// RevokeAll revokes every refresh token of a user.
func (t *Tenant) RevokeAll(subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, token := range t.refresh {
		if token.family.user.Subject == subject {
			token.family.revoked = true
		}
	}
}

// ReusedFamilies returns how many logins had their refresh tokens revoked because one of them was used twice.
func (t *Tenant) ReusedFamilies() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reused
}

func (t *Tenant) client(id string) *Client {
	i := slices.IndexFunc(t.cfg.Clients, func(c Client) bool { return c.ID == id })
	if i < 0 {
		t.registering.Lock()
		defer t.registering.Unlock()
		return t.registered[id]
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
