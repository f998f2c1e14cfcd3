// Package proxy passes requests of local programs on to one server, with a fresh access token in place of the secret
// with which the programs come. It is for programs that know no way to get a token.
//
// No web page gets through, not even one that knows the secret: a request that a browser marks as made by a page is
// refused.
package proxy

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/upstream"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 10 * time.Minute // until the response begins: some replies take long to compute
	tokenWait     = time.Minute
)

// Config says where requests go, and with which token.
type Config struct {
	To      hosts.Origin      // a listed one
	Tokens  credential.Tokens // of the session
	Ask     credential.Ask    // for the tokens of To
	Secret  provider.Secret   // what callers show; zero: nothing, because the listener accepts this user alone
	Explain func(error) string
	Tell    func(error) // hears why a request that takes another authentication has no token for it; may be nil
}

// New returns the proxy's handler. Where callers show a secret it stands behind localhost.OwnHost.
func New(cfg Config) http.Handler {
	h := &handler{cfg: cfg, target: &url.URL{Scheme: cfg.To.Scheme}}
	if u, err := url.Parse(cfg.To.String()); err == nil {
		h.target = u
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	dial := dialer.DialContext
	if cfg.To.IsLoopback() {
		dial = upstream.DialOwn(dialer, localhost.ForeignListener)
	}
	h.proxy = &httputil.ReverseProxy{
		Rewrite:        h.rewrite,
		ModifyResponse: func(res *http.Response) error { withoutCookies(res.Header); return nil },
		ErrorHandler:   h.down,
		Transport: &renewing{
			tokens: cfg.Tokens, ask: cfg.Ask, tell: cfg.Tell,
			base: &http.Transport{
				Proxy: http.ProxyFromEnvironment, DialContext: dial, TLSHandshakeTimeout: dialTimeout,
				ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: upstream.IdleTimeout, MaxIdleConnsPerHost: 32,
				DisableCompression: true, // the caller's own Accept-Encoding goes through
			},
		},
		FlushInterval: upstream.FlushInterval, BufferPool: &upstream.Buffers{},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "this proxy is another user's")
	})
	h.pass = localhost.RefuseOtherUsers(func(*http.Request) bool { return !cfg.Secret.IsZero() }, refuse, h.passOn)
	return h
}

type handler struct {
	cfg    Config
	target *url.URL
	pass   http.Handler
	proxy  *httputil.ReverseProxy
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	localhost.Secure(w.Header())
	switch {
	case !strings.HasPrefix(r.RequestURI, "/") || r.Method == http.MethodConnect: // RFC 9112, section 3.2.1
		fail(w, http.StatusBadRequest, "only requests for a path are passed on")
	case localhost.FromPage(r):
		fail(w, http.StatusForbidden, "a browser says that a page, or an address that was typed, made this request: "+
			"only programs are served")
	case !h.knows(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="loopkey proxy"`)
		fail(w, http.StatusUnauthorized, "the secret that loopkey proxy printed is missing or wrong")
	case opaque(r) == "":
		fail(w, http.StatusBadRequest, "a path that begins with // has to be percent-encoded")
	default:
		h.pass.ServeHTTP(w, r)
	}
}

// knows reports whether a request shows the secret, as the password of Basic or as a bearer token.
func (h *handler) knows(r *http.Request) bool {
	if h.cfg.Secret.IsZero() {
		return true
	}
	if len(r.Header.Values("Authorization")) != 1 {
		return false
	}
	_, shown, ok := r.BasicAuth()
	if !ok {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if shown = token; !strings.EqualFold(scheme, "Bearer") {
			return false
		}
	}
	return subtle.ConstantTimeCompare([]byte(shown), []byte(h.cfg.Secret.Reveal())) == 1
}

// passOn passes on a request of a caller who may.
func (h *handler) passOn(w http.ResponseWriter, r *http.Request) {
	localhost.Trust(r)
	_ = http.NewResponseController(w).EnableFullDuplex() // a response may begin before the request's body has ended
	localhost.Unsecure(w.Header())                       // the server decides for its own responses
	h.proxy.ServeHTTP(upstream.Informational(w, withoutCookies), r)
}

// opaque returns the target of a request byte for byte, in the form in which a transport sends it unchanged, or "" if
// there is none: a transport takes what follows // for a host.
func opaque(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "//") && r.URL.RequestURI() != r.RequestURI {
		return ""
	}
	return r.RequestURI
}

// rewrite makes the request that the server gets.
func (h *handler) rewrite(p *httputil.ProxyRequest) {
	u := *h.target
	if target := opaque(p.In); strings.HasPrefix(target, "//") {
		u.Path, u.RawPath = p.In.URL.Path, p.In.URL.RawPath
		u.RawQuery, u.ForceQuery = p.In.URL.RawQuery, p.In.URL.ForceQuery
	} else {
		u.Opaque = target
	}
	p.Out.URL, p.Out.Host = &u, u.Host
	upstream.OnlyWebSocket(p)
	for _, name := range []string{"Cookie", "Cookie2", "Authorization", "DPoP"} {
		p.Out.Header.Del(name)
	}
}

// withoutCookies takes the cookies out of a response: they would be sent to every server on localhost.
func withoutCookies(header http.Header) {
	header.Del("Set-Cookie")
	header.Del("Set-Cookie2")
}

// down replies for a server that gave no response, or that there is no token for.
func (h *handler) down(w http.ResponseWriter, r *http.Request, err error) {
	localhost.Secure(w.Header())
	switch none := new(tokenError); {
	case r.Context().Err() != nil: // the caller went away
		w.WriteHeader(http.StatusBadGateway)
	case errors.As(err, &none):
		fail(w, http.StatusBadGateway, h.cfg.Explain(none.err))
	case errors.Is(err, upstream.ErrForeign):
		fail(w, http.StatusBadGateway, h.cfg.To.String()+" is another user's server")
	default:
		fail(w, http.StatusBadGateway, h.cfg.To.String()+" gave no response: "+reason(err))
	}
}

// reason says in words why a server gave no response. It quotes no URL.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case strings.Contains(err.Error(), "certificate"): // of crypto/tls and crypto/x509, which have many types for it
		return "its certificate is not trusted; SSL_CERT_FILE can name the authority that issued it"
	}
	return "it can't be reached, or broke off"
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "loopkey: "+words.Printable(text)+"\n")
}
