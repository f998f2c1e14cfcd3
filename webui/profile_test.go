package webui_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/session"
)

// What a provider claims can neither be markup nor turn the page around, and no token is on a page.
func TestPagesSaySafely(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, visit := s.login(t, "/profile")
	if visit.Status != 200 || !strings.HasSuffix(visit.URL, "/profile") {
		t.Fatalf("the login ended at %s (%d)", visit.URL, visit.Status)
	}
	if strings.Contains(visit.Body, "<i>Lovelace") || strings.Contains(visit.Body, "\u202e") {
		t.Error("a claim's HTML or direction mark reached the page")
	}
	token, err := s.session.AccessToken(t.Context(), session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := s.session.IDToken(t.Context(), 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token.Token.Reveal(), id.Reveal()} {
		if strings.Contains(visit.Body, secret) {
			t.Error("the profile shows a token")
		}
	}
}

// The picture comes through this server, once, as the kind of file that it is.
func TestPicture(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, visit := s.login(t, "/")
	if !strings.Contains(visit.Body, `src="/auth/picture"`) {
		t.Error("home shows no picture")
	}
	s.tenant.Reset()
	for range 3 {
		status, body, header := ask(t, client, http.MethodGet, s.base+"/auth/picture", nil)
		if status != 200 || header.Get("Content-Type") != "image/png" || !strings.HasPrefix(body, "\x89PNG") {
			t.Errorf("got %d %s", status, header.Get("Content-Type"))
		}
	}
	if got := s.tenant.Requests("userinfo"); got != 1 {
		t.Errorf("it was fetched %d times", got)
	}
}
