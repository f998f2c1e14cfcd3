package provider

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
)

// A Landing is where an authorization request ends that nobody logs in for.
type Landing string

// The landings. An error page means that the provider does not trust the redirect URI enough to send the browser there.
const (
	LandsAtLogin    Landing = "login"    // the provider asks who the user is, or passes the browser on to who asks
	LandsAtCallback Landing = "callback" // the provider sends the browser to the redirect URI
	LandsAtError    Landing = "error"    // the provider shows an error page
)

// mostHops is how many redirects of its own a provider may make before it shows a page.
const mostHops = 4

// Probe sends an authorization request as a browser does that nobody is logged in with, and returns where the browser
// would end up. It follows redirects within the origins of the issuer and of the authorization endpoint alone, and
// never to the redirect URI. A code that the provider grants all the same is dropped.
//
// At LandsAtCallback the error is what the response to the client says, nil for a code. At LandsAtError it is a
// *RefusedError, with a reason where the page gives one. Any other error comes without a landing.
func (p *Provider) Probe(ctx context.Context, r AuthorizationRequest) (Landing, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return "", err
	}
	target, err := p.AuthorizationURL(ctx, r)
	if refused := new(RefusedError); errors.As(err, &refused) { // of a pushed request
		return LandsAtError, refused
	}
	if err != nil {
		return "", err
	}
	jar, _ := cookiejar.New(nil) // without options it can't fail
	for range mostHops {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return "", malformed("the authorization endpoint is no URL")
		}
		req.Header.Set("Accept", "text/html,application/json;q=0.8")
		for _, c := range jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
		resp, err := p.send(ctx, req)
		if err != nil {
			return "", err
		}
		if resp.status < 300 || resp.status >= 400 {
			return p.landOnPage(resp)
		}
		jar.SetCookies(req.URL, (&http.Response{Header: resp.header}).Cookies())
		next, err := req.URL.Parse(resp.header.Get("Location"))
		switch {
		case err != nil || resp.header.Get("Location") == "":
			return "", malformed("the provider redirects to what is no URL")
		case isRedirectURI(next, r.RedirectURI):
			return LandsAtCallback, p.checkProbed(ctx, next.Query(), r)
		case isErrorAddress(next):
			return LandsAtError, p.errorAt(next)
		case !p.isOwnOrigin(m, next):
			return LandsAtLogin, nil
		}
		target = next.String()
	}
	return LandsAtLogin, nil
}

// checkProbed returns what an authorization response says about the request: nil where it grants a code.
func (p *Provider) checkProbed(ctx context.Context, q url.Values, r AuthorizationRequest) error {
	if state := q["state"]; !slices.Equal(state, []string{r.State}) {
		return malformed("the authorization response has another state than the request")
	}
	_, err := p.CheckResponse(ctx, q)
	return err
}

// isRedirectURI reports whether a redirect leads to the redirect URI. Its query is the response.
func isRedirectURI(u *url.URL, redirectURI string) bool {
	want, err := url.Parse(redirectURI)
	return err == nil && u.Scheme == want.Scheme && strings.EqualFold(u.Host, want.Host) && u.Path == want.Path
}

// isOwnOrigin reports whether a URL is at the issuer's or the authorization endpoint's origin.
func (p *Provider) isOwnOrigin(m *metadata, u *url.URL) bool {
	for _, own := range []string{p.cfg.Issuer, m.AuthorizationEndpoint} {
		if isAtOrigin(u, own) {
			return true
		}
	}
	return false
}

// isAtOrigin reports whether a URL has the scheme and the host of another.
func isAtOrigin(u *url.URL, other string) bool {
	o, err := url.Parse(other)
	return err == nil && o.Scheme == u.Scheme && strings.EqualFold(o.Host, u.Host)
}

// isErrorAddress reports whether a redirect leads to a page about an error: Cognito's /error?error=, Google's
// /signin/oauth/error?authError=.
func isErrorAddress(u *url.URL) bool {
	q := u.Query()
	return q.Get("error") != "" || q.Get("authError") != "" || slices.Contains(strings.Split(u.Path, "/"), "error")
}

// errorAt returns the error that a redirect to an error page tells.
func (p *Provider) errorAt(u *url.URL) *RefusedError {
	q := u.Query()
	e := &RefusedError{Code: p.printable(q.Get("error")), description: p.printable(q.Get("error_description"))}
	told := e.Code + " " + e.description
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding, base64.URLEncoding} {
		if text, err := encoding.DecodeString(q.Get("authError")); err == nil { // Google's: texts within a binary form
			told += " " + string(text)
		}
	}
	e.Reason = pageReason(told)
	if e.description == "" {
		e.description = "it shows an error page"
	}
	return e
}

// landOnPage judges a page of the provider's.
func (p *Provider) landOnPage(resp *response) (Landing, error) {
	if resp.status == http.StatusUnauthorized && resp.header.Get("WWW-Authenticate") != "" {
		return LandsAtLogin, nil // who the user is, is asked by HTTP
	}
	// Entra ID shows its errors with the status of a page that is well. Their numbers are within its scripts.
	number := []byte("AADSTS")
	if resp.status < 400 && !bytes.Contains(resp.body, number) {
		return LandsAtLogin, nil
	}
	e := &RefusedError{Status: resp.status, description: fmt.Sprintf("it shows an error page (HTTP %d)", resp.status)}
	if code, description := p.errorIn(resp.body); code+description != "" {
		e.Code, e.description = code, description
	}
	text := visible(resp.body)
	if i := bytes.Index(resp.body, number); i >= 0 {
		text += " " + string(resp.body[i:min(i+len(number)+8, len(resp.body))])
	}
	e.Reason = pageReason(text)
	return LandsAtError, e
}

// pageReason tells why from the words of an error page, or from the code in its address.
func pageReason(text string) Reason {
	text = strings.ToLower(text)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case has("aadsts50011"):
		return ReasonCallbackNotAllowed
	case has("unknown client", "client not found", "invalid_client", "client is invalid", "unauthorized_client",
		"aadsts700016", "unknown_client", "client is unknown"):
		return ReasonUnknownClient
	case has("redirect_uri", "redirect uri", "redirect_mismatch", "callback url", "redirect url"):
		return ReasonCallbackNotAllowed
	case has("client_id", "client id", "clientid"):
		return ReasonUnknownClient
	}
	return ""
}

// visible returns the text of a page without its tags, scripts and styles. It need not be exact: words are looked for.
func visible(page []byte) string {
	var text strings.Builder
	rest := string(page)
	for {
		before, tag, found := strings.Cut(rest, "<")
		text.WriteString(before)
		if !found {
			return text.String()
		}
		name := strings.ToLower(tag[:min(len(tag), 6)])
		rest = tag
		for _, hidden := range []string{"script", "style"} {
			if strings.HasPrefix(name, hidden) {
				_, rest, _ = strings.Cut(rest, "</"+hidden)
			}
		}
		if _, rest, found = strings.Cut(rest, ">"); !found {
			return text.String()
		}
		text.WriteByte(' ')
	}
}
