package webui_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

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
