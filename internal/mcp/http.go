package mcp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

var (
	// ErrURL says that the URL is none that a token may be sent to.
	ErrURL = errors.New("the URL of an MCP server is https, or http to a loopback host, without user name and fragment")
	// ErrHeader says that a field of Config.Header is one that the bridge sets itself, or none.
	ErrHeader = errors.New("a header field that can't be set")
)

// parseURL checks the URL of a server.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Opaque != "", u.User != nil, strings.Contains(raw, "#"), u.Hostname() == "", localurl.Port(u) == 0,
		u.Scheme != "https" && (u.Scheme != "http" || !localurl.IsLoopback(u.Hostname())):
		return nil, ErrURL
	}
	return u, nil
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && localurl.Port(a) == localurl.Port(b)
}

// checkHeader refuses the fields that the bridge or the transport sets. The token is the authorizer's, and a session
// belongs to one bridge.
func checkHeader(header http.Header) error {
	ours := []string{
		"Authorization", "Proxy-Authorization", "Accept", "Content-Type", "Content-Length", "Content-Encoding", "Host",
		"Last-Event-Id", "Dpop",
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade",
	}
	for name, values := range header {
		canonical := http.CanonicalHeaderKey(name)
		if !validName(name) || slices.Contains(ours, canonical) ||
			strings.HasPrefix(canonical, "Mcp-") || slices.ContainsFunc(values, invalidValue) {
			return fmt.Errorf("%w: %s", ErrHeader, words.Printable(name))
		}
	}
	return nil
}

// validName reports whether a text is the name of a header field (RFC 9110, section 5.1).
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		return !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// validValue reports whether a text may be the value of a header field: it has no control characters.
func validValue(value string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return c < 0x20 && c != '\t' || c == 0x7F })
}

func invalidValue(value string) bool { return !validValue(value) }

// visible reports whether a value of the server's is one to be sent back in a header field: visible ASCII, not too
// long.
func visible(value string) bool {
	return len(value) <= mostID && !strings.ContainsFunc(value, func(c rune) bool { return c < 0x21 || c > 0x7E })
}

// newClient returns a client that follows redirects on the same origin alone, and keeps no cookies.
func newClient(given *http.Client) *http.Client {
	client := &http.Client{}
	if given != nil {
		client.Transport = given.Transport
	} else {
		client.Transport = newOnce()
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		if len(via) > mostRedirects || !sameOrigin(req.URL, first.URL) || req.Method != first.Method {
			return http.ErrUseLastResponse
		}
		if token := first.Header["Authorization"]; token != nil {
			req.Header["Authorization"] = token // net/http drops it where the same host is written in another way
		}
		if token, ok := first.Context().Value(sentToken{}).(Token); ok && token.Prover != nil { // a proof is for one URL
			return token.Prover.Authorize(req, token.Secret)
		}
		return nil
	}
	return client
}

const mostRedirects = 5

// sentToken is the key of the token that goes with a request, in its context.
type sentToken struct{}

// A once transport sends a request over HTTP/1.1 on a connection that no request has used, unless it is a GET. A server
// may close an idle connection just as the next request comes over it. It does not say then whether it has carried out
// the request, so that the request would be lost, or had to be sent again on a guess. net/http sends a GET again by
// itself. Over HTTP/2 all requests share a connection: its end names the last request that the server has begun (RFC
// 9113, section 6.8), and net/http sends those after it again.
type once struct{ shared, single *http.Transport }

func newOnce() once {
	shared := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// A stream may be silent for hours. A ping notices that the laptop slept or the network changed.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
	single := shared.Clone()
	single.MaxIdleConnsPerHost = -1 // none over HTTP/1.1; HTTP/2 does not count among them
	return once{shared, single}
}

// RoundTrip implements http.RoundTripper.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return o.shared.RoundTrip(r)
	}
	return o.single.RoundTrip(r)
}

// An httpRequest is what differs from one request to the next.
type httpRequest struct {
	method string
	url    *url.URL
	body   []byte
	header http.Header
	quiet  bool // the authorizer is not asked, for nobody waits for this request
	// wrote is called when the request has been written, refused when the server did not take the token.
	wrote, refused func()
}

// exchange sends a request, and returns the response with its body. Where the server asks for a token, or a better one,
// it asks the authorizer, once for each of both, and sends the request again.
func (b *bridge) exchange(ctx context.Context, r *httpRequest) (*http.Response, error) {
	asked := map[int]bool{}
	for renewed := 0; ; {
		token, err := b.token(ctx)
		if err != nil {
			return nil, err
		}
		resp, err := b.send(ctx, r, token)
		if err == nil && token.Prover.Challenged(resp) { // the server has not carried it out
			if r.refused != nil {
				r.refused()
			}
			discard(resp)
			if resp, err = b.send(ctx, r, token); err == nil {
				token.Prover.Challenged(resp)
			}
		}
		if err != nil {
			return nil, err
		}
		challenges := resp.Header.Values("WWW-Authenticate")
		if !wantsToken(resp.StatusCode, challenges) {
			return resp, nil
		}
		if r.refused != nil {
			r.refused()
		}
		// Another request may have got a new token meanwhile.
		now, err := b.token(ctx)
		if err != nil {
			discard(resp)
			return nil, err
		}
		if now.Reveal() != token.Reveal() && renewed < mostRenewed {
			renewed++
			discard(resp)
			continue
		}
		if b.Authorizer == nil || r.quiet || asked[resp.StatusCode] {
			return resp, nil // the caller reports the status
		}
		asked[resp.StatusCode] = true
		discard(resp)
		if err := b.challenged(ctx, resp.StatusCode, challenges, token.Secret); err != nil {
			return nil, err
		}
	}
}

