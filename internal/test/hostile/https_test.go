package hostile

import (
	"crypto/tls"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// hello asks for https, as browsers do that try it first.
func hello(t *testing.T, base string) {
	t.Helper()
	conn, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://"))
	if err == nil {
		_ = conn.Close()
		t.Error("https is served")
	}
}

// A browser that changes the redirect URI to https is told of on the terminal, once, with what helps: to put an address
// there that no browser changes, and the login is done. Beside serve that terminal is the server's.
func TestHTTPSFirst(t *testing.T) {
	t.Parallel()
	for _, serve := range []bool{false, true} {
		p := Start(t)
		h := house.New(t, p.Issuer())
		var server *house.Running
		if serve {
			server = h.Start("serve", "--no-browser")
			server.Line(t, h.Base+"/auth/enter?")
		}
		login := h.Start("login", "--no-browser")
		told := login
		if serve {
			told = server
		}
		_, back, _ := get(t, login.Line(t, p.URL(Authorize)))
		hello(t, h.Base)
		line := told.Line(t, "A browser asked for https")
		advice := regexp.MustCompile(`put (\S+) in place of (\S+)\.$`).FindStringSubmatch(line)
		if advice == nil {
			t.Fatalf("it says %q", line)
		}
		hello(t, h.Base)
		shown := strings.Replace(back.String(), "http://", "https://", 1) // in the address bar
		if !strings.HasPrefix(shown, advice[2]+"/") {
			t.Errorf("%s does not begin with %s", shown, advice[2])
		}
		// At the address, and led to no name that the browser would change again.
		b := newBrowser(t)
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		result := b.step(t, strings.Replace(shown, advice[2], advice[1], 1))
		status, body := b.get(t, result.String(), "Accept", "text/html")
		if status != 200 || result.Host != strings.TrimPrefix(advice[1], "http://") ||
			!strings.Contains(body, "You are logged in as Ada") {
			t.Errorf("serve %t: %s responds %d: %s", serve, result, status, body)
		}
		rest, _ := io.ReadAll(login.Stderr)
		if !strings.Contains(string(rest), "Logged in as Ada") || strings.Contains(string(rest), "https, and") {
			t.Errorf("then it says %s", rest)
		}
	}
}
