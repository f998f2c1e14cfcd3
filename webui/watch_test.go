package webui_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/session"
)

// until asks again and again until the status is the wanted one.
func until(t *testing.T, client *http.Client, target string, want int) (body string) {
	t.Helper()
	limit := time.Now().Add(5 * time.Minute)
	for {
		status, body, _ := ask(t, client, http.MethodGet, target, nil, "Accept", "text/html")
		if status == want {
			return body
		}
		if time.Now().After(limit) {
			t.Fatalf("%s still gets %d, not %d", target, status, want)
		}
	}
}

// A keystore that can't be asked is no logout: the browsers stay, the page says why, and the session is back by itself.
func TestKeystoreCannotTell(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	stranger := newClient(nil)
	info, err := s.session.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.tenant.LogoutToken("tests", "charles", info.Claims.Text("sid"), nil)
	if err != nil {
		t.Fatal(err)
	}
	logout := func() int {
		form := url.Values{"logout_token": {token}}
		status, _, _ := ask(t, stranger, http.MethodPost, s.base+"/auth/backchannel-logout", form)
		return status
	}
	s.store.locked.Store(true)
	if status := logout(); status != http.StatusInternalServerError { // it has the session read, in vain
		t.Errorf("a logout token gets %d from a locked keystore", status)
	}
	for _, path := range []string{"/", "/profile", "/protected"} {
		status, body, header := ask(t, client, http.MethodGet, s.base+path, nil, "Accept", "text/html")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "it is locked") ||
			header.Get("Retry-After") == "" {
			t.Errorf("%s gets %d: %s", path, status, body)
		}
	}
	if status, body, _ := ask(t, stranger, http.MethodGet, s.base+"/", nil, "Accept", "text/html"); status != 200 ||
		strings.Contains(body, "locked") {
		t.Errorf("a stranger is told of the keystore: %d", status)
	}
	s.store.locked.Store(false)
	if body := until(t, client, s.base+"/profile", http.StatusOK); !strings.Contains(body, "Lovelace") {
		t.Errorf("the profile is %s", body)
	}
	if status := logout(); status != http.StatusOK { // the same token: it did nothing the first time
		t.Errorf("the token that failed gets %d when it comes again", status)
	}
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/profile", nil); status != http.StatusOK {
		t.Errorf("a token about somebody else ended the session: %d", status)
	}
}

// A request whose tab was closed says nothing about the session: what all requests share is read to its end.
func TestClosedTab(t *testing.T) {
	t.Parallel()
	s := prepare(t) // nobody else looks
	s.inOwnServer(t, func(http.ResponseWriter, *http.Request) {})
	known, _ := s.login(t, "/app/")
	if _, err := s.session.AccessToken(t.Context(), session.Request{Force: true}); err != nil { // something to look at
		t.Fatal(err)
	}
	s.ahead.Add(int64(2 * time.Second)) // the view is old
	closed, leave := context.WithCancel(t.Context())
	leave()
	r := s.request(t, known.Jar, "/protected").WithContext(closed)
	s.server.Handler().ServeHTTP(&recorder{header: http.Header{}}, r)
	if status, body, _ := ask(t, known, http.MethodGet, s.base+"/protected", nil); status != http.StatusOK {
		t.Errorf("after a tab was closed: %d %s", status, body)
	}
}

// A session that the provider has ended is over for the guard too, as soon as its tokens have expired: what is under
// way for it ends.
func TestGuardRenews(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	streaming := make(chan struct{})
	ended := make(chan struct{})
	guarded := s.server.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).Flush()
			close(streaming)
			<-r.Context().Done()
			close(ended)
		}
	}))
	get := func(path string) int {
		r := s.request(t, client.Jar, path)
		w := &recorder{header: http.Header{}}
		guarded.ServeHTTP(w, r)
		return w.status
	}
	go get("/stream")
	<-streaming
	// Expired and renewable: the guard renews, once for many requests.
	s.ahead.Store(int64(11 * time.Hour))
	s.tenant.Reset()
	for range 5 {
		if status := get("/"); status != 0 {
			t.Fatalf("a renewable session gets %d", status)
		}
	}
	if n := s.tenant.Requests("token"); n != 1 {
		t.Errorf("%d token requests for five requests", n)
	}
	s.tenant.RevokeAll("ada")
	s.ahead.Store(int64(22 * time.Hour))
	if body := until(t, client, s.base+"/protected", http.StatusSeeOther); strings.Contains(body, "Lovelace") {
		t.Errorf("a session that has ended is shown: %s", body)
	}
	<-ended
}

// request is one that a browser with these cookies sends.
func (s *scene) request(t *testing.T, jar http.CookieJar, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI = path
	for _, cookie := range jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	return r
}

// A recorder is a ResponseWriter for a handler that may stream.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Flush()                      {}
