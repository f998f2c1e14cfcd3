// Package upstream is a reverse proxy for one app. It tells the app who the user is and keeps loopkey's own cookies
// from it; WebSockets and event streams go through.
//
//	app, err := upstream.New(ctx, upstream.Config{URL: "http://localhost:5173", User: user, Fail: fail})
//	mux.Handle("/", guard(app))
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// tokenWait limits the wait for the access token of one request.
const tokenWait = 30 * time.Second

// Config says where the app is, who uses it, and how the server in front of it shows errors.
type Config struct {
	URL         string // of the app, http or https; its path goes before the path of every request
	AllowRemote bool   // the app may be on another machine, or another user's
	OwnPort     int    // the port of this server, at which no app can be; 0: unknown
	OwnCookies  string // how the names of this server's cookies begin, which the app neither sees nor sets

	// User returns the claims of the user who sent a request. A request of nobody is refused.
	User func(*http.Request) (provider.Claims, bool)
	// AccessToken returns the token to send as Authorization in place of what the request has there; nil: the app
	// gets what the request has.
	AccessToken func(context.Context) (provider.Secret, error)
	// Foreign reports whether another user of this machine listens at the other end of a connection; nil:
	// localhost.ForeignListener.
	Foreign func(net.Conn) bool
	// Fail replies to a request that the app has not replied to.
	Fail func(http.ResponseWriter, *http.Request, Failure)
}

// A Handler passes requests on to an app. It tells the app who the user is in X-Forwarded-User, -Email,
// -Preferred-Username and -Groups (percent-encoded where a value is not printable ASCII), and removes whatever a
// request says of that itself.
type Handler struct {
	cfg    Config
	target *url.URL
	local  bool // the target is on this machine
	named  bool // the target's host is a name other than localhost, by which the app may tell its sites apart
	proxy  *httputil.ReverseProxy
}

// New prepares the way to an app. It looks up the app's name; the app need not run yet. An app that is elsewhere
// without leave is ErrRemote.
func New(ctx context.Context, cfg Config) (*Handler, error) {
	target, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Foreign == nil {
		cfg.Foreign = localhost.ForeignListener
	}
	h := &Handler{cfg: cfg, target: target}
	if h.local, err = isOnThisMachine(ctx, target.Hostname()); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", target.Host, err)
	}
	_, notAddress := netip.ParseAddr(target.Hostname())
	h.named = notAddress != nil && !strings.EqualFold(target.Hostname(), "localhost")
	switch {
	case !h.local && !cfg.AllowRemote:
		return nil, fmt.Errorf("upstream %s: %w: whoever runs it would be sent who you are", target.Host, ErrRemote)
	case !h.local && cfg.AccessToken != nil && target.Scheme != "https":
		return nil, fmt.Errorf("upstream %s: %w", target.Host, ErrUnencrypted)
	case h.local && cfg.OwnPort != 0 && localurl.Port(target) == cfg.OwnPort:
		return nil, fmt.Errorf("upstream %s: %w", target.Host, ErrOwnServer)
	}
	h.proxy = &httputil.ReverseProxy{
		Rewrite:        h.rewrite,
		ModifyResponse: h.modify,
		ErrorHandler:   h.down,
		Transport:      h.transport(),
		FlushInterval:  FlushInterval,
		BufferPool:     &Buffers{},
		ErrorLog:       log.New(io.Discard, "", 0), // a response that breaks off concerns the app and the browser
	}
	return h, nil
}

func parse(text string) (*url.URL, error) {
	target, err := url.Parse(text)
	switch {
	case err != nil: // its text may hold a password
		return nil, fmt.Errorf("upstream: %w", ErrURL)
	case target.Scheme != "http" && target.Scheme != "https" || target.Hostname() == "":
		return nil, fmt.Errorf("upstream: %w", ErrURL)
	case target.User != nil:
		return nil, errors.New("upstream: a URL with a user name or a password in it is not taken")
	case target.RawQuery != "" || target.Fragment != "":
		return nil, fmt.Errorf("upstream: %w", ErrQuery)
	}
	return target, nil
}

// ServeHTTP passes a request on for the user who sent it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	claims, ok := h.cfg.User(r)
	if !ok {
		h.cfg.Fail(w, r, Failure{Status: http.StatusUnauthorized})
		return
	}
	add := addition{claims: claims}
	if h.cfg.AccessToken != nil {
		token, err := h.accessToken(r.Context())
		if err != nil { // the app was promised a token, so without one it is not asked
			h.cfg.Fail(w, r, noToken(err))
			return
		}
		add.token = token
	}
	localhost.Unsecure(w.Header()) // they hold for the server's own pages: for its pages the app decides
	h.proxy.ServeHTTP(Informational(w, h.strip), r.WithContext(context.WithValue(r.Context(), additionKey{}, add)))
}

func (h *Handler) accessToken(ctx context.Context) (provider.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenWait)
	defer cancel()
	token, err := h.cfg.AccessToken(ctx)
	if err == nil && token.IsZero() {
		err = errors.New("there is none")
	}
	return token, err
}

// Informational returns a writer that calls strip with the header of each informational response (1xx). ReverseProxy
// passes those on without a call of ModifyResponse.
func Informational(w http.ResponseWriter, strip func(http.Header)) http.ResponseWriter {
	return writer{w, strip}
}

type writer struct {
	http.ResponseWriter
	strip func(http.Header)
}

// Unwrap lets http.ResponseController reach Flush and Hijack.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the status and headers.
func (w writer) WriteHeader(status int) {
	if status < 200 {
		w.strip(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// noToken says why there is no access token to send.
func noToken(err error) Failure {
	if errors.Is(err, session.ErrNotLoggedIn) || errors.Is(err, session.ErrCannotRenew) {
		return Failure{
			Status: http.StatusUnauthorized, Cause: err, LogIn: true, Title: "Log in again",
			Why: "The app is to get an access token, and the session has none that is still good.",
		}
	}
	return Failure{
		Status: http.StatusServiceUnavailable, Reason: ErrNoToken, Cause: err, Title: "No access token",
		Why: "The app is to get an access token, and there is none at the moment: " + words.Line(err.Error(), 300) + ".",
	}
}
