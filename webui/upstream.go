package webui

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

const (
	upstreamDial   = 5 * time.Second  // to look up an upstream's name, or to connect to it
	upstreamHeader = 5 * time.Minute  // until its answer begins: development servers may compile first
	tokenWait      = 30 * time.Second // for the access token that goes with a request
	maxGroups      = 4 << 10          // bytes of X-Forwarded-Groups; servers limit headers to 8 KB and more
)

// downHeader is on our own answer for an upstream that is down, which is how the waiting page tells it from the app's.
const downHeader = "Loopkey-Upstream"

// errAnothers: what listens where the upstream should be is another user's, who would be told who the person is.
var errAnothers = errors.New("another user listens there")

// errRemote: the upstream is on another machine, and nobody allowed that.
var errRemote = errors.New("it is not on this machine")

// An upstreamConfig says which app is behind the guard and what it is told.
type upstreamConfig struct {
	URL         string // http or https; a path is put before every request's
	AllowRemote bool   // it may be on another machine
	OwnPort     string // ours: an upstream there would be ourselves
	// Visitor tells who sends a request. Nobody it does not know gets through.
	Visitor func(*http.Request) (provider.Claims, bool)
	// AccessToken is sent as Authorization, in place of what the request has; nil: that goes through untouched.
	AccessToken func(context.Context) (provider.Secret, error)
	Foreign     func(net.Conn) bool // whether another user's server was connected to; nil: loopback.ForeignListener
	Layout      *layout.Layout
}

// An upstream passes requests on to an app. It tells the app who the person is
// in X-Forwarded-User, -Email, -Preferred-Username and -Groups (percent-encoded
// where a value is not printable ASCII), and believes none of what a request
// says of that itself. loopkey's own cookies stay with loopkey.
type upstream struct {
	cfg    upstreamConfig
	target *url.URL
	local  bool // the target is on this machine
	named  bool // by a name of its own, which it may go by (a virtual host)
	proxy  *httputil.ReverseProxy
}

// newUpstream prepares the way to an app. It looks its name up, but the app need not be there yet.
func newUpstream(ctx context.Context, cfg upstreamConfig) (*upstream, error) {
	target, err := parseUpstream(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Foreign == nil {
		cfg.Foreign = loopback.ForeignListener
	}
	u := &upstream{cfg: cfg, target: target}
	if u.local, err = isOnThisMachine(ctx, target.Hostname()); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", target.Host, err)
	}
	_, notAddress := netip.ParseAddr(target.Hostname())
	u.named = notAddress != nil && !strings.EqualFold(target.Hostname(), "localhost")
	switch {
	case !u.local && !cfg.AllowRemote:
		return nil, fmt.Errorf("upstream %s: %w: whoever runs it would be sent who you are; --allow-remote-upstream allows that", target.Host, errRemote)
	case !u.local && cfg.AccessToken != nil && target.Scheme != "https":
		return nil, fmt.Errorf("upstream %s: an access token may not travel unencrypted: use https", target.Host)
	case u.local && cfg.OwnPort != "" && port(target) == cfg.OwnPort:
		return nil, fmt.Errorf("upstream %s: that is loopkey itself: give the address of the app", target.Host)
	}
	u.proxy = &httputil.ReverseProxy{
		Rewrite:        u.rewrite,
		ModifyResponse: u.modify,
		ErrorHandler:   u.failed,
		Transport:      u.transport(),
		FlushInterval:  -1,                         // each event of a stream is passed on as it comes
		ErrorLog:       log.New(io.Discard, "", 0), // an aborted answer is between the app and the browser
	}
	return u, nil
}

func parseUpstream(text string) (*url.URL, error) {
	target, err := url.Parse(text)
	switch {
	case err != nil: // its text may hold a password
		return nil, errors.New("upstream: not a URL: write it as http://localhost:5173")
	case target.Scheme != "http" && target.Scheme != "https" || target.Hostname() == "":
		return nil, errors.New("upstream: not an http or https URL: write it as http://localhost:5173")
	case target.User != nil:
		return nil, errors.New("upstream: a URL with a user name or a password in it is not taken")
	case target.RawQuery != "" || target.Fragment != "":
		return nil, errors.New("upstream: give the URL without a query and a fragment")
	}
	return target, nil
}

