package webui_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
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

// A login that was declined, failed or could not begin leads on: to another try of the same, and home.
func TestFailedLoginLeadsOn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := "/auth/login?login_hint=ada&amp;returnTo=%2Fprofile%3Fa%3Db"
	start := s.base + "/auth/login?returnTo=%2Fprofile%3Fa%3Db&login_hint=ada&redirect_uri=x"
	shows := func(what string, status int, body string, wanted int) {
		t.Helper()
		if status != wanted || !strings.Contains(body, `href="`+again+`"`) || !strings.Contains(body, `href="/"`) {
			t.Errorf("%s: %d\n%s", what, status, body)
		}
	}
	ada := tenant.Person{Email: "ada@example.com", Password: "x", Jar: jar, Deny: true}
	visit, err := ada.Visit(t.Context(), start)
	if err != nil {
		t.Fatal(err)
	}
	shows("declined", visit.Status, visit.Body, http.StatusForbidden)
	ada.Deny = false
	s.store.locked.Store(true)
	if visit, err = ada.Visit(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	shows("not stored", visit.Status, visit.Body, http.StatusInternalServerError)
	s.store.locked.Store(false)
	// The other try works, and leads to where the first one would have led.
	visit, err = ada.Visit(t.Context(), s.base+strings.ReplaceAll(again, "&amp;", "&"))
	if err != nil || visit.Status != 200 || visit.URL != s.base+"/profile?a=b" {
		t.Errorf("%v %v", visit, err)
	}
	gone := newScene(t)
	gone.tenant.Close()
	_, path, _ := strings.Cut(start, s.base)
	status, body, _ := ask(t, newClient(nil), http.MethodGet, gone.base+path, nil, "Accept", "text/html")
	shows("the provider is gone", status, body, http.StatusBadGateway)
}

// A login that another site began in the user's browser leads home alone: another try would count as the user's own.
func TestFailedLoginFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	known, _ := s.login(t, "/")
	_, _, header := ask(t, known, http.MethodGet, s.base+"/auth/login?returnTo=/x", nil,
		append(fetched("cross-site", "navigate", "document"), "Accept", "text/html")...)
	authorization, err := url.Parse(header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"error": {"access_denied"}, "state": authorization.Query()["state"], "iss": {s.tenant.Issuer()}}
	_, _, header = ask(t, known, http.MethodGet, s.base+"/auth/callback?"+query.Encode(), nil)
	status, body, _ := ask(t, known, http.MethodGet, s.base+header.Get("Location"), nil)
	if status != http.StatusForbidden || !strings.Contains(body, `href="/"`) || strings.Contains(body, "/auth/login") {
		t.Errorf("%d %s", status, body)
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
