package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
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

// A response is a response that was read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
	at     time.Time // when it had come
}

// send sends a request like sendOnce, as often as sendEach.
func (p *Provider) send(ctx context.Context, req *http.Request) (*response, error) {
	sent := false
	return p.sendEach(ctx, p.http, func() (*http.Request, error) {
		if sent && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			req.Body = body
		}
		sent = true
		return req, nil
	})
}

// sendEach sends the request that build returns, like sendOnce. It sends another one of build's if the provider said
// that the one before was not acted on (429, 503) and when to come back (RFC 9110, section 10.2.3). A request whose
// response was lost is not sent again: a code or a refresh token may have been used up by it.
func (p *Provider) sendEach(
	ctx context.Context, client *http.Client, build func() (*http.Request, error),
) (*response, error) {
	patience := p.now().Add(retryPatience)
	for retries := 0; ; retries++ {
		req, err := build()
		if err != nil {
			return nil, err
		}
		resp, err := p.sendOnce(ctx, client, req)
		var e *UnreachableError
		if !errors.As(err, &e) || !e.mayRepeat || p.now().Add(e.RetryAfter).After(patience) || retries == maxRetries {
			return resp, err
		}
		if due, ok := ctx.Deadline(); ok && time.Until(due) <= e.RetryAfter {
			return nil, err
		}
		if clock.Pause(ctx, e.RetryAfter) != nil {
			return nil, err
		}
	}
}

// sendOnce sends a request and reads the response. If there is none, or one that says nothing about the request, the
// error is an UnreachableError.
func (p *Provider) sendOnce(ctx context.Context, client *http.Client, req *http.Request) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	// Nothing of the request is sent before there is a connection, and with TLS none before the handshake.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req = req.WithContext(ctx)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	req.Header.Set("User-Agent", p.userAgent())
	_, traced := client.Transport.(*http.Transport) // another RoundTripper need not report its connections
	began := time.Now()
	resp, err := client.Do(req)
	p.logRequest(req, resp, err, began)
	if err != nil {
		return nil, unreachable(req, err, connected.Load() || !traced)
	}
	defer resp.Body.Close()
	p.compareClocks(resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err != nil {
		return nil, unreachable(req, err, true)
	}
	if len(body) > bodyLimit {
		return nil, malformed("%s sent more than %d KiB", words.Printable(req.URL.Host), bodyLimit>>10)
	}
	if err := p.unavailable(req, resp, body); err != nil {
		return nil, err
	}
	return &response{resp.StatusCode, resp.Header, body, p.now()}, nil
}

// logRequest tells the program's log of a request. The query and the body hold what nobody else may know.
func (p *Provider) logRequest(req *http.Request, resp *http.Response, err error, began time.Time) {
	if p.cfg.Logger == nil {
		return
	}
	where := (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}).String()
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		failed := unreachable(req, err, false).Error()
		p.cfg.Logger.Debug("request", "method", req.Method, "url", where, "took", took, "failed", failed)
		return
	}
	p.cfg.Logger.Debug("request", "method", req.Method, "url", where, "took", took, "status", resp.StatusCode)
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
		after := at.Sub(p.providerNow()).Round(time.Second)
		return max(after, 0), after < longest*time.Second
	}
	return 0, false
}