func port(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// isOnThisMachine reports whether every address of host is a loopback one.
func isOnThisMachine(ctx context.Context, host string) (bool, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback(), nil
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, upstreamDial)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return false, errors.New("no such host")
	}
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() }), nil
}

// transport connects to the upstream and nowhere else: through no proxy, and
// where only this machine is allowed to no other, whatever the name says by then.
func (u *upstream) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: upstreamDial}
	if !u.cfg.AllowRemote {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			addr, err := netip.ParseAddrPort(address)
			if err != nil || !addr.Addr().Unmap().IsLoopback() {
				return errRemote
			}
			return nil
		}
	}
	return &http.Transport{
		DialContext:           u.dialOwn(dialer),
		TLSHandshakeTimeout:   upstreamDial,
		ResponseHeaderTimeout: upstreamHeader,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   32,
		DisableCompression:    true, // the browser's own Accept-Encoding goes through
	}
}

// dialOwn connects to a server of this user's or root's, unless it may be anybody's. Of localhost's two addresses
// another user may have the one that the app lacks.
func (u *upstream) dialOwn(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	if u.cfg.AllowRemote {
		return dialer.DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil || !u.cfg.Foreign(conn) {
			return conn, err
		}
		_ = conn.Close()
		if host, port, err := net.SplitHostPort(address); err == nil && strings.EqualFold(host, "localhost") {
			for _, host := range []string{"127.0.0.1", "::1"} {
				conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
				if err == nil && !u.cfg.Foreign(conn) {
					return conn, nil
				}
				if err == nil {
					_ = conn.Close()
				}
			}
		}
		return nil, errAnothers
	}
}

// ServeHTTP passes a request on for the person who is logged in.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	claims, ok := u.cfg.Visitor(r)
	if !ok {
		u.cfg.Layout.Fail(w, r, http.StatusUnauthorized, layout.Problem{})
		return
	}
	if isForeign(r) {
		u.cfg.Layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Title: "Asked by another page", Why: "A page of another origin asked for this with your cookie. Links to the app are followed; nothing else from outside is.",
		})
		return
	}
	pass := passed{claims: claims}
	if u.cfg.AccessToken != nil {
		ctx, cancel := context.WithTimeout(r.Context(), tokenWait)
		token, err := u.cfg.AccessToken(ctx)
		cancel()
		if err == nil && token.IsZero() {
			err = errors.New("there is none")
		}
		if err != nil { // the app was promised a token: without one it is not asked
			u.noToken(w, r, err)
			return
		}
		pass.token = token
	}
	for _, name := range []string{"Cache-Control", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
		"Referrer-Policy", "X-Content-Type-Options"} {
		w.Header().Del(name) // what holds for our own pages is the app's to say for its own
	}
	u.proxy.ServeHTTP(answer{w}, r.WithContext(context.WithValue(r.Context(), passedKey{}, pass)))
}

// isForeign reports whether another origin's page makes the browser send r, other than by leading the person here.
// Cookies know no port, so a page of any server on localhost can send ours; CrossOriginProtection does not look at
// GET, and a WebSocket begins with one.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
	case "same-origin", "none": // surer than Origin, which is null for a form on a page that sends no referrer
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

