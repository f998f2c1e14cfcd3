package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// metadata is what discovery says (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
type metadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	UserInfoEndpoint         string   `json:"userinfo_endpoint"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	EndSessionEndpoint       string   `json:"end_session_endpoint"`
	DeviceEndpoint           string   `json:"device_authorization_endpoint"`
	PAREndpoint              string   `json:"pushed_authorization_request_endpoint"`
	PARRequired              bool     `json:"require_pushed_authorization_requests"`
	IssInResponse            bool     `json:"authorization_response_iss_parameter_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported"`
	UserInfoAlgorithms       []string `json:"userinfo_signing_alg_values_supported"`
	TokenEndpointAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
}

// asymmetric are the algorithms that a signature may have; never none, never HMAC.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// algorithms are those of ID tokens and logout tokens.
func (m *metadata) algorithms() []string {
	if len(m.IDTokenAlgorithms) == 0 {
		return []string{"RS256"}
	}
	return usable(m.IDTokenAlgorithms)
}

// userInfoAlgorithms are those of UserInfo, which may be signed otherwise; where discovery
// does not say how, as ID tokens are.
func (m *metadata) userInfoAlgorithms() []string {
	if told := usable(m.UserInfoAlgorithms); len(told) > 0 {
		return told
	}
	return m.algorithms()
}

func usable(advertised []string) []string {
	var usable []string
	for _, alg := range asymmetric {
		if slices.Contains(advertised, alg) {
			usable = append(usable, alg)
		}
	}
	return usable
}

// freshness says how old discovery may be.
type freshness int

const (
	forLogin freshness = iota // as the provider's Cache-Control says, within bounds
	// A day, and a week while the provider can't be reached. Auth0 says 15 seconds, and a renewal must cost one
	// request. Endpoints hardly move, and a renewal that finds one gone asks again (moved). A renewed ID token comes
	// straight from the token endpoint over TLS, which alone would do (OpenID Connect Core 1.0, section 3.1.3.7,
	// step 6), so the keys may be as old; one that is not known is fetched at once.
	forSession
)

const (
	leastFresh   = 5 * time.Minute
	defaultFresh = time.Hour
	mostFresh    = 24 * time.Hour
	mostStale    = 7 * 24 * time.Hour // while the provider can't be reached
)

// maxAge is how long an answer may be kept (RFC 9111, section 5.2.2), within our bounds.
func maxAge(h http.Header) time.Duration {
	age := defaultFresh
	for _, directive := range strings.Split(strings.ToLower(h.Get("Cache-Control")), ",") {
		directive = strings.TrimSpace(directive)
		if directive == "no-store" || directive == "no-cache" {
			return leastFresh // whatever stands beside it
		}
		if value, ok := strings.CutPrefix(directive, "max-age="); ok {
			if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64); err == nil {
				age = min(max(time.Duration(min(seconds, 1<<30))*time.Second, leastFresh), mostFresh)
			}
		}
	}
	return age
}

// Warm fetches discovery if there is none that is fresh.
func (p *Provider) Warm(ctx context.Context) error {
	_, err := p.metadata(ctx, forLogin)
	return err
}

func (p *Provider) metadata(ctx context.Context, f freshness) (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.cache()
	age := p.now().Sub(c.Discovery.Fetched)
	limit := c.Discovery.MaxAge
	if f == forSession {
		limit = mostFresh
	}
	if c.Discovery.Raw != nil && age >= 0 && age < limit {
		if m, err := p.parseMetadata(c.Discovery.Raw); err == nil {
			return m, nil
		}
	}
	m, err := p.discover(ctx)
	if errors.Is(err, ErrUnreachable) && f == forSession && c.Discovery.Raw != nil && age >= 0 && age < mostStale {
		if old, parseErr := p.parseMetadata(c.Discovery.Raw); parseErr == nil {
			return old, nil
		}
	}
	return m, err
}

// moved returns newer metadata if a token request failed without having been looked at,
// and discovery now names another token endpoint: then, and only then, it may be made again.
func (p *Provider) moved(ctx context.Context, m *metadata, err error) *metadata {
	lost, _ := errors.AsType[*UnreachableError](err)
	refused, _ := errors.AsType[*RefusedError](err)
	switch {
	case lost != nil && !lost.Sent && lost.Status == 0:
	case refused != nil && refused.Code == "" && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone):
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if newer := p.rediscover(ctx); newer != nil && newer.TokenEndpoint != m.TokenEndpoint {
		return newer
	}
	return nil
}

// rediscover fetches discovery because what is known of it does not fit any more; nil where
// it is as new as it gets, or none can be had. The mutex is held.
func (p *Provider) rediscover(ctx context.Context) *metadata {
	if age := p.now().Sub(p.cache().Discovery.Fetched); age >= 0 && age < refetchPause {
		return nil
	}
	newer, err := p.discover(ctx)
	if err != nil {
		return nil
	}
	return newer
}

// advertising returns m, or newer metadata where the algorithm is one that a provider may have
// changed to since.
func (p *Provider) advertising(ctx context.Context, m *metadata, algorithm string) *metadata {
	if slices.Contains(m.algorithms(), algorithm) || !slices.Contains(asymmetric, algorithm) {
		return m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.rediscover(ctx), m)
}

// distrust has the next login fetch discovery: no login can be made with this one.
func (p *Provider) distrust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache().Discovery.MaxAge = 0
	p.store()
}

// discover fetches discovery. The mutex is held.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	target := strings.TrimSuffix(p.cfg.Issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: issuer: %w", ErrConfig, err)
	}
	a, err := p.do(ctx, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, &RefusedError{Status: a.status, Description: fmt.Sprintf("discovery at %s answered %d", req.URL.Host, a.status),
			Reason: ReasonDiscoveryUnavailable}
	}
	m, err := p.parseMetadata(a.body)
	if err != nil {
		return nil, err
	}
	c := p.cache()
	c.Discovery = cached{Raw: a.body, Fetched: a.at, MaxAge: maxAge(a.header)}
	p.store()
	return m, nil
}

// parseMetadata believes a discovery document only if it names our issuer to the
// letter (OpenID Connect Discovery 1.0, section 4.3).
func (p *Provider) parseMetadata(raw []byte) (*metadata, error) {
	var m metadata
	if err := document(raw, &m); err != nil {
		return nil, fmt.Errorf("%w: discovery is not the JSON that it should be", ErrMalformed)
	}
	if m.Issuer != p.cfg.Issuer {
		e := &UntrustedError{Check: ErrIssuer, Reason: ReasonIssuerName, Issuer: m.Issuer,
			Detail: fmt.Sprintf("the provider calls itself %q, not %q", words.Printable(m.Issuer), p.cfg.Issuer)}
		if m.Issuer == "" {
			e.Reason = ReasonIssuerMissing
		}
		return nil, e
	}
	for name, endpoint := range map[string]*string{
		"authorization_endpoint": &m.AuthorizationEndpoint, "token_endpoint": &m.TokenEndpoint, "jwks_uri": &m.JWKSURI,
		"userinfo_endpoint": &m.UserInfoEndpoint, "revocation_endpoint": &m.RevocationEndpoint, "end_session_endpoint": &m.EndSessionEndpoint,
		"device_authorization_endpoint": &m.DeviceEndpoint, "pushed_authorization_request_endpoint": &m.PAREndpoint,
	} {
		required := name == "authorization_endpoint" || name == "token_endpoint" || name == "jwks_uri"
		if *endpoint == "" && !required {
			continue
		}
		if err := p.checkEndpoint(*endpoint); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
		}
	}
	if len(m.algorithms()) == 0 {
		return nil, &UntrustedError{Check: ErrAlgorithm, Detail: "the provider signs ID tokens with no asymmetric algorithm", Reason: ReasonSymmetricAlgorithm}
	}
	return &m, nil
}

func (p *Provider) checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is no URL", words.Printable(endpoint))
	}
	if u.Scheme == "https" || u.Scheme == "http" && localurl.IsLoopback(u.Hostname()) && p.plain {
		return nil
	}
	return fmt.Errorf("%q is not https", words.Printable(endpoint))
}
