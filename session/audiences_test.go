package session_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// severalAudiences makes a login for two audiences at once.
func severalAudiences(t *testing.T, cfg tenant.Config) *scene {
	t.Helper()
	s := newScene(t, cfg)
	tokens := s.granted("openid offline_access", "n", api, other)
	if err := s.process().Begin(t.Context(), tokens); err != nil {
		t.Fatal(err)
	}
	s.tenant.Reset()
	return s
}

// A login for several audiences costs no request for each: the token for one comes when it is wanted.
func TestSeveralAudiences(t *testing.T) {
	t.Parallel()
	s := severalAudiences(t, tenant.Config{Rotate: true})
	info, err := s.process().Info(t.Context())
	if err != nil || !slices.Equal(info.Audiences, []string{api, other}) || len(info.AccessTokens) != 1 {
		t.Errorf("got %+v, %v", info, err)
	}
	for range 2 {
		for _, audience := range []string{other, api} {
			token, err := s.get(session.Request{Audience: audience})
			if err != nil || token.Audience != audience {
				t.Errorf("for %s: %+v, %v", audience, token, err)
			}
		}
	}
	s.requests(1)
	if _, err := s.get(session.Request{Audience: "https://third.example.com/"}); !errors.Is(err, session.ErrCannotRenew) {
		t.Errorf("an audience that was not asked for: %v", err)
	}
	s.requests(0)
}

// A provider that takes several audiences at the login, and then gives no token for one of them, is asked for it once.
func TestAudienceNotGranted(t *testing.T) {
	t.Parallel()
	answers := map[string]func(*tenant.Config){
		"refused": func(cfg *tenant.Config) {
			cfg.Intercept = func(endpoint string, w http.ResponseWriter, r *http.Request) bool {
				return r.PostFormValue("resource") == other && refuse(`{"error":"invalid_target"}`)(endpoint, w, r)
			}
		},
		"another one's": func(cfg *tenant.Config) {
			cfg.OnAccessToken = func(claims map[string]any) { claims["aud"] = api }
		},
	}
	for name, set := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := tenant.Config{Rotate: name != "refused"}
			set(&cfg)
			s := severalAudiences(t, cfg)
			_, err := s.get(session.Request{Audience: other})
			if !errors.Is(err, provider.ErrRefused) && !errors.Is(err, provider.ErrAudience) {
				t.Errorf("the first time: %v", err)
			}
			s.tenant.Reset()
			if _, err := s.get(session.Request{Audience: other}); !errors.As(err, new(*session.AudienceError)) {
				t.Errorf("the second time: %v", err)
			}
			s.requests(0)
			if token, err := s.get(session.Request{Force: true}); err != nil || token.Audience != api {
				t.Errorf("the session: %+v, %v", token, err)
			}
		})
	}
}
