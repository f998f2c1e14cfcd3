package provider

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Provider talks to one issuer for one client. It is safe for concurrent use.
type Provider struct {
	cfg   Config
	http  *http.Client
	plain bool // a loopback issuer without TLS

	ahead atomic.Int64 // the provider's clock less ours, in nanoseconds

	mu        sync.Mutex
	cached    *diskCache
	keysTried time.Time // the last request for keys, answered or not
}

// New checks the configuration; it makes no request and reads no file. Errors wrap ErrConfig.
func New(cfg Config) (*Provider, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: issuer %q is no URL of a provider, such as https://acme.eu.auth0.com/", ErrConfig, Printable(cfg.Issuer))
	case u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())):
		return nil, fmt.Errorf("%w: issuer %q must be https (http is for loopback hosts alone)", ErrConfig, Printable(cfg.Issuer))
	case cfg.ClientID == "":
		return nil, fmt.Errorf("%w: no client ID", ErrConfig)
	}
	if strings.HasSuffix(u.Hostname(), ".auth0.com") {
		cfg.Auth0 = true
	}
	switch cfg.AudienceParameter {
	case "audience", "resource":
	case "":
		cfg.AudienceParameter = "resource" // RFC 8707
		if cfg.Auth0 {
			cfg.AudienceParameter = "audience"
		}
	default:
		return nil, fmt.Errorf("%w: audience parameter %q is neither audience nor resource", ErrConfig, cfg.AudienceParameter)
	}
	p := &Provider{cfg: cfg, plain: u.Scheme == "http"}
	if cfg.HTTPClient == nil {
		p.http = newHTTPClient()
	} else {
		own := *cfg.HTTPClient // a copy: the caller's may follow redirects elsewhere
		p.http = &own
	}
	p.http.CheckRedirect = followNone
	return p, nil
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *Provider) now() time.Time {
	if p.cfg.Now != nil {
		return p.cfg.Now()
	}
	return time.Now().Round(0) // by the wall: the other clock stands still while a laptop sleeps
}

// Issuer returns the issuer as configured.
func (p *Provider) Issuer() string { return p.cfg.Issuer }

// ClientID returns the client that loopkey is at this provider.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

// Auth0 reports whether the provider is an Auth0 tenant.
func (p *Provider) Auth0() bool { return p.cfg.Auth0 }

// AudienceParameter is "audience" or "resource": what this provider is sent to name an API.
func (p *Provider) AudienceParameter() string { return p.cfg.AudienceParameter }

// post sends a form as our client, and decodes the JSON object that is the answer; other answers become errors.
func (p *Provider) post(ctx context.Context, m *Metadata, endpoint string, form url.Values, into any) (*answer, error) {
	form = maps.Clone(form) // a second try may authenticate in the other way
	basic := false
	if p.cfg.ClientSecret.IsZero() {
		form.Set("client_id", p.cfg.ClientID)
	} else if basic = m.basicAuth(); !basic {
		form.Set("client_id", p.cfg.ClientID)
		form.Set("client_secret", p.cfg.ClientSecret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint", ErrMalformed)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic { // form-encoded first: RFC 6749, section 2.3.1
		req.SetBasicAuth(url.QueryEscape(p.cfg.ClientID), url.QueryEscape(p.cfg.ClientSecret.Reveal()))
	}
	a, err := p.do(ctx, req)
	if err != nil {
		return nil, err
	}
	if a.status >= 300 || saysError(a.body) {
		return a, p.refused(a)
	}
	if into != nil {
		if err := object(a.body, into); err != nil {
			return a, &untrusted{check: ErrMalformed, detail: "the answer is not the JSON that it should be"}
		}
	}
	return a, nil
}

// basicAuth: without a word in discovery client_secret_basic is meant (OpenID Connect Discovery 1.0, section 3).
func (m *Metadata) basicAuth() bool {
	for _, method := range m.TokenEndpointAuthMethods {
		if method == "client_secret_basic" {
			return true
		}
	}
	for _, method := range m.TokenEndpointAuthMethods {
		if method == "client_secret_post" {
			return false
		}
	}
	return true
}

// saysError: some providers refuse with a 200 (GitHub does).
func saysError(body []byte) bool {
	var said struct {
		Error any `json:"error"`
	}
	if object(body, &said) != nil {
		return false
	}
	switch e := said.Error.(type) {
	case string:
		return e != ""
	case map[string]any:
		return len(e) > 0
	}
	return false
}

// refused reads an error answer, whatever its form (RFC 6749, section 5.2).
func (p *Provider) refused(a *answer) error {
	e := &RefusedError{Status: a.status}
	var body map[string]any
	if object(a.body, &body) == nil {
		e.Code, _ = body["error"].(string)
		e.Description, _ = body["error_description"].(string)
		if nested, ok := body["error"].(map[string]any); ok {
			e.Code, _ = nested["code"].(string)
			e.Description, _ = nested["message"].(string)
		}
	}
	e.Code, e.Description = Printable(e.Code), Printable(e.Description)
	if e.Code == "" && e.Description == "" {
		e.Description = fmt.Sprintf("it answered %d", a.status)
		if a.status < 400 {
			e.Description += ", a redirect, which is not followed"
		}
	}
	e.Next = p.adviceFor(e)
	return e
}