// An answer is the way back to the browser. It also takes our cookies out of the answers before the answer (1xx), which
// ReverseProxy passes on without asking.
type answer struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController reach Flush and Hijack.
func (a answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends the status and headers.
func (a answer) WriteHeader(status int) {
	if status < 200 {
		stripAnswer(a.Header())
	}
	a.ResponseWriter.WriteHeader(status)
}

// passed is what the app is told beside the request.
type passed struct {
	claims provider.Claims
	token  provider.Secret
}

type passedKey struct{}

// rewrite makes the request that the app gets.
func (u *upstream) rewrite(p *httputil.ProxyRequest) {
	pass, _ := p.In.Context().Value(passedKey{}).(passed)
	p.SetURL(u.target)
	p.Out.URL.RawQuery = p.In.URL.RawQuery // to the letter: nothing is decided by it here
	if u.local && !u.named {
		// The name that the browser knows: the app compares it with Origin, and makes its own links with it.
		p.Out.Host = p.In.Host
	}
	for name := range p.Out.Header {
		if isClaimed(name) {
			delete(p.Out.Header, name)
		}
	}
	p.SetXForwarded()
	for name, value := range identity(pass.claims) {
		p.Out.Header.Set(name, value)
	}
	if !pass.token.IsZero() {
		p.Out.Header.Set("Authorization", "Bearer "+pass.token.Reveal())
	}
	keepCookies(p.Out.Header)
}

// isClaimed reports whether a header of a request could be taken for something that a proxy says of it. Some
// servers read an underscore like a hyphen.
func isClaimed(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	for _, prefix := range []string{"x-forwarded", "x-auth-", "x-remote-", "remote-", "x-original-", "loopkey-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"forwarded", "x-real-ip", "x-user", "x-email", "proxy"}, name)
}

// identity returns the headers that tell an app who the person is.
func identity(claims provider.Claims) map[string]string {
	headers := map[string]string{}
	for name, value := range map[string]string{
		"X-Forwarded-User":               claims.Subject(),
		"X-Forwarded-Preferred-Username": cmp.Or(claims.Text("preferred_username"), claims.Text("nickname")),
	} {
		if value != "" {
			headers[name] = headerSafe(value)
		}
	}
	// An address that the provider says it has not checked may be somebody else's.
	if email := claims.Text("email"); email != "" && claims["email_verified"] != false && claims["email_verified"] != "false" {
		headers["X-Forwarded-Email"] = headerSafe(email)
	}
	for _, name := range []string{"groups", "roles"} {
		if groups := texts(claims[name]); groups != "" {
			headers["X-Forwarded-Groups"] = groups
			break
		}
	}
	return headers
}

// texts joins a claim's strings with commas, as many whole ones as fit: fewer groups are fewer rights.
func texts(claim any) string {
	list, ok := claim.([]any)
	if !ok {
		list = []any{claim}
	}
	joined := ""
	for _, element := range list {
		text, ok := element.(string)
		if !ok || text == "" {
			continue
		}
		text = strings.ReplaceAll(headerSafe(text), ",", "%2C")
		if len(joined)+1+len(text) > maxGroups {
			break
		}
		joined = strings.TrimPrefix(joined+","+text, ",")
	}
	return joined
}

// headerSafe percent-encodes, as in a URL's path, what is not printable ASCII,
// spaces at either end, and the percent sign, so that decoding always gives the value back.
func headerSafe(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if c > ' ' && c <= '~' && c != '%' || c == ' ' && i > 0 && i < len(value)-1 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// keepCookies takes loopkey's own cookies out of a request.
func keepCookies(h http.Header) {
	lines := h["Cookie"]
	if lines == nil {
		return
	}
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" && !isOwnCookie(pair) {
				kept = append(kept, pair)
			}
		}
	}
	h.Del("Cookie")
	if kept != nil {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// isOwnCookie goes by how a cookie's text begins. A cookie without a name ("=loopkey_3000=x") is sent back as though
// it had ours.
func isOwnCookie(text string) bool {
	text = strings.TrimLeft(text, "= \t")
	return len(text) >= len(cookiePrefix) && strings.EqualFold(text[:len(cookiePrefix)], cookiePrefix)
}

// modify makes the answer that the browser gets.
func (u *upstream) modify(res *http.Response) error {
	h := res.Header
	stripAnswer(h)
	if h.Get("Cross-Origin-Resource-Policy") == "" {
		h.Set("Cross-Origin-Resource-Policy", "same-origin") // no other port of localhost embeds it
	}
	// An app that knows its own address only would send the browser past the guard.
	if to, err := url.Parse(h.Get("Location")); err == nil && to.Host != "" &&
		strings.EqualFold(to.Hostname(), u.target.Hostname()) && port(to) == port(u.target) && to.Scheme == u.target.Scheme {
		here := "/" + strings.TrimLeft(to.EscapedPath(), "/") // never //host
		if to.RawQuery != "" {
			here += "?" + to.RawQuery
		}
		if to.Fragment != "" {
			here += "#" + to.EscapedFragment()
		}
		h.Set("Location", here)
	}
	return nil
}

// stripAnswer takes out of an app's headers what is loopkey's to say: its cookies, set or cleared, and its own header.
func stripAnswer(h http.Header) {
	h.Del(downHeader)
	if cookies := h["Set-Cookie"]; cookies != nil {
		h["Set-Cookie"] = slices.DeleteFunc(cookies, isOwnCookie)
	}
	if clears := h["Clear-Site-Data"]; clears != nil { // "cookies" would be ours as well
		var kept []string
		for part := range strings.SplitSeq(strings.Join(clears, ","), ",") {
			if part = strings.TrimSpace(part); part != `"cookies"` && part != `"*"` && part != "" {
				kept = append(kept, part)
			}
		}
		h.Del("Clear-Site-Data")
		if kept != nil {
			h.Set("Clear-Site-Data", strings.Join(kept, ", "))
		}
	}
}

// noToken answers when there is no access token to send.
func (u *upstream) noToken(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, session.ErrNotLoggedIn) || errors.Is(err, session.ErrCannotRenew) {
		u.cfg.Layout.Fail(w, r, http.StatusUnauthorized, layout.Problem{
			Title: "Log in again", Why: "The app is to get an access token, and the session has none that is still good.",
			Links: []layout.Link{{Text: "Log in", URL: "/auth/login?" + url.Values{"returnTo": {r.URL.RequestURI()}}.Encode()}},
		})
		return
	}
	u.cfg.Layout.Fail(w, r, http.StatusServiceUnavailable, layout.Problem{
		Title: "No access token", Why: "The app is to get an access token, and there is none at the moment: " + words.Line(err.Error(), 300) + ".",
		Next: "Reload in a while. loopkey token says more.",
	})
}

// failed answers when the app did not: with a page that opens the app when it is back, or with JSON.
func (u *upstream) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil { // the browser went away
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	why := u.reason(err)
	w.Header().Set(downHeader, "down")
	w.Header().Set("Cache-Control", "no-store")
	if !layout.WantsPage(r) {
		layout.FailJSON(w, http.StatusBadGateway, layout.Problem{Why: why})
		return
	}
	u.cfg.Layout.Render(w, r, http.StatusBadGateway, &downTemplate, layout.Page{
		Title: "The app does not answer", Script: "waiting.js",
		Data: struct{ Why, Next string }{why, "Start it, or give loopkey serve --upstream its right address."},
	})
}

// reason says in our words why an app did not answer.
func (u *upstream) reason(err error) string {
	where := u.target.Scheme + "://" + u.target.Host
	var timeout net.Error
	switch unknown, name, op := (*tls.CertificateVerificationError)(nil), (*net.DNSError)(nil), (*net.OpError)(nil); {
	case errors.Is(err, errRemote):
		return where + " now leads to another machine, which --allow-remote-upstream would have to allow."
	case errors.Is(err, errAnothers):
		return "What listens at " + where + " is another user's, which --allow-remote-upstream would have to allow."
	case errors.As(err, &unknown):
		return "The certificate of " + where + " is not trusted. SSL_CERT_FILE can name the authority that issued it."
	case errors.As(err, &name):
		return "The name in " + where + " can't be looked up."
	case errors.As(err, &timeout) && timeout.Timeout():
		return where + " did not answer in time."
	case errors.As(err, &op) && op.Op == "dial":
		return "Nothing listens at " + where + "."
	}
	return where + " broke off before it answered."
}
