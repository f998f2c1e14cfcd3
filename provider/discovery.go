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

// metadata is a discovery document (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
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
	ClaimsParameter          bool     `json:"claims_parameter_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported"`
	ScopesSupported          []string `json:"scopes_supported"`
	UserInfoAlgorithms       []string `json:"userinfo_signing_alg_values_supported"`
	TokenEndpointAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	AssertionAlgorithms      []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	TLSAliases               aliases  `json:"mtls_endpoint_aliases"`
	RequestObjectRequired    bool     `json:"require_signed_request_object"`
	RequestObjectAlgorithms  []string `json:"request_object_signing_alg_values_supported"`
	RegistrationEndpoint     string   `json:"registration_endpoint"`
	CodeChallengeMethods     []string `json:"code_challenge_methods_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	PromptValues             []string `json:"prompt_values_supported"`
	ProofAlgorithms          []string `json:"dpop_signing_alg_values_supported"`

	named string // the token endpoint as discovery names it: TokenEndpoint may be its alias
}

// asymmetric are the algorithms that a signature may be made with: not none, and no HMAC, whose secret could be a
// public key or the client's secret.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// algorithms returns the accepted algorithms of ID tokens and logout tokens.
func (m *metadata) algorithms() []string {
	if len(m.IDTokenAlgorithms) == 0 {
		return []string{"RS256"}
	}
	return usable(m.IDTokenAlgorithms)
}

// userInfoAlgorithms returns the accepted algorithms of a signed UserInfo response: those of ID tokens, if discovery
// names none for it.
func (m *metadata) userInfoAlgorithms() []string {
	if advertised := usable(m.UserInfoAlgorithms); len(advertised) > 0 {
		return advertised
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

// A freshness says how old discovery and keys may be.
type freshness int

const (
	// forLogin lets them be as old as the provider's Cache-Control says, within bounds.
	forLogin freshness = iota
	// forSession lets them be a day old, or a week while the provider can't be reached. Auth0 says 15 seconds, and a
	// renewal must cost one request. Endpoints hardly move, and a renewal that finds one gone fetches discovery again
	// (moved). The keys may be as old, because a renewed ID token comes straight from the token endpoint over TLS, which
	// alone would do (OpenID Connect Core 1.0, section 3.1.3.7, step 6); a key that is not known is fetched at once.
	forSession
)

const (
	leastFresh   = 5 * time.Minute
	defaultFresh = time.Hour
	mostFresh    = 24 * time.Hour
	mostStale    = 7 * 24 * time.Hour // while the provider can't be reached
)

// maxAge returns how long a response may be kept by its Cache-Control (RFC 9111, section 5.2.2), within bounds.
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

// Warm fetches discovery if the cache has none that is fresh, so that the next call need not.
func (p *Provider) Warm(ctx context.Context) error {
	_, err := p.metadata(ctx, forLogin)
	return err
}

// metadata returns discovery, from the cache if that is fresh enough.
func (p *Provider) metadata(ctx context.Context, f freshness) (*metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := p.cache().Discovery
	limit := min(kept.MaxAge, mostFresh)
	if f == forSession {
		limit = mostFresh
	}
	if kept.Raw != nil && within(kept.Fetched, p.now(), limit) {
		if m, err := p.parseMetadata(kept.Raw); err == nil {
			return m, nil
		}
	}
	m, err := p.discover(ctx)
	if errors.Is(err, ErrUnreachable) && f == forSession && kept.Raw != nil && within(kept.Fetched, p.now(), mostStale) {
		if old, parseErr := p.parseMetadata(kept.Raw); parseErr == nil {
			return old, nil
		}
	}
	return m, err
}

// moved returns newer metadata if a token request failed before it reached the token endpoint, and discovery now names
// another one. Only then may the request be made again.
func (p *Provider) moved(ctx context.Context, m *metadata, err error) *metadata {
	var lost *UnreachableError
	errors.As(err, &lost)
	var refused *RefusedError
	errors.As(err, &refused)
	switch {
	case lost != nil && !lost.maybeSent && lost.Status == 0:
	case refused != nil && refused.Code == "" && isGone(refused.Status):
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

func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// rediscover fetches discovery because the cached one does not fit any more. It returns nil if the cached one was only
// just fetched, or if there is none to be had. The caller holds the mutex.
func (p *Provider) rediscover(ctx context.Context) *metadata {
	if within(p.cache().Discovery.Fetched, p.now(), refetchPause) {
		return nil
	}
	newer, err := p.discover(ctx)
	if err != nil {
		return nil
	}
	return newer
}

// advertising returns m if it advertises the algorithm, or if the algorithm is never accepted; else newer metadata, or
// m if there is none.
func (p *Provider) advertising(ctx context.Context, m *metadata, algorithm string) *metadata {
	if slices.Contains(m.algorithms(), algorithm) || !slices.Contains(asymmetric, algorithm) {
		return m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.rediscover(ctx), m)
}

// expireDiscovery makes the next login fetch discovery, because no login can be made with the cached one.
func (p *Provider) expireDiscovery() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache().Discovery.MaxAge = 0
	p.store()
}

// forgetDiscovery makes the next process fetch discovery, because what it demands can't be done. What was changed there
// meanwhile then counts at once.
func (p *Provider) forgetDiscovery() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache().Discovery = cached{}
	p.store()
}

// discover fetches discovery and keeps it, or waits for another caller that does. The caller holds the mutex, which is
// released meanwhile.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	return p.discovering.do(ctx, &p.mu, func() (*metadata, error) { return p.requestDiscovery(ctx) })
}

// requestDiscovery fetches discovery and keeps it. The caller does not hold the mutex.
func (p *Provider) requestDiscovery(ctx context.Context) (*metadata, error) {
	req, resp, err := p.findMetadata(ctx)
	if err != nil {
		return nil, err
	}
	if resp.status >= 300 && resp.status < 400 {
		return nil, movedDiscovery(req.URL, resp.header.Get("Location"))
	}
	if resp.status != http.StatusOK {
		description := fmt.Sprintf("discovery at %s replied with HTTP %d", req.URL.Host, resp.status)
		return nil, &RefusedError{Status: resp.status, description: description, Reason: ReasonDiscoveryUnavailable}
	}
	m, err := p.parseMetadata(resp.body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache().Discovery = cached{Raw: resp.body, Fetched: resp.at, MaxAge: maxAge(resp.header)}
	p.store()
	return m, nil
}

// findMetadata asks the URLs of the metadata until one has it, and returns the last response.
func (p *Provider) findMetadata(ctx context.Context) (req *http.Request, resp *response, err error) {
	for _, target := range p.metadataURLs() {
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, target, nil); err != nil {
			return nil, nil, fmt.Errorf("%w: issuer: %w", ErrConfig, err)
		}
		if resp, err = p.send(ctx, req); err != nil || !p.isNoMetadata(resp) {
			return req, resp, err
		}
	}
	return req, resp, p.noMetadata(resp.status)
}

// parseMetadata decodes a discovery document. It has to name the configured issuer to the letter (OpenID Connect
// Discovery 1.0, section 4.3), usable endpoints and an asymmetric algorithm.
func (p *Provider) parseMetadata(raw []byte) (*metadata, error) {
	var m metadata
	if err := document(wellTyped(raw), &m); err != nil {
		return nil, fmt.Errorf("%w: discovery is not the JSON that it should be", ErrMalformed)
	}
	if m.Issuer != p.cfg.Issuer {
		e := &UntrustedError{
			Check: ErrIssuer, Reason: ReasonIssuerName, Issuer: m.Issuer,
			detail: fmt.Sprintf("the provider calls itself %q, not %q", words.Printable(m.Issuer), p.cfg.Issuer),
		}
		switch {
		case m.Issuer == "":
			e.Reason = ReasonIssuerMissing
		case strings.Contains(m.Issuer, "{tenantid}"):
			e.Reason = ReasonIssuerTemplate
		case isPlainRemote(m.Issuer):
			e.Reason = ReasonIssuerPlain
		}
		return nil, e
	}
	if m.named = m.TokenEndpoint; p.cfg.ClientCertificate != nil {
		m.useAliases()
	}
	for _, e := range []struct {
		name, url string
		required  bool
	}{
		{"authorization_endpoint", m.AuthorizationEndpoint, true},
		{"token_endpoint", m.TokenEndpoint, true},
		{"jwks_uri", m.JWKSURI, !p.cfg.OAuth},
		{"userinfo_endpoint", m.UserInfoEndpoint, false},
		{"revocation_endpoint", m.RevocationEndpoint, false},
		{"end_session_endpoint", m.EndSessionEndpoint, false},
		{"device_authorization_endpoint", m.DeviceEndpoint, false},
		{"pushed_authorization_request_endpoint", m.PAREndpoint, false},
		{"registration_endpoint", m.RegistrationEndpoint, false},
	} {
		if e.url == "" && !e.required {
			continue
		}
		if err := p.checkEndpoint(e.url); err != nil {
			bad := &UntrustedError{Check: ErrMalformed, detail: e.name + ": " + err.Error()}
			if isPlainRemote(e.url) {
				bad.Reason = ReasonIssuerPlain
			}
			return nil, bad
		}
	}
	if p.cfg.OAuth {
		if err := p.checkOAuth(&m); err != nil {
			return nil, err
		}
		return &m, nil
	}
	if len(m.algorithms()) == 0 {
		return nil, &UntrustedError{
			Check: ErrAlgorithm, Reason: ReasonSymmetricAlgorithm,
			detail: "the provider signs ID tokens with no asymmetric algorithm",
		}
	}
	return &m, nil
}

// isPlainRemote reports whether a URL is http on a host that is no loopback one. A provider behind a proxy that ends
// TLS names such URLs unless it is told its address.
func isPlainRemote(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "http" && !localurl.IsLoopback(u.Hostname())
}

const wellKnown = "/.well-known/openid-configuration"

// movedDiscovery returns the error about a redirect of discovery, which is not followed: it would take another's word
// for the issuer's.
func movedDiscovery(from *url.URL, location string) error {
	e := &RefusedError{Status: http.StatusMovedPermanently, Reason: ReasonDiscoveryElsewhere}
	to, err := from.Parse(location)
	if err != nil || location == "" {
		e.Reason = ReasonDiscoveryUnavailable
		e.description = "discovery at " + words.Printable(from.Host) + " redirects to nowhere"
		return e
	}
	to.User = nil
	e.description = "discovery at " + words.Printable(from.Host) + " redirects to " +
		words.Printable(to.Scheme+"://"+to.Host+to.Path)
	sameScheme := to.Scheme == "https" == (from.Scheme == "https")
	if issuer, ok := strings.CutSuffix(to.Scheme+"://"+to.Host+to.EscapedPath(), wellKnown); ok && sameScheme {
		e.Reason, e.Issuer = ReasonDiscoveryMoved, issuer
	}
	return e
}

// checkEndpoint wants a URL that is https, or http on a loopback host if the issuer is such a URL.
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
