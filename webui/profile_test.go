package webui_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
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

// A browser that navigates gets a page, and everything else the JSON.
func TestProtectedIsNegotiated(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	page := []string{"Accept", "text/html,*/*;q=0.8"}
	for name, c := range map[string]struct {
		headers []string
		kind    string
	}{
		"a browser":           {append(page, fetched("none", "navigate", "document")...), "text/html; charset=utf-8"},
		"an old browser":      {page, "text/html; charset=utf-8"},
		"curl":                {[]string{"Accept", "*/*"}, "application/json"},
		"no preference":       {nil, "application/json"},
		"an API client":       {[]string{"Accept", "application/json"}, "application/json"},
		"a page that fetches": {append(page, fetched("same-origin", "cors", "empty")...), "application/json"},
	} {
		status, body, header := ask(t, client, http.MethodGet, s.base+"/protected", nil, c.headers...)
		if status != http.StatusOK || header.Get("Content-Type") != c.kind || !strings.Contains(body, "Lovelace") {
			t.Errorf("%s gets %d %s: %s", name, status, header.Get("Content-Type"), body)
		}
		var reply struct {
			Message string
			User    map[string]any
		}
		if c.kind == "application/json" && (json.Unmarshal([]byte(body), &reply) != nil || reply.User["sub"] != "ada") {
			t.Errorf("%s gets %s", name, body)
		}
		if strings.Contains(body, "<i>") && c.kind != "application/json" {
			t.Errorf("a claim's HTML is on the page: %s", body)
		}
	}
}

// How somebody logged in is told in words; what no registry has is told as it is.
func TestMethodsInWords(t *testing.T) {
	t.Parallel()
	for want, amr := range map[string]any{
		"":                                     nil,
		"a password":                           []any{"pwd"},
		"a password and a one-time code":       []any{"pwd", "otp", "pwd"},
		"your face, a PIN and a second factor": "face pin mfa",
		"a b \u200dc":                          []any{"a\nb\u202e \u200dc", 1.5, ""},
		"your eye":                             []any{"iris", "retina"},
	} {
		if got := webui.Methods(amr); got != want {
			t.Errorf("%v: %q, want %q", amr, got, want)
		}
	}
}
