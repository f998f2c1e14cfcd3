// Package provider talks to one OpenID provider for one client, and verifies every response before it returns anything
// of it. Most programs call loopback.Login, which makes a login with the user's own browser, and session.Open, which
// keeps it: both stand on this package. A login by hand is four calls, with a browser in between:
//
//	p, err := provider.New(provider.Config{Issuer: issuer, ClientID: "s6BhdRkqt3"})
//	if err != nil {
//		return nil, err
//	}
//	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
//	target, err := p.AuthorizationURL(ctx, provider.AuthorizationRequest{
//		RedirectURI: redirectURI, State: state, Nonce: nonce, Scope: "openid profile",
//		CodeChallenge: oauth2.S256ChallengeFromVerifier(verifier),
//	})
//	if err != nil {
//		return nil, err
//	}
//	response := browse(target) // the query that comes to the redirect URI
//	if response.Get("state") != state {
//		return nil, errors.New("the response belongs to another login")
//	}
//	code, err := p.CheckResponse(ctx, response)
//	if err != nil {
//		return nil, err
//	}
//	return p.Exchange(ctx, provider.CodeExchange{
//		Code: code, RedirectURI: redirectURI, CodeVerifier: provider.NewSecret(verifier), Nonce: nonce,
//	})
//
// Refresh renews the tokens, Revoke and EndSessionURL end them, StartDevice logs in without a browser here;
// ClientCredentials, ExchangeToken and JWTBearer bring tokens without a login.
//
// What a method returns without an error has passed every check of OpenID Connect Core 1.0, by asymmetric signatures of
// the provider's own keys. Endpoints are https, or plain http on a loopback host where the issuer is too. No redirect
// is followed, every request has a time limit and every response a size limit. A code or a refresh token is sent once.
// Errors say what failed and why (errors.Is, errors.As, Diagnose), and hold no token, code or secret and no control
// character, not even where the provider's text does.
//
// The package follows RFC 6749, 7009, 7523, 7591, 7636 (S256 only), 8414, 8628, 8705, 8707, 9101, 9126, 9207, 9449,
// 9700, OpenID Connect Core, Discovery, RP-Initiated and Back-Channel Logout 1.0, and what Auth0 does differently.
package provider

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// Config names a provider and a client that is registered there.
type Config struct {
	Issuer       string // required; compared to the letter with what the provider writes
	DiscoveryURL string // of the metadata, which must name Issuer; "": Issuer + /.well-known/…
	ClientID     string // required
	ClientSecret Secret // zero: a public client, which PKCE alone protects
	// ClientKey returns the key by which a client without a secret authenticates (private_key_jwt). It is called for each
	// request that needs the key, and before a login that will. nil: the client has no key.
	ClientKey func(context.Context) (ClientKey, error)
	// Public says that the client authenticates by nothing although it has a key: it is registered with the
	// token_endpoint_auth_method none, and the key signs its authorization requests alone (OpenID Connect Core 1.0,
	// section 6.1).
	Public bool
	// AssertionToEndpoint makes client assertions out to the token endpoint, for servers that know no other audience than
	// that. Else they are made out to the issuer, except Okta's.
	AssertionToEndpoint bool
	// ClientCertificate returns the certificate, with its private key, that the client shows where it sends its own
	// requests (RFC 8705): to authenticate, unless it has a secret or a key, and for the provider to bind tokens to. nil:
	// it has none.
	ClientCertificate func(context.Context) (*tls.Certificate, error)

	Push         bool // authorization requests are pushed (RFC 9126), also where the provider does not demand it
	SignRequests bool // authorization requests are signed with ClientKey (RFC 9101), also where not demanded
	Auth0        bool // the issuer is an Auth0 tenant; implied by a host under auth0.com
	// OAuth says that the provider is an authorization server without OpenID Connect, as resource servers name one
	// (RFC 9728). Its metadata is looked for by RFC 8414 too, and must offer S256. It sends no ID token, and none is
	// read: the issuer, the client and the audience, which is a resource (RFC 8707), are all that binds a login.
	OAuth bool
	// DPoP has every login bind its tokens to a key of its own (RFC 9449): they are of no use to a thief who has not the
	// key. The provider has to offer it, and a login that brings a bearer token fails.
	DPoP              bool
	AudienceParameter string           // "audience" or "resource" (RFC 8707); "": audience for Auth0, else resource
	CacheDir          string           // keeps discovery and keys between processes; "": they are kept in memory
	AppName           string           // the program, which goes before loopkey in the User-Agent; "": loopkey alone
	HTTPClient        *http.Client     // nil: one with time limits, which honours HTTPS_PROXY and SSL_CERT_FILE
	Logger            *slog.Logger     // is told of each request, without its query and its body; nil: none is told
	Now               func() time.Time // nil: the clock on the wall
}

