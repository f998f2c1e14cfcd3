package webui_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/webui"
)

// Two users log in at the same instant. The browser of the first does not see the second.
func TestOvertakenLogin(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(s *scene, cfg *webui.Config) {
		cfg.Store = func(ctx context.Context, tokens *provider.Tokens, mayReplace func(string) bool) error {
			_, err := s.session.Replace(ctx, tokens, mayReplace)
			hers := provider.Tokens{
				AccessToken: provider.NewSecret("hers"), IDToken: provider.NewSecret("hers too"),
				IDTokenExpiry: time.Now().Add(time.Hour), Claims: provider.Claims{"sub": "grace", "name": "Grace"},
			}
			if err := s.session.Begin(t.Context(), &hers); err != nil {
				t.Error(err)
			}
			return err
		}
	})
	ada, visit := s.login(t, "/")
	if visit.Status != 200 || strings.Contains(visit.Body, "Grace") {
		t.Errorf("Ada's login ends with %d: %s", visit.Status, visit.Body)
	}
	for _, path := range []string{"/", "/profile", "/protected"} {
		status, body, _ := ask(t, ada, http.MethodGet, s.base+path, nil)
		if strings.Contains(body, "Grace") || strings.Contains(body, "grace") {
			t.Errorf("%s shows Ada's browser (%d) %s", path, status, body)
		}
	}
	status, _, _ := ask(t, ada, http.MethodPost, s.base+"/auth/logout", nil, "Sec-Fetch-Site", "same-origin")
	if status != http.StatusSeeOther {
		t.Errorf("a logout by Ada's browser gets %d", status)
	}
	if info, err := s.session.Info(t.Context()); err != nil || info.Subject != "grace" {
		t.Errorf("then the session is %s's: %v", info.Subject, err)
	}
}

// A user who types 127.0.0.1 logs in at localhost, where the provider sends the browser back: cookies are per host.
func TestLoginByAddress(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			typed := strings.Replace(s.base, "localhost", host, 1)
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			ada := tenant.Person{Email: "ada@example.com", Password: "x", Jar: jar}
			visit, err := ada.Visit(t.Context(), typed+"/profile")
			if err != nil {
				t.Fatal(err)
			}
			if visit.Status != 200 || visit.URL != s.base+"/profile" || !strings.Contains(visit.Body, "Ada") {
				t.Errorf("the login ends at %s with %d: %s", visit.URL, visit.Status, visit.Body)
			}
			if status, body, _ := ask(t, newClient(jar), http.MethodGet, typed+"/protected", nil); status != 401 {
				t.Errorf("an API client there gets %d: %s", status, body)
			}
		})
	}
}
