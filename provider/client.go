package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// A Provider talks to one issuer for one client. It is safe for concurrent use.
type Provider struct {
	cfg   Config
	http  *http.Client
	plain bool // a loopback issuer without TLS

	ahead atomic.Int64 // the provider's clock less ours, in nanoseconds
	quiet hushed

	mu        sync.Mutex
	cached    *diskCache
	keysTried time.Time // the last request for keys, answered or not
}

// New checks the configuration; it makes no request and reads no file. Errors wrap ErrConfig.
func New(cfg Config) (*Provider, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: issuer %q is no URL of a provider, such as https://acme.eu.auth0.com/", ErrConfig, words.Printable(cfg.Issuer))
	case u.Scheme != "https" && (u.Scheme != "http" || !localurl.IsLoopback(u.Hostname())):
		return nil, fmt.Errorf("%w: issuer %q must be https (http is for loopback hosts alone)", ErrConfig, words.Printable(cfg.Issuer))
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
	if secret := cfg.ClientSecret.Reveal(); secret != "" {
		p.keepQuiet(secret)
		p.keepQuiet(url.QueryEscape(cfg.ClientID) + ":" + url.QueryEscape(secret)) // as in the header
	}
	return p, nil
}

func (p *Provider) now() time.Time {
	if p.cfg.Now != nil {
		return p.cfg.Now()
	}
	return clock.Now()
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
func (p *Provider) post(ctx context.Context, m *metadata, endpoint string, form url.Values, into any) (*answer, error) {
	for _, name := range []string{"code", "code_verifier", "refresh_token", "token", "device_code"} {
		p.keepQuiet(form.Get(name))
	}
	basic := p.basicAuth(m)
	a, err := p.postAs(ctx, endpoint, form, basic)
	// Discovery tells what the provider knows, not how this client is registered there. A client that was not
	// recognised has changed nothing, so it may try the other way.
	refused, _ := errors.AsType[*RefusedError](err)
	if basic && refused != nil && refused.Code == "invalid_client" && slices.Contains(m.TokenEndpointAuthMethods, "client_secret_post") {
		second, secondErr := p.postAs(ctx, endpoint, form, false)
		if other, ok := errors.AsType[*RefusedError](secondErr); !ok || other.Code != "invalid_client" {
			p.note(secretPost)
			a, err = second, secondErr
		}
	}
	if err != nil {
		return a, err
	}
	if into != nil {
		if err := document(a.body, into); err != nil {
			return a, &UntrustedError{Check: ErrMalformed, Detail: "the answer is not the JSON that it should be"}
		}
	}
	return a, nil
}

func (p *Provider) postAs(ctx context.Context, endpoint string, form url.Values, basic bool) (*answer, error) {
	form = maps.Clone(form)
	if !basic {
		form.Set("client_id", p.cfg.ClientID)
		if !p.cfg.ClientSecret.IsZero() {
			form.Set("client_secret", p.cfg.ClientSecret.Reveal())
		}
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
	if err == nil && (a.status >= 300 || saysError(a.body)) {
		err = p.refused(a)
	}
	return a, err
}

// basicAuth: without a word in discovery client_secret_basic is meant (OpenID Connect Discovery 1.0, section 3).
func (p *Provider) basicAuth(m *metadata) bool {
	methods := m.TokenEndpointAuthMethods
	return !p.cfg.ClientSecret.IsZero() && (slices.Contains(methods, "client_secret_basic") || !slices.Contains(methods, "client_secret_post")) &&
		!p.noted(secretPost)
}

// saysError: some providers refuse with a 200 (GitHub does).
func saysError(body []byte) bool {
	var said struct {
		Error any `json:"error"`
	}
	if document(body, &said) != nil {
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
	e.Code, e.Description = p.errorIn(a.body)
	if e.Code == "" && e.Description == "" {
		e.Description = fmt.Sprintf("it answered %d", a.status)
		if a.status < 400 {
			e.Description += ", a redirect, which is not followed"
		}
	}
	e.Reason = p.reasonOf(e)
	return e
}

// errorIn returns what an error answer says, fit to be printed; "" where it says nothing that can be read.
func (p *Provider) errorIn(raw []byte) (code, description string) {
	var body map[string]any
	if object(raw, &body) == nil {
		code, _ = body["error"].(string)
		description, _ = body["error_description"].(string)
		if nested, ok := body["error"].(map[string]any); ok {
			code, _ = nested["code"].(string)
			description, _ = nested["message"].(string)
		}
	}
	return p.printable(code), p.printable(description)
}
