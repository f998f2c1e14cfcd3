package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/words"
)

// An AuthorizationRequest is what a login sends to the authorization endpoint (OpenID Connect Core 1.0, section
// 3.1.2.1; RFC 7636, section 4.3).
type AuthorizationRequest struct {
	RedirectURI   string
	State, Nonce  string
	CodeChallenge string     // the code verifier's, by S256
	Scope         string     // space-separated
	Audience      string     // sent as audience or resource; "": not sent
	Audiences     []string   // further ones, that the refresh token is for, too; not sent unless TakesAudiences
	ACR           string     // the acr has to be one of these, with spaces between; "": any
	Prover        *Prover    // of NewProver: the code is good for the holder of its key alone
	Extra         url.Values // further ones, such as prompt; those that IsOwnParameter knows are passed over
}

// AuthorizationURL returns the URL to send the browser to. If the provider demands it, of all clients or of this one,
// or if Config.Push does, the request is pushed first and the URL only refers to it (RFC 9126). If the provider or
// Config.SignRequests demands it, the request is signed with the client's key (RFC 9101). A key or a certificate that
// can't be used is an error here, before anybody logs in for nothing.
func (p *Provider) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	if err := r.Prover.checkOwn(); err != nil {
		return "", err
	}
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return "", err
	}
	if err := p.canAuthenticate(ctx, m); err != nil {
		return "", err
	}
	q, err := p.authorizationForm(r)
	if err != nil {
		return "", err
	}
	demandACR(q, r.ACR, m.ClaimsParameter)
	pushed := p.cfg.Push || m.PARRequired || m.PAREndpoint != "" && p.noted(pushes)
	if p.signsRequests(m) {
		object, err := p.requestObject(ctx, m, q)
		if err != nil {
			return "", err
		}
		if !pushed {
			object = beside(object, q)
		}
		q = object
	}
	if pushed {
		requestURI, err := p.push(ctx, m, q)
		if err != nil {
			return "", err
		}
		q = url.Values{"client_id": {p.cfg.ClientID}, "request_uri": {requestURI}}
	}
	u, err := url.Parse(m.AuthorizationEndpoint)
	if err != nil {
		return "", malformed("the authorization endpoint is no URL")
	}
	addQuery(u, q)
	return u.String(), nil
}

// authorizationForm returns the parameters of an authorization request. oauth2 makes them for an endpoint without a
// URL: it would append them to a query that the provider's endpoint has already, where a parameter could then stand
// twice, it knows one value for each, and a request that is pushed needs a form.
func (p *Provider) authorizationForm(r AuthorizationRequest) (url.Values, error) {
	request := oauth2.Config{ClientID: p.cfg.ClientID, RedirectURL: r.RedirectURI}
	if r.Scope != "" {
		request.Scopes = []string{r.Scope}
	}
	options := []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("code_challenge", r.CodeChallenge), oauth2.SetAuthURLParam("code_challenge_method", "S256"),
	}
	if !p.cfg.OAuth {
		options = append(options, oauth2.SetAuthURLParam("nonce", r.Nonce))
	}
	if r.Prover != nil { // RFC 9449, section 10
		options = append(options, oauth2.SetAuthURLParam("dpop_jkt", r.Prover.thumbprint()))
	}
	q, err := url.ParseQuery(strings.TrimPrefix(request.AuthCodeURL(r.State, options...), "?"))
	if err != nil {
		return nil, fmt.Errorf("the authorization request: %w", err)
	}
	for name, values := range r.Extra {
		if !IsOwnParameter(name) {
			q[name] = values
		}
	}
	p.setAudiences(q, r.Audience, r.Audiences)
	return q, nil
}

// TakesAudiences reports whether a login may ask the provider for several audiences at once: each is a parameter
// resource (RFC 8707, section 2). Auth0 takes one, and so does a provider that wants the parameter audience. A provider
// that takes several may still refuse them, most with invalid_target.
func (p *Provider) TakesAudiences() bool {
	return p.cfg.AudienceParameter == "resource" && !p.cfg.Auth0
}

// setAudiences sets what a login asks for: an audience, or none, and where the provider takes them further ones.
func (p *Provider) setAudiences(form url.Values, audience string, further []string) {
	if audience != "" {
		form.Set(p.cfg.AudienceParameter, audience)
	}
	if p.TakesAudiences() {
		form["resource"] = append(form["resource"], further...)
	}
	if len(form["resource"]) == 0 {
		form.Del("resource")
	}
}

