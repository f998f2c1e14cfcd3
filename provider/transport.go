package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// Limits on every talk with a provider.
const (
	requestLimit = 30 * time.Second
	bodyLimit    = 1 << 20
	maxText      = 300

	// How long the provider may ask us to wait, altogether, and how often.
	retryPatience = 10 * time.Second
	maxRetries    = 2
)

// An UnreachableError says that a request got no answer, or one that says nothing about it. It wraps ErrUnreachable.
type UnreachableError struct {
	Host       string
	Why        string
	Status     int           // of a 5xx or 429; else 0
	RetryAfter time.Duration // as the provider asked; 0: it did not
	Sent       bool          // the request may have been acted on, though no answer came
	Reason     Reason        // why, where more can be done about it than to try again later; else ""
	Proxy      string        // with ReasonProxyLogin: the proxy's host and port

	toldWhen bool // it was not acted on, and may be repeated after RetryAfter
}

func (e *UnreachableError) Error() string {
	return "the provider at " + e.Host + " can't be reached: " + e.Why
}

// Unwrap makes it match ErrUnreachable.
func (e *UnreachableError) Unwrap() error { return ErrUnreachable }

// MaybeSent reports whether the request that failed may have been acted on all the same.
func MaybeSent(err error) bool {
	if _, ok := errors.AsType[*answeredError](err); ok {
		return true
	}
	e, ok := errors.AsType[*UnreachableError](err)
	return ok && e.Sent
}

// An answeredError is about an answer that can't be used, though it may have come to one who did what was asked.
type answeredError struct{ error }

func (e *answeredError) Unwrap() error { return e.error }

// newHTTPClient honours HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE as Go does.
func newHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			OnProxyConnectResponse: proxyAnswered,
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

// proxyAnswered says whose answer it is when there is no way through the proxy.
func proxyAnswered(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return &proxyError{why: words.Printable(proxy.Host) + " wants a user name and a password", wantsLogin: proxy.Host}
	}
	return &proxyError{why: words.Printable(proxy.Host) + " answered " + strconv.Itoa(resp.StatusCode)}
}

// A proxyError says why a proxy lets nothing through. The provider has seen nothing.
type proxyError struct {
	why        string
	wantsLogin string // the proxy's host and port, if it asks for a user name and a password
}

func (e *proxyError) Error() string { return "the proxy " + e.why }

