package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// AuthorizationURL returns the URL to send the browser to. Where the provider
// demands it, of all or of this client, the request is pushed first and the URL only refers to it (RFC 9126).
func (p *Provider) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return "", err
	}
	q := url.Values{}
	for name, values := range r.Extra {
		q[name] = values
	}
	q.Set("response_type", "code")
	q.Set("client_id", p.cfg.ClientID)
	q.Set("redirect_uri", r.RedirectURI)
	q.Set("scope", r.Scope)
	q.Set("state", r.State)
	q.Set("nonce", r.Nonce)
	q.Set("code_challenge", r.CodeChallenge)
	q.Set("code_challenge_method", "S256")
	if r.Audience != "" {
		q.Set(p.cfg.AudienceParameter, r.Audience)
	}
	if m.PARRequired || m.PAREndpoint != "" && p.noted(pushes) {
		if m.PAREndpoint == "" {
			p.distrust()
			return "", &UntrustedError{Check: ErrMalformed, Detail: "the provider demands pushed authorization requests and names no endpoint for them"}
		}
		var pushed struct {
			RequestURI string `json:"request_uri"`
		}
		a, err := p.post(ctx, m, m.PAREndpoint, q, &pushed)
		if err != nil {
			return "", err
		}
		if pushed.RequestURI == "" || a.status != http.StatusCreated && a.status != http.StatusOK {
			return "", &UntrustedError{Check: ErrMalformed, Detail: "the pushed request got no request_uri"}
		}
		q = url.Values{"client_id": {p.cfg.ClientID}, "request_uri": {pushed.RequestURI}}
	}
	u, err := url.Parse(m.AuthorizationEndpoint)
	if err != nil {
		return "", &UntrustedError{Check: ErrMalformed, Detail: "the authorization endpoint is no URL"}
	}
	all := u.Query()
	for name, values := range q {
		all[name] = values
	}
	u.RawQuery = all.Encode()
	return u.String(), nil
}

// CheckResponse judges the parameters of a callback whose state was right: first who
// answers (RFC 9207, section 2.4), then an error, then that there is exactly one code.
func (p *Provider) CheckResponse(ctx context.Context, q url.Values) (Secret, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return Secret{}, err
	}
	iss := q["iss"]
	switch {
	case len(iss) == 0 && m.IssInResponse:
		return Secret{}, &UntrustedError{Check: ErrIssuer, Detail: "the answer does not say which provider it is from, though this one always does"}
	case len(iss) > 1, len(iss) == 1 && iss[0] != p.cfg.Issuer:
		return Secret{}, &UntrustedError{Check: ErrIssuer, Detail: fmt.Sprintf("the answer is from %q, not %q", words.Printable(iss[0]), p.cfg.Issuer)}
	}
	for _, code := range q["code"] {
		p.keepQuiet(code)
	}
	if len(q["error"]) > 0 {
		e := &RefusedError{Code: p.printable(q.Get("error")), Description: p.printable(q.Get("error_description"))}
		if e.Reason = p.reasonOf(e); e.Reason == "" && !m.PARRequired && m.PAREndpoint != "" && strings.Contains(strings.ToLower(e.Description), "pushed") {
			p.note(pushes)
			e.Reason = ReasonPushRequired
		}
		return Secret{}, e
	}
	if codes := q["code"]; len(codes) == 1 && codes[0] != "" {
		return NewSecret(codes[0]), nil
	}
	return Secret{}, &UntrustedError{Check: ErrMalformed, Detail: "the answer holds no code, or several"}
}
