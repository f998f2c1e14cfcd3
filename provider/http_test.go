package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRedirects follows no redirect, though the configured http.Client would.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/token", "/userinfo"} {
		for _, status := range []int{302, 307, 308} {
			f := newFake(t)
			f.on("/token", 200, f.tokens())
			f.hook(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) })
			p := f.client(t, func(c *Config) { c.HTTPClient = &http.Client{} })
			_, err := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("c"), Nonce: "n", Scope: "openid profile"})
			if path != "/userinfo" && !errors.Is(err, ErrRefused) {
				t.Errorf("%s %d: %v", path, status, err)
			}
			if f.requests("/elsewhere") != 0 {
				t.Errorf("%s: a %d was followed", path, status)
			}
		}
	}
}

// TestRetryAfter reads Retry-After in its forms.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "70": 70 * time.Second, "-1": 0, "soon": 0, "99999999999": 0,
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat):  time.Minute,
		time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
	} {
		f := newFake(t)
		f.hook("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(429)
		})
		var e *UnreachableError
		ok := errors.As(f.client(t).Warm(t.Context()), &e)
		if !ok || e.Status != 429 || e.RetryAfter < want-2*time.Second || e.RetryAfter > want+2*time.Second {
			t.Errorf("%q: %+v", value, e)
		}
	}
}

// TestRetries sends a request again that was not acted on, when the provider said to and within ten seconds. A request
// whose response was lost is not sent again.
func TestRetries(t *testing.T) {
	t.Parallel()
	respond := func(status int, after string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
		}
	}
	for name, c := range map[string]struct {
		first func(http.ResponseWriter)
		asked int
		fine  bool
	}{
		"429":              {respond(429, "1"), 2, true},
		"503":              {respond(503, "0"), 2, true},
		"503, a date":      {respond(503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), 2, true},
		"longer than that": {respond(429, "11"), 1, false},
		"no word of when":  {respond(503, ""), 1, false},
		"acted on, maybe":  {respond(502, "0"), 1, false},
		"no response": {func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			sent := make(chan string, 9)
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				sent <- r.PostFormValue("refresh_token")
				if len(sent) == 1 {
					c.first(w)
					return
				}
				_, _ = w.Write([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":60}`))
			})
			_, err := f.client(t).Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("r")})
			if (err == nil) != c.fine || len(sent) != c.asked {
				t.Errorf("asked %d times: %v", len(sent), err)
			}
			for range len(sent) {
				if token := <-sent; token != "r" {
					t.Errorf("sent %q", token)
				}
			}
		})
	}
	// A provider that stays busy is asked three times; by a caller without the time to wait, once.
	f := newFake(t)
	f.hook("/token", func(w http.ResponseWriter, _ *http.Request) { respond(503, "0")(w) })
	p := f.client(t)
	_, err := p.Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("r")})
	if !errors.Is(err, ErrUnreachable) || f.requests("/token") != 3 {
		t.Errorf("asked %d times: %v", f.requests("/token"), err)
	}
	f.hook("/token", func(w http.ResponseWriter, _ *http.Request) { respond(503, "9")(w) })
	f.reset()
	_, err = p.Refresh(hurried{t.Context()}, RefreshRequest{RefreshToken: NewSecret("r")})
	if !errors.Is(err, ErrUnreachable) || f.requests("/token") != 1 {
		t.Errorf("asked %d times: %v", f.requests("/token"), err)
	}
}

// hurried is the context of a caller who always has eight seconds left, however slow the machine is.
type hurried struct{ context.Context }

func (hurried) Deadline() (time.Time, bool) { return time.Now().Add(8 * time.Second), true }

// TestEndlessBody refuses a good response that is too large.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	body := string(must(json.Marshal(f.metadata)))
	f.on("/.well-known/openid-configuration", 200, body+strings.Repeat(" ", bodyLimit-len(body)))
	if err := f.client(t).Warm(t.Context()); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	f.on("/.well-known/openid-configuration", 200, body+strings.Repeat(" ", bodyLimit+1-len(body)))
	if err := f.client(t).Warm(t.Context()); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "1024 KiB") {
		t.Errorf("beyond the limit: %v", err)
	}
}
