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
)

// post sends a form as the client and decodes the JSON object that comes back into into, if that is not nil. Any other
// response becomes an error.
func (p *Provider) post(
	ctx context.Context, m *metadata, endpoint string, form url.Values, into any,
) (*response, error) {
	for _, name := range []string{"code", "code_verifier", "refresh_token", "token", "device_code"} {
		p.redact(form.Get(name))
	}
	basic := p.basicAuth(m)
	resp, err := p.postAs(ctx, endpoint, form, basic)
	// Discovery tells how clients may authenticate, not how this one is registered. A request of a client that was not
	// recognised has had no effect, so it may be made again in the other way.
	var refused *RefusedError
	errors.As(err, &refused)
	mayPost := slices.Contains(m.TokenEndpointAuthMethods, "client_secret_post")
	if basic && mayPost && refused != nil && refused.Code == "invalid_client" {
		second, secondErr := p.postAs(ctx, endpoint, form, false)
		if again := new(RefusedError); !errors.As(secondErr, &again) || again.Code != "invalid_client" {
			p.note(secretPost)
			resp, err = second, secondErr
		}
	}
	if err != nil {
		return resp, err
	}
	if into != nil {
		if err := document(resp.body, into); err != nil {
			return resp, malformed("the response is not the JSON that it should be")
		}
	}
	return resp, nil
}

// postAs sends a form. The client authenticates in the Authorization header if basic is set, else in the form.
func (p *Provider) postAs(ctx context.Context, endpoint string, form url.Values, basic bool) (*response, error) {
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
	resp, err := p.send(ctx, req)
	if err == nil && (resp.status >= 300 || isError(resp.body)) {
		err = p.refused(resp)
	}
	return resp, err
}

// basicAuth reports whether the client authenticates in the Authorization header. That is what is meant if discovery
// says nothing (OpenID Connect Discovery 1.0, section 3).
func (p *Provider) basicAuth(m *metadata) bool {
	if p.cfg.ClientSecret.IsZero() || p.noted(secretPost) {
		return false
	}
	methods := m.TokenEndpointAuthMethods
	return slices.Contains(methods, "client_secret_basic") || !slices.Contains(methods, "client_secret_post")
}
