package webui

import (
	"net/http"
	"strconv"
	"time"
)

// cookiePrefix begins the names of all cookies of this server. An app behind the guard sees none of them.
const cookiePrefix = "loopkey_"

// browserCookie returns the name of the cookie by which a browser is recognised. The port is in it, because cookies
// know no port: servers on other ports get the same cookies.
func browserCookie(port int) string { return cookiePrefix + strconv.Itoa(port) }

// loginCookie returns the name of the cookie that binds a login to the browser in which it was begun, so that nobody
// can complete it in another browser (RFC 9700, section 4.7).
func loginCookie(port int) string { return browserCookie(port) + "_login" }

// leaverCookie returns the name of the cookie that tells the browser which was led to the provider's logout from all
// others, for a provider that sends no state back.
func leaverCookie(port int) string { return browserCookie(port) + "_leaving" }

// setCookie gives a browser a cookie that no script reads, and that comes back from links of other sites but not from
// their forms. With a life of zero it goes when the browser is closed.
func setCookie(w http.ResponseWriter, name, value, path string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: not every browser keeps a Secure cookie there
		Name: name, Value: value, Path: path, MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
