package loopback_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
)

func TestEndSession(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var visiting sync.WaitGroup
	opened, told := "", ""
	err := loopback.EndSession(t.Context(), loopback.EndSessionConfig{
		URL:   s.base + "/?state=right", // of a provider that redirects at once
		State: "right", BaseURL: s.base, Timeout: 5 * time.Minute,
		Opened: func(target string, _ error) { told = target },
		// Where the system tells which user asks, Private is not called.
		Private: func(target string) (string, error) { return target, nil },
		OpenBrowser: func(ctx context.Context, target string) error {
			opened = target
			ctx = context.WithoutCancel(ctx)
			visiting.Go(func() {
				for _, early := range []string{"/?state=wrong", "/?state=right"} { // nobody was sent to the provider yet
					if status, _, _ := get(t, s.base+early, ""); status != 400 {
						t.Errorf("%s gets %d, before anybody can come back", early, status)
					}
				}
				if _, err := ada().Visit(ctx, target); err != nil {
					t.Error(err)
				}
			})
			return nil
		},
	})
	visiting.Wait()
	if err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(told, s.base+"/auth/logout?once=") {
		t.Errorf("the person is told to go to %s", told)
	}
	if strings.Contains(opened, "right") {
		t.Errorf("the provider's URL, which may hold an ID token, was in an argument: %s", opened)
	}
}

// Who comes back from the provider is a browser that navigates, after it was sent there.
func TestEndSessionReturn(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var visiting sync.WaitGroup
	err := loopback.EndSession(t.Context(), loopback.EndSessionConfig{
		URL: "http://127.0.0.1/provider", BaseURL: s.base, Timeout: 5 * time.Minute, // Auth0's, which sends no state back
		OpenBrowser: func(_ context.Context, target string) error {
			visiting.Go(func() {
				if status, _, _ := get(t, s.base+"/", ""); status != 400 {
					t.Errorf("before it went: %d", status)
				}
				if status, _, _ := get(t, target, ""); status != 303 {
					t.Errorf("on its way: %d", status)
				}
				if status, _, _ := get(t, target, ""); status != 404 {
					t.Errorf("once more: %d", status)
				}
				if status, _, _ := get(t, s.base+"/", "", "Sec-Fetch-Dest", "image"); status != 400 {
					t.Errorf("a picture: %d", status)
				}
				if status, _, _ := get(t, s.base+"/", "", "Sec-Fetch-Dest", "document"); status != 200 {
					t.Errorf("back: %d", status)
				}
			})
			return nil
		},
	})
	visiting.Wait()
	if err != nil {
		t.Error(err)
	}
}

// A logout that no browser can be led to ends at once, unless somebody knows its URL.
func TestEndSessionWithoutBrowser(t *testing.T) {
	t.Parallel()
	cfg := loopback.EndSessionConfig{
		URL: "http://127.0.0.1/provider", BaseURL: "http://localhost:" + strconv.Itoa(freePort(t)), Timeout: time.Hour,
		OpenBrowser: func(context.Context, string) error { return errors.New("the launcher is broken") },
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := loopback.EndSession(ctx, cfg); !errors.Is(err, loopback.ErrNoBrowser) || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
	cfg.Timeout, cfg.Opened = 50*time.Millisecond, func(string, error) {}
	if err := loopback.EndSession(ctx, cfg); !errors.Is(err, loopback.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}