// What a login may ask for.
const (
	// DefaultScope asks who the user is, and for a refresh token.
	DefaultScope = "openid profile email offline_access"
	// MaxAgeNow is the MaxAge that asks for an authentication now: max_age=0.
	MaxAgeNow time.Duration = 1
)

// IsAuth0 reports whether the provider is an Auth0 tenant, by Auth0 or by the host of Issuer.
func (c Config) IsAuth0() bool {
	u, err := url.Parse(c.Issuer)
	return c.Auth0 || err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".auth0.com")
}

// A Provider talks to one issuer for one client. It is safe for concurrent use.
type Provider struct {
	cfg   Config
	http  *http.Client
	own   *http.Client // for requests that the client makes as itself: it shows the client's certificate
	plain bool         // the issuer is on a loopback host, without TLS

	// exchangeAudience is the parameter of a token exchange that names the audience: audience (RFC 8693, section 2.1),
	// unless the configuration says otherwise.
	exchangeAudience string

	ahead      atomic.Int64 // the provider's clock less this computer's, in nanoseconds
	redactions redactions
	shown      atomic.Pointer[string] // the thumbprint of the client's certificate, once it was read

	mu          sync.Mutex // never held during a request
	cached      *diskCache
	keysTried   time.Time // of the last request for keys, whether it got a response or not
	discovering flight[*metadata]
	fetching    flight[[]jose.JSONWebKey]
}

// New checks the configuration. It makes no request and reads no file. Its errors wrap ErrConfig.
func New(cfg Config) (*Provider, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: issuer %q is no URL of a provider, such as https://acme.eu.auth0.com/",
			ErrConfig, words.Printable(cfg.Issuer))
	case u.Scheme != "https" && (u.Scheme != "http" || !localurl.IsLoopback(u.Hostname())):
		return nil, fmt.Errorf("%w: issuer %q must be https (http is for loopback hosts alone)",
			ErrConfig, words.Printable(cfg.Issuer))
	case cfg.DiscoveryURL != "" && !usableDiscoveryURL(cfg.DiscoveryURL):
		return nil, fmt.Errorf("%w: discovery URL %q must be https (http is for loopback hosts alone)",
			ErrConfig, words.Printable(cfg.DiscoveryURL))
	case cfg.ClientID == "":
		return nil, fmt.Errorf("%w: no client ID", ErrConfig)
	case cfg.Public && !cfg.ClientSecret.IsZero():
		return nil, fmt.Errorf("%w: the client has a secret, and is to authenticate by nothing", ErrConfig)
	}
	cfg.Auth0 = cfg.IsAuth0()
	exchangeAudience := cmp.Or(cfg.AudienceParameter, "audience")
	switch cfg.AudienceParameter {
	case "audience", "resource":
	case "":
		cfg.AudienceParameter = "resource" // RFC 8707
		if cfg.Auth0 && !cfg.OAuth {
			cfg.AudienceParameter = "audience"
		}
	default:
		return nil, fmt.Errorf("%w: audience parameter %q is neither audience nor resource", ErrConfig, cfg.AudienceParameter)
	}
	p := &Provider{cfg: cfg, plain: u.Scheme == "http", exchangeAudience: exchangeAudience}
	if cfg.HTTPClient == nil {
		p.http = NewHTTPClient()
	} else {
		own := *cfg.HTTPClient // a copy: the caller's may follow redirects elsewhere
		p.http = &own
	}
	p.http.CheckRedirect = followNone
	if err := p.prepareCertificate(); err != nil {
		return nil, err
	}
	if secret := cfg.ClientSecret.Reveal(); len(secret) >= leastRedacted {
		p.redactAlways(secret)
		p.redactAlways(url.QueryEscape(cfg.ClientID) + ":" + url.QueryEscape(secret)) // as in an Authorization header
	}
	return p, nil
}

// usableDiscoveryURL reports whether metadata may be fetched at a URL. It may have a query: Azure B2C's have.
func usableDiscoveryURL(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || strings.Contains(raw, "#") {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && localurl.IsLoopback(u.Hostname())
}

// now returns the time by the clock on the wall.
func (p *Provider) now() time.Time {
	if p.cfg.Now != nil {
		return p.cfg.Now()
	}
	return clock.Now()
}

// Issuer returns the issuer as configured.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// ClientID returns the client ID as configured.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// SecretMark returns a mark by which two client secrets can nearly always be told apart; "": the client has none. It is
// two bytes of a hash: so many secrets have the same one that it can be stored, and is no help to guess a random one.
func (p *Provider) SecretMark() string {
	if p.cfg.ClientSecret.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte("client secret\x00" + p.cfg.ClientSecret.Reveal()))
	return hex.EncodeToString(sum[:2])
}

// Auth0 reports whether the provider is an Auth0 tenant.
func (p *Provider) Auth0() bool { return p.cfg.Auth0 }
