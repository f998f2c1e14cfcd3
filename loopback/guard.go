package loopback

import (
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
)

// discard: what strangers send us is nobody's to read on a terminal.
var discard = log.New(io.Discard, "", 0)

// OwnHost answers only requests for localhost, 127.0.0.1 or [::1] with baseURL's port:
// a page that made its own name resolve to this machine (DNS rebinding) gets a 421.
func OwnHost(baseURL string, next http.Handler) http.Handler {
	own := map[string]bool{}
	if u, err := ParseBaseURL(baseURL); err == nil {
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			own[host+":"+strconv.Itoa(portOf(u))] = true
			if portOf(u) == 80 {
				own[host] = true
			}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		if !own[strings.ToLower(r.Host)] { // RFC 9110, section 4.2.3: hosts are case-insensitive
			page{Status: http.StatusMisdirectedRequest, Title: "Not for this server",
				Text: "This request was meant for another host."}.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// OnlyGET is for what happens once, or lasts: a pattern "GET /…" of http.ServeMux lets HEAD
// through too, which is sent by who only wants to know whether something is there.
func OnlyGET(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			securePage(w)
			w.Header().Set("Allow", http.MethodGet)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	}
}

// secure sets what every answer of the login carries.
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// securePage is secure for the login's own pages and redirects.
func securePage(w http.ResponseWriter) {
	secure(w)
	w.Header().Set("Content-Security-Policy", pagePolicy())
}
