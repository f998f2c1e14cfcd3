package webui

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// picturePath serves the picture of the user.
const picturePath = "/auth/picture"

const (
	pictureLimit = 1 << 20
	pictureWait  = 5 * time.Second
)

// portraits keeps the picture of who is logged in.
//
// The picture claim names a host of the provider's choice. To let pages load it
// would open their policy to the world, and tell that host of every visit. So it is
// fetched here, once for each session, by a client that carries nothing of the
// person and reaches public addresses alone (or the issuer's own host): a claim must
// not make loopkey knock on doors inside the person's network.
type portraits struct {
	mu      sync.Mutex
	from    string
	content []byte // nil: there is none that can be shown
	kind    string
}

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

func (s *Server) fetchPicture(ctx context.Context, from string) (content []byte, kind string) {
	u, err := url.Parse(from)
	issuer, issuerErr := url.Parse(s.cfg.Provider.Issuer())
	if err != nil || issuerErr != nil {
		return nil, ""
	}
	own := u.Scheme == issuer.Scheme && u.Host == issuer.Host
	if !own && u.Scheme != "https" {
		return nil, ""
	}
	dialer := &net.Dialer{Timeout: pictureWait}
	if !own {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			ip := net.ParseIP(host)
			if err != nil || ip == nil || !ip.IsGlobalUnicast() || ip.IsPrivate() {
				return errPrivate
			}
			return nil
		}
	}
	client := &http.Client{
		Timeout:       pictureWait,
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, ResponseHeaderTimeout: pictureWait},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, from, nil)
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
	switch kind = http.DetectContentType(content); kind { // what it is, not what it says it is; no SVG, which could hold a script
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return content, kind
	}
	return nil, ""
}
