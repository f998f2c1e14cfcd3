package loopback_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
)

// A login that ends without a response says what came in its place.
func TestTimeoutSaysWhatCame(t *testing.T) {
	t.Parallel()
	https := func(t *testing.T, base string) {
		if _, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://")); err == nil {
			t.Error("https is served")
		}
	}
	stale := func(t *testing.T, base string) { get(t, base+"/auth/callback?code=x&state=of-another-login", "") }
	for name, c := range map[string]struct {
		visits []func(*testing.T, string)
		want   string
		words  string
	}{
		"nothing":           {nil, "", "nobody came back from the browser in time"},
		"a page of no use":  {[]func(*testing.T, string){func(t *testing.T, base string) { get(t, base+"/", "") }}, "", ""},
		"https":             {[]func(*testing.T, string){https}, "tls_hello", "asked for https"},
		"another's state":   {[]func(*testing.T, string){stale}, "other_login", "belongs to another login"},
		"both, https first": {[]func(*testing.T, string){https, stale}, "tls_hello", "asked for https"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{})
			ctx, end := context.WithCancelCause(t.Context())
			told := 0
			cfg := s.config(func(context.Context, string) {
				for _, visit := range c.visits {
					visit(t, s.base)
				}
				end(loopback.ErrTimeout)
			})
			cfg.TLSHello = func() { told++ }
			_, err := loopback.Login(ctx, cfg)
			timeout := new(loopback.TimeoutError)
			if !errors.As(err, &timeout) || !errors.Is(err, loopback.ErrTimeout) || string(timeout.Saw) != c.want ||
				!strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
			if (told == 1) != (c.want == "tls_hello") {
				t.Errorf("https was told of %d times", told)
			}
		})
	}
}

// A logout that ends without the browser says what came in its place, and whether a browser was led to the provider.
func TestLogoutTimeoutSaysWhatCame(t *testing.T) {
	t.Parallel()
	https := func(t *testing.T, base, _ string) {
		if _, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(base, "http://")); err == nil {
			t.Error("https is served")
		}
	}
	leave := func(t *testing.T, _, target string) { get(t, target, "") }
	stale := func(t *testing.T, base, _ string) { get(t, base+"/?state=of-another-logout", "") }
	for name, c := range map[string]struct {
		visits []func(t *testing.T, base, target string)
		want   string
		left   bool
	}{
		"nothing":           {nil, "", false},
		"it left":           {[]func(*testing.T, string, string){leave}, "", true},
		"https":             {[]func(*testing.T, string, string){https}, "tls_hello", false},
		"a return too soon": {[]func(*testing.T, string, string){stale}, "", false},
		"another's state":   {[]func(*testing.T, string, string){leave, stale}, "other_logout", true},
		"both":              {[]func(*testing.T, string, string){leave, stale, https}, "tls_hello", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{})
			ctx, end := context.WithCancelCause(t.Context())
			err := loopback.EndSession(ctx, loopback.EndSessionConfig{
				URL: "http://127.0.0.1/provider", State: "right", BaseURL: s.base,
				OpenBrowser: func(_ context.Context, target string) error {
					for _, visit := range c.visits {
						visit(t, s.base, target)
					}
					end(loopback.ErrTimeout)
					return nil
				},
			})
			timeout := new(loopback.TimeoutError)
			if !errors.As(err, &timeout) || !errors.Is(err, loopback.ErrTimeout) || string(timeout.Saw) != c.want ||
				errors.Is(err, loopback.ErrNoVisit) == c.left {
				t.Errorf("got %v", err)
			}
		})
	}
}
