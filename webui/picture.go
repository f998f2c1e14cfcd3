package webui

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// picturePath serves the picture of the user.
const picturePath = "/auth/picture"

const (
	pictureLimit = 1 << 20 // bytes
	pictureWait  = 5 * time.Second
)

// portraits keeps the picture of the user.
//
// The picture claim names a host of the provider's choice. If pages loaded it from there, their policy would have to
// allow every host, and that host would hear of every visit. So it is fetched here, once for each session, by a client
// that sends nothing of the user's. The client reaches public addresses and the issuer's own host alone: a claim must
// not make loopkey send requests into the user's network.
type portraits struct {
	mu      sync.Mutex
	from    string // the claim that content is of
	content []byte // nil: there is none that can be shown
	kind    string // the content type
}

// picture sends the picture of the user.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	claims, _ := User(r)
	p := &s.portraits
	p.mu.Lock()
	if from := claims.Text("picture"); p.from != from {
		p.from = from
		p.content, p.kind = s.fetchPicture(r.Context(), from)
	}
	content, kind := p.content, p.kind
	p.mu.Unlock()
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if content == nil {
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "private, max-age=300")
	_, _ = w.Write(content)
}

var errPrivate = errors.New("the picture is on a private address")

// fetchPicture returns nil for what is no picture, or can't be fetched.
func (s *Server) fetchPicture(ctx context.Context, from string) (content []byte, kind string) {
	u, err := url.Parse(from)
	issuer, issuerErr := url.Parse(s.provider.Issuer())
	if err != nil || issuerErr != nil {
		return nil, ""
	}
	ofIssuer := u.Scheme == issuer.Scheme && u.Host == issuer.Host
	if !ofIssuer && u.Scheme != "https" {
		return nil, ""
	}
	dialer := &net.Dialer{Timeout: pictureWait}
	if !ofIssuer {
		dialer.Control = publicOnly
	}
	client := &http.Client{
		Timeout: pictureWait,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, ResponseHeaderTimeout: pictureWait,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The picture outlives the request: a tab that is closed must not leave the user without one.
	ctx = context.WithoutCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, ""
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, ""
	}
	defer resp.Body.Close()
	content, err = io.ReadAll(io.LimitReader(resp.Body, pictureLimit+1))
	if err != nil || resp.StatusCode != http.StatusOK || len(content) > pictureLimit {
		return nil, ""
	}
	// What the server says that it is does not count. An SVG may hold a script.
	switch kind = http.DetectContentType(content); kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return content, kind
	}
	return nil, ""
}

// publicOnly is a net.Dialer's Control that connects to public addresses alone.
func publicOnly(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(to.Addr().Unmap()) {
		return errPrivate
	}
	return nil
}

// isPublic reports whether an address is one of the public network, and stands for no other address (RFC 6890).
func isPublic(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, reserved := range []string{
		"100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10", // these hold an IPv4 address, or did
	} {
		if netip.MustParsePrefix(reserved).Contains(ip) {
			return false
		}
	}
	return true
}