// followNone: no endpoint of ours redirects, discovery and keys included. What would be
// sent on are codes and tokens, and what would come back is another's word for the issuer's.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// userAgent names the program and this library.
func (p *Provider) userAgent() string {
	app := strings.Map(func(r rune) rune {
		switch { // a product's name is a token: RFC 9110, sections 5.6.2 and 10.1.5
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("!#$%&'*+-.^_`|~/", r):
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, p.cfg.AppName)
	return strings.TrimSpace(app + " " + library())
}

// library names this library, with its version where the build knows it.
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

type answer struct {
	status int
	header http.Header
	body   []byte
	at     time.Time
}

// do sends a request as once does, and again where the answer was that it was not
// acted on (429, 503) and when to come back (RFC 9110, section 10.2.3): that may be
// repeated whatever it asks for. A request whose answer was lost is never repeated
// here: a code or a refresh token may have been used up by it.
func (p *Provider) do(ctx context.Context, req *http.Request) (*answer, error) {
	patience := p.now().Add(retryPatience)
	for range maxRetries {
		a, err := p.once(ctx, req)
		e, ok := errors.AsType[*UnreachableError](err)
		if !ok || !e.toldWhen || p.now().Add(e.RetryAfter).After(patience) {
			return a, err
		}
		if due, ok := ctx.Deadline(); ok && time.Until(due) <= e.RetryAfter {
			return nil, err
		}
		timer := time.NewTimer(e.RetryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
	return p.once(ctx, req)
}

// once sends a request and reads its bounded answer; trouble becomes an UnreachableError that holds no URL.
func (p *Provider) once(ctx context.Context, req *http.Request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	// Nothing leaves before there is a connection, and with TLS no connection before the handshake.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", p.userAgent())
	_, traced := p.http.Transport.(*http.Transport) // another RoundTripper need not tell of its connections
	maybeSent := func() bool { return connected.Load() || !traced }
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, unreachable(req.URL, err, maybeSent())
	}
	defer resp.Body.Close()
	p.compareClocks(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return nil, unreachable(req.URL, err, true)
	}
	if len(body) > bodyLimit {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: fmt.Sprintf("%s sent more than %d KiB", words.Printable(req.URL.Host), bodyLimit>>10)}
	}
	notActedOn := slices.Contains([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusTooEarly}, resp.StatusCode)
	if resp.StatusCode >= 500 || notActedOn {
		e := &UnreachableError{
			Host: words.Printable(req.URL.Host), Why: "it answered " + strconv.Itoa(resp.StatusCode), Status: resp.StatusCode, Sent: !notActedOn,
		}
		if code, description := p.errorIn(body); code+description != "" {
			e.Why += " (" + strings.Trim(code+": "+description, ": ") + ")"
		}
		wait, told := p.retryAfter(resp.Header)
		if e.RetryAfter, e.toldWhen = wait, told && notActedOn; wait > 0 {
			e.Why += fmt.Sprintf(" and asks to wait %s", wait)
		}
		return nil, e
	}
	return &answer{resp.StatusCode, resp.Header, body, p.now()}, nil
}

// retryAfter reads a number of seconds or a date (RFC 9110, section 10.2.3), and reports whether there was one.
func (p *Provider) retryAfter(h http.Header) (wait time.Duration, told bool) {
	const longest = 1 << 20 // seconds: twelve days
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && seconds < longest {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		wait := at.Sub(p.now().Add(p.skew())).Round(time.Second)
		return max(wait, 0), wait < longest*time.Second
	}
	return 0, false
}

// compareClocks keeps how far the provider's clock is ahead of ours (RFC 9110, section 6.6.1).
func (p *Provider) compareClocks(h http.Header) {
	at, err := http.ParseTime(h.Get("Date"))
	if err == nil && h.Get("Age") == "" { // not an old answer out of somebody's cache
		p.ahead.Store(int64(at.Sub(p.now())))
	}
}

// skew is how far the provider's clock is ahead of ours; 0 where no answer told.
func (p *Provider) skew() time.Duration { return time.Duration(p.ahead.Load()) }

// unreachable puts an error of net/http in our words, which hold no URL.
func unreachable(u *url.URL, err error, maybeSent bool) error {
	host := words.Printable(u.Host)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", host, context.Canceled)
	}
	e := &UnreachableError{Host: host, Sent: maybeSent}
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && op.Op == "dial" {
		e.Sent = false
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, wrongName := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	behind, isProxy := errors.AsType[*proxyError](err)
	switch {
	case isProxy:
		e.Sent, e.Why = false, behind.Error()
		if behind.wantsLogin != "" {
			e.Reason, e.Proxy = ReasonProxyLogin, behind.wantsLogin
		}
	case isOp && op.Op == "proxyconnect":
		e.Sent, e.Why = false, "the proxy that HTTPS_PROXY names does not answer: "+words.Printable(op.Err.Error())
	case isDNS:
		e.Sent, e.Why = false, "its name is not known ("+words.Printable(dns.Name)+")"
	case unknownCA:
		e.Sent, e.Why, e.Reason = false, "its certificate is signed by an unknown authority", ReasonUnknownAuthority
	case wrongName:
		e.Sent, e.Why = false, "its certificate is for another name"
	case isInvalid && invalid.Reason == x509.Expired:
		e.Sent, e.Why = false, "its certificate has expired or is not valid yet, or this clock is wrong"
	case isInvalid:
		e.Sent, e.Why = false, "its certificate is not valid"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Sent, e.Why = false, "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Why = "the connection broke off"
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		e.Why = "no answer in time"
	default:
		e.Why = words.Printable(strings.ReplaceAll(reason(err), u.String(), u.Host))
	}
	return e
}

// reason is the innermost error: those around it quote URLs.
func reason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return reason(e.Err)
	}
	return err.Error()
}

// document decodes a JSON object into a struct whose names are all in lower case. JSON's names know
// a case (RFC 8259, section 8.3), encoding/json's do not: it would take "Token_Endpoint" for the other.
func document(body []byte, into any) error {
	var members map[string]json.RawMessage
	if err := object(body, &members); err != nil {
		return err
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool {
		return strings.ContainsFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' || r > '~' })
	})
	exact, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return json.Unmarshal(exact, into)
}

// object decodes a JSON object, numbers as written.
func object(body []byte, into any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' { // null and lists decode without an error too
		return errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errNoObject
	}
	return nil
}

var errNoObject = errors.New("not one JSON object")
