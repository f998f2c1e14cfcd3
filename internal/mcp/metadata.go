package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/challenge"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
)

var (
	// ErrMetadata says that what a server says about its authorization can't be used, or must not be believed.
	ErrMetadata = errors.New("the server's authorization metadata is refused")
	// ErrNoReply says that a server could not be asked about its authorization.
	ErrNoReply = errors.New("the server can't be reached")
)

// A resource is what a server says about its authorization (RFC 9728, section 2).
type resource struct {
	name    string   // the resource indicator, as it is written
	issuers []string // of the authorization servers, one at least
	scopes  []string // that it knows
	bound   bool     // it takes only access tokens that are bound to a key (DPoP)
}

// Limits of the metadata of a resource.
const (
	metadataLimit = 256 << 10
	metadataTime  = 30 * time.Second
	mostIssuers   = 16
)

const wellKnownResource = "/.well-known/oauth-protected-resource"

// findResource fetches the metadata of a server's resource: where the challenge says, else under the server's path, or
// at its root. A server that has none is its own authorization server, as it was before there was such metadata.
func (a *Authorization) findResource(ctx context.Context, c challenge.Bearer) (*resource, error) {
	if c.Metadata != "" {
		at, err := url.Parse(c.Metadata)
		if err != nil || !a.mayAsk(at) {
			return nil, fmt.Errorf("%w: it is at %q, which is not https", ErrMetadata, words.Printable(c.Metadata))
		}
		raw, err := a.fetch(ctx, at)
		if err != nil {
			return nil, err
		}
		if raw == nil {
			return nil, fmt.Errorf("%w: there is none at %s", ErrMetadata, words.Printable(c.Metadata))
		}
		return parseResource(raw, a.server)
	}
	below := wellKnownResource + strings.TrimSuffix(a.server.EscapedPath(), "/")
	for _, path := range slices.Compact([]string{below, wellKnownResource}) {
		at, err := url.Parse(a.origin() + path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
		}
		raw, err := a.fetch(ctx, at)
		if err != nil {
			return nil, err
		}
		if raw != nil {
			return parseResource(raw, a.server)
		}
	}
	return &resource{name: withoutQuery(a.server), issuers: []string{a.origin()}}, nil
}

// origin returns the origin of the server.
func (a *Authorization) origin() string { return a.server.Scheme + "://" + a.server.Host }

// withoutQuery returns a URL without its query, as a resource indicator has none (RFC 8707, section 2).
func withoutQuery(u *url.URL) string {
	bare := *u
	bare.RawQuery, bare.ForceQuery = "", false
	return bare.String()
}

// mayAsk reports whether the server may have us send a request to a URL: https, or http from one loopback host to
// another. A server elsewhere can't make us ask what listens on this machine.
func (a *Authorization) mayAsk(u *url.URL) bool { return isAllowed(u, a.server) }

func isAllowed(u, server *url.URL) bool {
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	loopback := localurl.IsLoopback(u.Hostname())
	return u.Scheme == "https" && (!loopback || localurl.IsLoopback(server.Hostname())) ||
		u.Scheme == "http" && loopback && localurl.IsLoopback(server.Hostname())
}

// parseResource decodes the metadata of a resource. Its resource must be the server's URL to the letter (RFC 9728,
// section 3.3), or a path above it on the same origin: what a token for that path may do is the server's as well.
func parseResource(raw []byte, server *url.URL) (*resource, error) {
	var m struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Bound    bool     `json:"dpop_bound_access_tokens_required"`
	}
	if !isObject(raw) || json.Unmarshal(raw, &m) != nil {
		return nil, fmt.Errorf("%w: it is not the JSON that it should be", ErrMetadata)
	}
	if !covers(m.Resource, server) {
		return nil, fmt.Errorf("%w: it is of %q, not of %s", ErrMetadata, words.Printable(m.Resource), server)
	}
	r := &resource{name: m.Resource, scopes: challenge.Scopes(strings.Join(m.Scopes, " ")), bound: m.Bound}
	if len(m.Servers) == 0 {
		r.issuers = []string{server.Scheme + "://" + server.Host}
		return r, nil
	}
	for _, issuer := range m.Servers[:min(len(m.Servers), mostIssuers)] {
		if u, err := url.Parse(issuer); err == nil && isAllowed(u, server) && !strings.ContainsAny(issuer, "?#") {
			r.issuers = append(r.issuers, issuer)
		}
	}
	if len(r.issuers) == 0 {
		return nil, fmt.Errorf("%w: it names the authorization server %q, which is not https", ErrMetadata,
			words.Printable(m.Servers[0]))
	}
	return r, nil
}

// isObject reports whether a text begins as a JSON object does: null and lists can be decoded without an error too.
func isObject(raw []byte) bool {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	return len(raw) > 0 && raw[0] == '{'
}

// covers reports whether a resource is the server, or a path above it on the same origin.
func covers(name string, server *url.URL) bool {
	if name == server.String() {
		return !strings.Contains(name, "#")
	}
	u, err := url.Parse(name)
	if err != nil || u.User != nil || u.Opaque != "" || strings.ContainsAny(name, "?#") || !sameOrigin(u, server) {
		return false
	}
	above, path := strings.TrimSuffix(u.EscapedPath(), "/"), server.EscapedPath()
	climbs := strings.Contains(server.Path+"/", "/../") // above it may be anything
	return above == "" || path == u.EscapedPath() || strings.HasPrefix(path, above+"/") && !climbs
}

// fetch returns the document at a URL, or nil where the server says that there is none.
func (a *Authorization) fetch(ctx context.Context, at *url.URL) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTime)
	defer cancel()
	resp, err := a.send(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: %s replied with HTTP %d", ErrNoReply, words.Printable(at.Host), resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, metadataLimit+1))
	if err != nil {
		return nil, noReply(at, err)
	}
	if len(raw) > metadataLimit {
		return nil, fmt.Errorf("%w: it is larger than %d KiB", ErrMetadata, metadataLimit>>10)
	}
	if !isObject(raw) { // some servers have a page for every path
		return nil, nil
	}
	return raw, nil
}

// send sends a request without a token. Only the server itself gets the fields that it was configured with.
func (a *Authorization) send(ctx context.Context, method string, at *url.URL, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if sameOrigin(at, a.server) {
		for name, values := range a.cfg.Header {
			req.Header[name] = values
		}
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, noReply(at, err)
	}
	return resp, nil
}

// noReply returns an error of net/http without the URL, which it quotes.
func noReply(at *url.URL, err error) error {
	if e := new(url.Error); errors.As(err, &e) {
		err = e.Err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("the request to %s was interrupted: %w", words.Printable(at.Host), context.Canceled)
	}
	return fmt.Errorf("%w: %s: %s", ErrNoReply, words.Printable(at.Host), words.Printable(err.Error()))
}