// mostRenewed is how often a request is sent again because the token changed while it was under way.
const mostRenewed = 2

func (b *bridge) token(ctx context.Context) (Token, error) {
	if b.Authorizer == nil {
		return Token{}, nil
	}
	token, err := b.Authorizer.Token(ctx)
	if err != nil && ctx.Err() == nil {
		return token, &rpcError{codeUnauthorized, err.Error(), err}
	}
	return token, err
}

// wantsToken reports whether a response is a challenge that an authorizer can do something about.
func wantsToken(status int, challenges []string) bool {
	if status == http.StatusForbidden {
		code := challenge.Parse(challenges).Error
		return code == challenge.InsufficientScope || code == challenge.InsufficientAuthentication
	}
	return status == http.StatusUnauthorized
}

// challenges are the questions to the authorizer that have no answer yet.
type challenges struct {
	mu      sync.Mutex
	pending map[string]*question
}

type question struct {
	done chan struct{}
	err  error
}

// challenged asks the authorizer. Requests with the same challenge share one question, which goes on if the one that
// asked first is cancelled: a person may be logging in.
func (b *bridge) challenged(ctx context.Context, status int, fields []string, sent provider.Secret) error {
	key := sent.Reveal()
	if status == http.StatusForbidden {
		key += "\x00" + strings.Join(fields, "\x00") // another challenge asks for another scope
	}
	b.challenges.mu.Lock()
	c := b.challenges.pending[key]
	if c == nil {
		c = &question{done: make(chan struct{})}
		b.challenges.pending[key] = c
		asking, cancel := b.untilEnd(ctx)
		b.work.Go(func() {
			defer cancel()
			c.err = b.Authorizer.Challenged(asking, status, fields, sent)
			b.challenges.mu.Lock()
			delete(b.challenges.pending, key)
			b.challenges.mu.Unlock()
			close(c.done)
		})
	}
	b.challenges.mu.Unlock()
	select {
	case <-c.done:
		if c.err != nil {
			return &rpcError{codeUnauthorized, c.err.Error(), c.err}
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send sends a request once.
func (b *bridge) send(ctx context.Context, r *httpRequest, token Token) (*http.Response, error) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if sent.Store(info.Err == nil); info.Err == nil && r.wrote != nil {
				r.wrote()
			}
		},
	})
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return nil, failure(codeUnreachable, "the request to %s can't be sent", b.host())
	}
	for name, values := range b.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if !token.IsZero() {
		if err := token.Prover.Authorize(req, token.Secret); err != nil {
			return nil, failure(codeUnauthorized, "%v", err)
		}
		req = req.WithContext(context.WithValue(ctx, sentToken{}, token))
	}
	resp, err := b.client.Do(req)
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case sent.Load(): // the server may have carried it out
		return nil, failure(codeInterrupted, "the connection to %s ended before the response: %s", b.host(), innermost(err))
	}
	return nil, failure(codeUnreachable, "%s can't be reached: %s", b.host(), innermost(err))
}

// innermost returns the text of an error without the URL that net/http's quote, which may hold a secret.
func innermost(err error) string {
	if e := new(url.Error); errors.As(err, &e) {
		return innermost(e.Err)
	}
	return words.Printable(err.Error())
}

// host returns the server's name for errors.
func (b *bridge) host() string { return words.Printable(b.url.Host) }

// discard gives a response back whose body nobody needs.
func discard(resp *http.Response) {
	defer time.AfterFunc(time.Second, func() { _ = resp.Body.Close() }).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // a short one leaves the connection for the next request
	_ = resp.Body.Close()
}

// readBody returns a whole body.
func readBody(resp *http.Response, limit int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, failure(codeInterrupted, "the response broke off: %s", innermost(err))
	case len(body) > limit:
		return nil, failure(codeTooLong, "the response is longer than %d MiB", limit>>20)
	}
	return body, nil
}

// mediaType returns the type of a body without parameters.
func mediaType(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind
}

// statusError is for a status that is no success and has no JSON-RPC error.
func (b *bridge) statusError(resp *http.Response) error {
	code := codeStatus
	why := http.StatusText(resp.StatusCode)
	switch {
	case wantsToken(resp.StatusCode, resp.Header.Values("WWW-Authenticate")):
		code = codeUnauthorized
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		why = "a redirect that is not followed, for it leaves the origin or the method"
		if to, err := resp.Location(); err == nil {
			why += ": " + words.Printable(to.Scheme+"://"+to.Host)
		}
	}
	return failure(code, "%s replied with HTTP %d (%s)", b.host(), resp.StatusCode, why)
}
