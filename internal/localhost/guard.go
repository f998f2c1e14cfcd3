package localhost

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
)

// OwnHost lets requests through to next whose Host is localhost, 127.0.0.1 or [::1] with this port. Any other gets a
// 421, on a page of app: it comes from a page that made its own name resolve to this machine (DNS rebinding). Every
// response has the headers that Secure sets.
func OwnHost(port int, app string, next http.Handler) http.Handler {
	own := localurl.Authorities(port)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Secure(w.Header())
		if !slices.Contains(own, strings.ToLower(r.Host)) { // RFC 9110, section 4.2.3: hosts are case-insensitive
			Page{Status: http.StatusMisdirectedRequest, App: app, Title: "Not for this server",
				Text: "This request was meant for another host."}.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// AtHost leads a browser that navigates under another of our names to the host of base: a user who types 127.0.0.1
// would begin a login there whose cookie the redirect URI at localhost never shows. Any other request goes to next. It
// stands behind OwnHost.
func AtHost(base *url.URL, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := url.URL{Host: r.Host}
		if strings.EqualFold(asked.Hostname(), base.Hostname()) || r.Method != http.MethodGet || !IsNavigation(r) ||
			!strings.Contains(r.Header.Get("Accept"), "text/html") {
			next.ServeHTTP(w, r)
			return
		}
		here := r.RequestURI // a mux before us may have taken a part of the path away
		if !strings.HasPrefix(here, "/") {
			here = "/" + strings.TrimPrefix(r.URL.RequestURI(), "/")
		}
		http.Redirect(w, r, "http://"+base.Host+here, http.StatusTemporaryRedirect) //nolint:gosec // to our own host
	})
}

// OnlyGET refuses every other method with status 405. http.ServeMux routes a HEAD to a pattern with GET too, and a HEAD
// must not use up a link or hold a stream open.
func OnlyGET(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	}
}

const policyHeader = "Content-Security-Policy"

// strict is the Content-Security-Policy of a response that loads, embeds and sends nothing. A page adds to it.
const strict = "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"

// securityHeaders are what every response of the local server has: it is not kept, it tells other servers no URL of
// ours, and no page of another origin reads, embeds or holds it. Cookies know no port, so another port of localhost
// counts as another origin here. All responses share the values; nothing writes to them, for http.Header sets and adds
// in new slices.
var securityHeaders = []struct {
	name  string
	value []string
}{
	{"Cache-Control", []string{"no-store"}},
	{policyHeader, []string{strict}},
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
}

// Secure sets the headers that every response of a local server has, unless its handler says otherwise: no-store,
// no-referrer, nosniff, same-origin for openers and resources, and a Content-Security-Policy that allows nothing.
// OwnHost sets them for all handlers behind it.
func Secure(h http.Header) {
	for _, header := range securityHeaders {
		h[header.name] = header.value
	}
}

// OwnPolicy takes the Content-Security-Policy of Secure out again, for a response that is not to load nothing.
func OwnPolicy(h http.Header) { h.Del(policyHeader) }

// Unsecure takes the headers of Secure out again, for the response of an app that chooses its own.
func Unsecure(h http.Header) {
	for _, header := range securityHeaders {
		delete(h, header.name)
	}
}
