package webui_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/webui"
)

// A login or a logout of a terminal that times out says what came in place of the browser.
func TestTerminalTimeout(t *testing.T) {
	t.Parallel()
	visit := func(path string) func(*testing.T, *scene, string) {
		return func(t *testing.T, s *scene, shown string) {
			target := s.base + path
			if path == "" {
				target = shown
			}
			ask(t, newClient(nil), http.MethodGet, target, nil)
		}
	}
	https := func(_ *testing.T, s *scene, _ string) { s.server.TLSHello() }
	for name, c := range map[string]struct {
		login  bool
		visits []func(*testing.T, *scene, string)
		want   login.Hindrance
		left   bool // a browser was led to the provider
	}{
		"a login":            {login: true},
		"a login, https":     {login: true, visits: []func(*testing.T, *scene, string){https}, want: login.TLSHello},
		"a logout":           {},
		"a logout, https":    {visits: []func(*testing.T, *scene, string){https}, want: login.TLSHello},
		"a logout that left": {visits: []func(*testing.T, *scene, string){visit("")}, left: true},
		"a logout, and another back": {
			visits: []func(*testing.T, *scene, string){visit(""), visit("/?state=another")},
			want:   login.OtherLogout, left: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			ctx, end := context.WithCancelCause(t.Context())
			show := func(shown string) {
				for _, visit := range c.visits {
					visit(t, s, shown)
				}
				end(login.ErrTimeout)
			}
			host, err := webui.Terminals(s.server), error(nil)
			if c.login {
				err = host.Login(ctx, login.Wanted{}, handoff.Terminal{Show: func(b handoff.Begun) { show(b.URL) }})
			} else {
				err = host.Logout(ctx, handoff.Logout{
					URL: s.tenant.Issuer(), PlainURL: s.tenant.Issuer(), State: "right",
				}, handoff.Leaving{Show: show, Left: func() {}})
			}
			timeout := new(login.TimeoutError)
			if !errors.As(err, &timeout) || timeout.Saw != c.want ||
				!c.login && errors.Is(err, login.ErrNoVisit) == c.left {
				t.Errorf("got %v", err)
			}
		})
	}
}
