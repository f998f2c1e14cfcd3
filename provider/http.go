package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

// The limits of every request.
const (
	requestLimit = 30 * time.Second
	bodyLimit    = 1 << 20

	// How long the provider may ask to wait in all, and how often, before a request is given up.
	retryPatience = 10 * time.Second
	maxRetries    = 2
)

// NewHTTPClient returns a client with limits that honours HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE as Go does. It makes
// a redirect the response. New uses one where it is given none.
func NewHTTPClient() *http.Client {
	return &http.Client{
		CheckRedirect: followNone,
		Transport: &http.Transport{
			Proxy:                  proxyOf,
			OnProxyConnectResponse: proxyResponse,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  20 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           4,
			IdleConnTimeout:        30 * time.Second,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// proxyOf returns the proxy that the environment names. The errors of net/http quote the variable, which may hold a
// password.
func proxyOf(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	// One that does not parse is no proxy to net/http, which would then ask the provider directly.
	env := func(name string) string { return cmp.Or(os.Getenv(name), os.Getenv(strings.ToLower(name))) }
	unread := proxy == nil && r.URL.Scheme == "https" && env("HTTPS_PROXY") != "" && env("NO_PROXY") == "" &&
		!localurl.IsLoopback(r.URL.Hostname())
	// A password with a slash, a question mark or a number sign ends the host, and the @ stands after that.
	if err != nil || unread || proxy != nil && strings.Contains(proxy.Path+proxy.RawQuery+proxy.Fragment, "@") {
		return nil, &proxyError{why: "that HTTPS_PROXY names has no usable address", reason: ReasonProxyAddress}
	}
	return proxy, nil
}

// onlySchemes returns the authentication schemes that a proxy accepts if Basic is not among them, else "".
func onlySchemes(h http.Header) string {
	var schemes []string
	for _, challenge := range h.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if strings.EqualFold(scheme, "Basic") {
			return ""
		}
		schemes = append(schemes, words.Printable(scheme))
	}
	return strings.Join(schemes, " or ")
}

// proxyResponse returns an error that says that the response is the proxy's, if the proxy makes no connection.
func proxyResponse(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		if scheme := onlySchemes(resp.Header); scheme != "" {
			why := words.Printable(proxy.Host) + " wants a login by " + scheme + ", which is not spoken here"
			return &proxyError{why: why, reason: ReasonProxyScheme, proxy: proxy.Host}
		}
		why := words.Printable(proxy.Host) + " wants a user name and a password"
		return &proxyError{why: why, reason: ReasonProxyLogin, proxy: proxy.Host}
	}
	return &proxyError{why: words.Printable(proxy.Host) + " replied with HTTP " + strconv.Itoa(resp.StatusCode)}
}

// A proxyError says why a proxy made no connection to the provider.
type proxyError struct {
	why    string
	reason Reason // "": there is no more to say
	proxy  string // its host and port
}

func (e *proxyError) Error() string { return "the proxy " + e.why }

// followNone makes a redirect the response. No endpoint that is used here redirects, nor do discovery and keys. A
// redirect that was followed would send codes and tokens to another address, or take its word for the issuer's.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// userAgent names the program and this library (RFC 9110, section 10.1.5).
func (p *Provider) userAgent() string {
	app := strings.Map(func(r rune) rune {
		switch { // a product's name is a token: section 5.6.2
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~/", r):
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, p.cfg.AppName)
	return strings.TrimSpace(app + " " + library())
}

// library names this library, with its version if the build knows it.
var library = sync.OnceValue(func() string {
	const path = "github.com/loopkey/loopkey"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "loopkey"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == path && strings.HasPrefix(module.Version, "v") {
			return "loopkey/" + strings.TrimPrefix(module.Version, "v")
		}
	}
	return "loopkey"
})

// A response is a response that was read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
	at     time.Time // when it had come
}

// send sends a request like sendOnce. It sends the request again if the provider said that it was not acted on (429,
// 503) and when to come back (RFC 9110, section 10.2.3). A request whose response was lost is not sent again: a code
// or a refresh token may have been used up by it.
func (p *Provider) send(ctx context.Context, req *http.Request) (*response, error) {
	patience := p.now().Add(retryPatience)
	for range maxRetries {
		resp, err := p.sendOnce(ctx, req)
		var e *UnreachableError
		if !errors.As(err, &e) || !e.mayRepeat || p.now().Add(e.RetryAfter).After(patience) {
			return resp, err
		}
		if due, ok := ctx.Deadline(); ok && time.Until(due) <= e.RetryAfter {
			return nil, err
		}
		if clock.Pause(ctx, e.RetryAfter) != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
	return p.sendOnce(ctx, req)
}

// sendOnce sends a request and reads the response. If there is none, or one that says nothing about the request, the
// error is an UnreachableError.
func (p *Provider) sendOnce(ctx context.Context, req *http.Request) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	// Nothing of the request is sent before there is a connection, and with TLS none before the handshake.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", p.userAgent())
	_, traced := p.http.Transport.(*http.Transport) // another RoundTripper need not report its connections
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, unreachable(req.URL, err, connected.Load() || !traced)
	}
	defer resp.Body.Close()
	p.compareClocks(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return nil, unreachable(req.URL, err, true)
	}
	if len(body) > bodyLimit {
		return nil, malformed("%s sent more than %d KiB", words.Printable(req.URL.Host), bodyLimit>>10)
	}
	if err := p.unavailable(req, resp, body); err != nil {
		return nil, err
	}
	return &response{resp.StatusCode, resp.Header, body, p.now()}, nil
}

// unavailable returns an UnreachableError if the status says nothing about the request itself.
func (p *Provider) unavailable(req *http.Request, resp *http.Response, body []byte) error {
	notActedOn := slices.Contains([]int{
		http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly,
	}, resp.StatusCode)
	if resp.StatusCode < 500 && !notActedOn {
		return nil
	}
	e := &UnreachableError{
		Host: words.Printable(req.URL.Host), Why: "it replied with HTTP " + strconv.Itoa(resp.StatusCode),
		Status: resp.StatusCode, maybeSent: !notActedOn,
	}
	if code, description := p.errorIn(body); code+description != "" {
		e.Why += " (" + strings.Trim(code+": "+description, ": ") + ")"
	}
	after, told := p.retryAfter(resp.Header)
	if e.RetryAfter, e.mayRepeat = after, told && notActedOn; after > 0 {
		e.Why += fmt.Sprintf(" and asks to wait %s", after)
	}
	return e
}

// retryAfter reads Retry-After, a number of seconds or a date (RFC 9110, section 10.2.3), and reports whether there was
// one that can be used.
func (p *Provider) retryAfter(h http.Header) (after time.Duration, told bool) {
	const longest = 1 << 20 // seconds: twelve days
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds < longest {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		after := at.Sub(p.now().Add(p.skew())).Round(time.Second)
		return max(after, 0), after < longest*time.Second
	}
	return 0, false
}

// compareClocks keeps how far the provider's clock is ahead of this computer's (RFC 9110, section 6.6.1).
func (p *Provider) compareClocks(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err == nil && h.Get("Age") == "" { // with an Age it is an old response, out of a cache on the way
		p.ahead.Store(int64(at.Sub(p.now())))
	}
}

// skew returns how far the provider's clock is ahead of this computer's, or 0 if no response has told that.
func (p *Provider) skew() time.Duration { return time.Duration(p.ahead.Load()) }