// refusesAudiences reports whether err may be about several audiences that were asked for at once: RFC 8707 has
// invalid_target for it, and a provider that takes no parameter twice says invalid_request.
func refusesAudiences(err error) bool {
	refused := new(RefusedError)
	return errors.As(err, &refused) && (refused.Code == "invalid_target" || refused.Code == "invalid_request")
}

// MayAskLess reports whether a login for several audiences that ended in err may work for the first one alone.
func (p *Provider) MayAskLess(audiences []string, err error) bool {
	return p.TakesAudiences() && len(audiences) > 0 && refusesAudiences(err)
}

// addQuery sets the parameters of q in a URL that may have others.
func addQuery(u *url.URL, q url.Values) {
	all := u.Query()
	maps.Copy(all, q)
	u.RawQuery = all.Encode()
}

// push sends an authorization request to the provider directly, and returns the URI that stands for it (RFC 9126).
func (p *Provider) push(ctx context.Context, m *metadata, q url.Values) (requestURI string, err error) {
	if m.PAREndpoint == "" && m.PARRequired {
		p.expireDiscovery()
		return "", malformed("the provider demands pushed authorization requests and names no endpoint for them")
	}
	if m.PAREndpoint == "" {
		return "", &configError{ReasonNoPush, "the provider names no endpoint for pushed authorization requests"}
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	resp, err := p.post(ctx, m, m.PAREndpoint, q, &pushed)
	if err != nil {
		return "", err
	}
	if pushed.RequestURI == "" || resp.status != http.StatusCreated && resp.status != http.StatusOK {
		return "", malformed("the pushed request got no request_uri")
	}
	if !p.isOwnRequest(m, pushed.RequestURI) {
		return "", malformed("the request_uri of the pushed request leads elsewhere")
	}
	return pushed.RequestURI, nil
}

// longestRequestURI is the length of the longest request_uri that is accepted (RFC 9101, section 5.2).
const longestRequestURI = 512

// isOwnRequest reports whether a request_uri can stand for a request that was pushed to the provider: it is a URN (RFC
// 9126, section 2.2), or a URL at one of the provider's own origins. At any other the provider would find a request
// that somebody else made.
func (p *Provider) isOwnRequest(m *metadata, requestURI string) bool {
	u, err := url.Parse(requestURI)
	if err != nil || len(requestURI) > longestRequestURI || !usableToken(requestURI) {
		return false
	}
	if u.Scheme == "urn" {
		return u.Opaque != ""
	}
	return u.User == nil && u.Host != "" && (isAtOrigin(u, m.PAREndpoint) || p.isOwnOrigin(m, u))
}

// CheckResponse returns the code of an authorization response, given as the query of the callback. The caller has
// compared its state. It must come from this provider (RFC 9207, section 2.4), hold no error and exactly one code.
func (p *Provider) CheckResponse(ctx context.Context, q url.Values) (Secret, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return Secret{}, err
	}
	if err := p.checkSender(m, q["iss"]); err != nil {
		return Secret{}, err
	}
	for _, code := range q["code"] {
		p.redact(code)
	}
	if len(q["error"]) > 0 {
		e := &RefusedError{Code: p.printable(q.Get("error")), description: p.printable(q.Get("error_description"))}
		e.Reason = p.reasonOf(e)
		mayPush := m.PAREndpoint != "" && !m.PARRequired
		if e.Reason == "" && mayPush && strings.Contains(strings.ToLower(e.description), "pushed") {
			p.note(pushes)
			e.Reason = ReasonPushRequired
		}
		return Secret{}, e
	}
	if codes := q["code"]; len(codes) == 1 && codes[0] != "" {
		return NewSecret(codes[0]), nil
	}
	return Secret{}, malformed("the response holds no code, or several")
}

// checkSender compares the iss of an authorization response. It may be missing only if the provider does not advertise
// it.
func (p *Provider) checkSender(m *metadata, iss []string) error {
	switch {
	case len(iss) == 0 && m.IssInResponse:
		return &UntrustedError{
			Check: ErrIssuer, detail: "the response does not say which provider it is from, though this one always does",
		}
	case len(iss) > 1, len(iss) == 1 && iss[0] != p.cfg.Issuer:
		detail := fmt.Sprintf("the response is from %q, not %q", words.Printable(iss[0]), p.cfg.Issuer)
		return &UntrustedError{Check: ErrIssuer, detail: detail}
	}
	return nil
}
