package webui_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/session"
)

// A page is drawn once for a session as it stands, and never shown of another state of it: not after a renewal that
// brought another name, not after a logout, and not to a browser that is not recognised.
func TestDrawnAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	paths := []string{"/", "/profile", "/protected"}
	pages := func(client *http.Client) (all []string) {
		for _, path := range paths {
			status, body, _ := ask(t, client, http.MethodGet, s.base+path, nil, "Accept", "text/html")
			if status == http.StatusOK {
				all = append(all, body)
			}
		}
		return all
	}
	for range 2 {
		for i, page := range pages(client) {
			if !strings.Contains(page, "Lovelace") {
				t.Errorf("%s is %s", paths[i], page)
			}
		}
	}
	for _, page := range pages(newClient(nil)) {
		if strings.Contains(page, "Lovelace") {
			t.Errorf("a stranger sees %s", page)
		}
	}
	s.name.Store("Augusta King")
	if _, err := s.session.AccessToken(t.Context(), session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	untilHas(t, client, s.base+"/profile", "Augusta King")
	for i, page := range pages(client) {
		if strings.Contains(page, "Lovelace") {
			t.Errorf("after the renewal %s is %s", paths[i], page)
		}
	}
	if status, _, _ := ask(t, client, http.MethodPost, s.base+"/auth/logout", url.Values{}); status >= 400 {
		t.Fatalf("the logout gets %d", status)
	}
	for _, page := range pages(client) {
		if strings.Contains(page, "Augusta") {
			t.Errorf("after the logout there is %s", page)
		}
	}
}

// untilHas asks again and again until the page has a text.
func untilHas(t *testing.T, client *http.Client, target, text string) {
	t.Helper()
	for {
		if body := until(t, client, target, http.StatusOK); strings.Contains(body, text) {
			return
		}
	}
}

// What a page costs: no read of the keystore, and no more allocations than these. A page that is drawn makes 500.
//
//nolint:paralleltest // it counts the allocations of the whole process
func TestPageCosts(t *testing.T) {
	s := newScene(t)
	client, _ := s.login(t, "/")
	u, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	handler := s.server.Handler()
	for path, most := range map[string]float64{"/": 10, "/profile": 10, "/protected": 10} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.base+path, nil)
		for _, c := range client.Jar.Cookies(u) {
			r.AddCookie(c)
		}
		w := &blank{header: http.Header{}}
		handler.ServeHTTP(w, r)
		reads := s.store.reads.Load()
		allocations := testing.AllocsPerRun(100, func() {
			clear(w.header)
			handler.ServeHTTP(w, r)
		})
		if w.status != http.StatusOK && w.status != 0 || w.size == 0 {
			t.Fatalf("%s gets %d", path, w.status)
		}
		if allocations > most {
			t.Errorf("%s: %.0f allocations", path, allocations)
		}
		if got := s.store.reads.Load() - reads; got != 0 {
			t.Errorf("%s: %d reads of the keystore", path, got)
		}
	}
}

// A blank takes a response and keeps nothing of it.
type blank struct {
	header       http.Header
	status, size int
}

func (b *blank) Header() http.Header         { return b.header }
func (b *blank) WriteHeader(status int)      { b.status = status }
func (b *blank) Write(p []byte) (int, error) { b.size += len(p); return len(p), nil }
