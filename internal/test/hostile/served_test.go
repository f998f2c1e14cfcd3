package hostile

import (
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A login that a running server makes for the command line passes the same checks, with the same errors.
func TestLoginThroughServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.house.Serve()
	for name, c := range house.Some(map[string]trial{
		"nonce_wrong": {lies: Lies{Claims: set("nonce", "another")}, words: "nonce"},
		"sig_wrong":   {lies: Lies{Sign: forge.OtherRS256().Sign}, words: "signature"},
		"iss_wrong": {
			lies: Lies{Callback: func(q url.Values) { q.Set("iss", "https://mallory.example.com") }}, words: "issuer",
		},
		"access_denied": {
			lies: Lies{Callback: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }}, words: "access_denied",
		},
		"token_type_DPoP":  {lies: Lies{Token: set("token_type", "DPoP")}, words: "token type"},
		"unavailable":      {more: responds(Token, 503, html, ""), code: 1, words: "can't be reached"},
		"id_token_missing": {lies: Lies{Token: without("id_token")}, words: "no ID token"},
	}) {
		t.Run(name, func(t *testing.T) {
			w.Confess()
			w.Lie(c.lies)
			if c.more != nil {
				c.more(w)
			}
			if c.code == 0 {
				c.code = 4
			}
			house.Refused(t, w.house.Run("login"), c.code, c.words)
			w.unharmed(t)
		})
	}
	t.Run("good", func(t *testing.T) {
		w.Confess()
		w.house.Must("login")
		w.house.Must("token")
	})
}

// A logout in a terminal goes through the user's own server where that holds the port, and learns from it that the
// browser came back.
func TestLogoutThroughServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	known := newBrowser(t)
	if status, body := known.get(t, w.house.Serve()); status != 200 || !strings.Contains(body, "Ada") {
		t.Fatalf("the one-time URL responds %d", status)
	}
	w.Reset()
	var hints []bool
	w.On(EndSession, func(_ http.ResponseWriter, r *http.Request) bool {
		hints = append(hints, strings.Count(r.FormValue("id_token_hint"), ".") == 2)
		return false
	})
	r := w.house.Run("logout")
	if r.Code != 0 || !strings.Contains(r.Stderr, "the provider's session ended") ||
		strings.Contains(r.Stderr, "id_token_hint") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	w.count(t, map[string]int{Revoke: 1, EndSession: 1})
	// where the system does not tell which user asks, the provider asks
	if !slices.Equal(hints, []bool{runtime.GOOS == "linux"}) {
		t.Errorf("ID tokens sent along: %v", hints)
	}
	w.gone(t)
	if status, body := known.get(t, w.house.Base+"/"); status != 200 || strings.Contains(body, "Ada") {
		t.Errorf("the page then shows %d: %s", status, body)
	}

	w.house.Must("login")
	w.Lie(Lies{Return: func(q url.Values) { q.Set("state", "another") }})
	w.house.Env = append(w.house.Env, "BROWSER=true") // it opens nothing: this test is the browser
	logout := w.house.Start("logout")
	once := logout.Line(t, w.house.Base+"/auth/ended?id=")
	_, end, _ := get(t, once)
	if _, again, _ := get(t, once); again == nil || again.Path != "/" {
		t.Errorf("a second time it leads to %v", again)
	}
	_, wrong, _ := get(t, end.String())
	get(t, wrong.String())
	w.Confess()
	_, back, _ := get(t, end.String())
	get(t, back.String())
	if line := logout.Line(t, "Logged out"); !strings.Contains(line, "the provider's session ended") {
		t.Errorf("it says %q", line)
	}
}

// Auth0's own logout sends no state back, so loopkey knows only that the browser was sent there.
func TestLogoutThroughServeAtAuth0(t *testing.T) {
	t.Parallel()
	p := StartAt(t, "/")
	h := house.New(t, p.Issuer(), "AUTH0_DOMAIN="+strings.TrimSuffix(p.Issuer(), "/"), "AUTH0_CLIENT_ID="+house.Client)
	p.Lie(Lies{Discovery: without("end_session_endpoint")})
	h.Must("login")
	h.Serve()
	r := h.Run("logout")
	if r.Code != 0 || !strings.Contains(r.Stderr, "ends in your browser") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
}
