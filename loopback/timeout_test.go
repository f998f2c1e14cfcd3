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
