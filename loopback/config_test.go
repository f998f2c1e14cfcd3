package loopback_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

// visit is an OpenBrowser that logs Ada in, and notes where she was sent and where she ended up.
type visit struct {
	authorization string
	page          *tenant.Visit
}

func (v *visit) open(ctx context.Context, target string) error {
	v.authorization = target
	var err error
	v.page, err = ada().Visit(context.WithoutCancel(ctx), target)
	return err
}

// start starts a tenant that knows these redirect URIs.
func start(t *testing.T, cfg tenant.Config, redirectURIs ...string) *tenant.Tenant {
	t.Helper()
	cfg.Clients = []tenant.Client{{ID: clientID, RedirectURIs: redirectURIs, AnyPort: true}}
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}}
	at, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Close)
	return at
}

func TestRedirectURI(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/callback", "/callback/", "/a/deeper_one-2.0", "/auth/callback"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			redirectURI := "http://127.0.0.1:" + strconv.Itoa(freePort(t)) + path
			at := start(t, tenant.Config{}, redirectURI)
			var v visit
			_, err := loopback.Login(t.Context(), loopback.Config{
				Issuer: at.Issuer(), ClientID: clientID, RedirectURI: redirectURI, BaseURL: "http://localhost:1",
				OpenBrowser: v.open,
				Timeout:     5 * time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := parameter(t, v.authorization, "redirect_uri"); got != redirectURI {
				t.Errorf("redirect_uri is %q, not %q", got, redirectURI)
			}
			if v.page.Status != http.StatusOK || !strings.Contains(v.page.Body, "You are logged in as Ada Lovelace") {
				t.Errorf("the browser ends up at %+v", v.page)
			}
		})
	}
}

func parameter(t *testing.T, raw, name string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

// Nothing but the path of the redirect URI is a callback.
func TestOtherPaths(t *testing.T) {
	t.Parallel()
	redirectURI := "http://localhost:" + strconv.Itoa(freePort(t)) + "/callback/"
	at := start(t, tenant.Config{}, redirectURI)
	_, err := loopback.Login(t.Context(), loopback.Config{
		Issuer: at.Issuer(), ClientID: clientID, RedirectURI: redirectURI, Timeout: 5 * time.Minute,
		OpenBrowser: func(ctx context.Context, target string) error {
			stopped := ada()
			stopped.StopAt = redirectURI
			answer, err := stopped.Visit(context.WithoutCancel(ctx), target)
			if err != nil {
				return err
			}
			for _, other := range []string{"/auth/callback", "/callback/more"} {
				elsewhere := strings.Replace(answer.URL, "/callback/", other, 1)
				if status, _, _ := get(t, elsewhere, ""); status != http.StatusNotFound {
					t.Errorf("%s gets %d", other, status)
				}
			}
			if status, _, _ := get(t, answer.URL, ""); status != http.StatusSeeOther {
				t.Errorf("the callback gets %d", status)
			}
			return nil
		},
	})
	if err != nil {
		t.Error(err)
	}
}

// Port 0 is one that is free on both loopbacks, and the one that was taken is sent (RFC 8252, section 7.3).
func TestAnyPort(t *testing.T) {
	t.Parallel()
	at := start(t, tenant.Config{}, "http://127.0.0.1/callback", "http://localhost/callback", "http://[::1]/callback")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			var v visit
			_, err := loopback.Login(t.Context(), loopback.Config{
				Issuer: at.Issuer(), ClientID: clientID, RedirectURI: "http://" + host + ":0/callback", Timeout: 5 * time.Minute,
				OpenBrowser: func(ctx context.Context, target string) error {
					redirect, err := url.Parse(parameter(t, target, "redirect_uri"))
					if err != nil || redirect.Port() == "0" || redirect.Host != host+":"+redirect.Port() ||
						redirect.Path != "/callback" {
						t.Errorf("redirect_uri is %s: %v", redirect, err)
					}
					for _, loopback := range []string{"127.0.0.1", "::1"} {
						l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, redirect.Port()))
						if err == nil {
							_ = l.Close()
							t.Errorf("%s was left to others", l.Addr())
						}
					}
					return v.open(ctx, target)
				},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRedirectURIRefused(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		"https://localhost:3000/callback", "http://192.0.2.1:3000/callback", "http://example.com/callback",
		"localhost:3000/callback",
		"http://localhost:3000", "http://localhost:3000/a/../b", "http://localhost:3000//a", "http://localhost:3000/{x}",
		"http://localhost:3000/%61",
		"http://localhost:99999/callback", "http://localhost:/callback", "http://u@localhost/callback",
		"http://localhost:3000/callback?x", "http://localhost:3000/callback#x", "http://localhost:3000/auth/done",
	} {
		cfg := loopback.Config{Issuer: "http://127.0.0.1:1", ClientID: "x", RedirectURI: wrong}
		_, err := loopback.Login(t.Context(), cfg)
		if err == nil || !strings.Contains(err.Error(), strconv.Quote(wrong)) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	cfg := loopback.Config{Issuer: "http://127.0.0.1:1", ClientID: "x", BaseURL: "http://localhost:0"}
	_, err := loopback.Login(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), `base URL "http://localhost:0"`) {
		t.Errorf("port 0 in the base URL: %v", err)
	}
}

func TestAppName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ title, agent string }{
		"":              {"You are logged in", "loopkey"},
		"acme":          {"You are logged in · acme", "acme loopkey"},
		"acme/1.2":      {"You are logged in · acme/1.2", "acme/1.2 loopkey"},
		"Ac\r\nme & <b": {"You are logged in · Ac\r\nme &amp; &lt;b", "Acme-&-b loopkey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var agents sync.Map
			at := start(t, tenant.Config{Intercept: func(endpoint string, _ http.ResponseWriter, r *http.Request) bool {
				agents.Store(endpoint, r.UserAgent())
				return false
			}}, "http://127.0.0.1/callback")
			var v visit
			_, err := loopback.Login(t.Context(), loopback.Config{
				Issuer: at.Issuer(), ClientID: clientID, RedirectURI: "http://127.0.0.1:0/callback",
				AppName: name, OpenBrowser: v.open, Timeout: 5 * time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, endpoint := range []string{"discovery", "token", "keys"} {
				// The build may know a version.
				if got, _ := agents.Load(endpoint); got != want.agent && !strings.HasPrefix(got.(string), want.agent+"/") {
					t.Errorf("%s was asked by %q, not %q", endpoint, got, want.agent)
				}
			}
			if !strings.Contains(v.page.Body, "<title>"+want.title+"</title>") {
				t.Errorf("the page is %s", v.page.Body)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Every request to the provider is made by the client that was given.
func TestHTTPClient(t *testing.T) {
	t.Parallel()
	at := start(t, tenant.Config{}, "http://127.0.0.1/callback")
	var made atomic.Int32
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		made.Add(1)
		return http.DefaultTransport.RoundTrip(r)
	})}
	var v visit
	_, err := loopback.Login(t.Context(), loopback.Config{
		Issuer: at.Issuer(), ClientID: clientID, RedirectURI: "http://127.0.0.1:0/callback",
		HTTPClient: client, OpenBrowser: v.open, Timeout: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, endpoint := range []string{"discovery", "keys", "token"} {
		want += at.Requests(endpoint)
	}
	if got := int(made.Load()); got != want || got != 3 {
		t.Errorf("it made %d of %d requests", got, want)
	}
}

// A login that nobody can come to ends at once; one whose URL is known to somebody waits.
func TestNoBrowserAtOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("the launcher is broken")
	for name, c := range map[string]struct {
		opens  error
		change func(*loopback.Config)
		want   error
	}{
		"nobody knows the URL":        {loopback.ErrNoBrowser, func(*loopback.Config) {}, loopback.ErrNoBrowser},
		"the caller's launcher fails": {broken, func(*loopback.Config) {}, loopback.ErrNoBrowser},
		"the caller is told, but no URL": {
			broken, func(c *loopback.Config) { c.Opened = func(error) {} }, loopback.ErrNoBrowser,
		},
		"the URL is shown": {
			broken, func(c *loopback.Config) { c.ShowURL = func(string) {} }, loopback.ErrTimeout,
		},
		"the URL may be pasted": {
			broken, func(c *loopback.Config) { c.Pasted = make(chan string) }, loopback.ErrTimeout,
		},
		"the browser opens": {nil, func(*loopback.Config) {}, loopback.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := start(t, tenant.Config{}, "http://127.0.0.1/callback")
			cfg := loopback.Config{
				Issuer: at.Issuer(), ClientID: clientID, RedirectURI: "http://127.0.0.1:0/callback", Timeout: time.Hour,
				OpenBrowser: func(context.Context, string) error { return c.opens },
			}
			if errors.Is(c.want, loopback.ErrTimeout) {
				cfg.Timeout = 50 * time.Millisecond
				p, err := provider.New(provider.Config{Issuer: cfg.Issuer, ClientID: cfg.ClientID})
				if err == nil {
					err = p.Warm(t.Context()) // or discovery may be what takes too long
				}
				if err != nil {
					t.Fatal(err)
				}
				cfg.Provider = p
			}
			c.change(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			_, err := loopback.Login(ctx, cfg)
			if !errors.Is(err, c.want) || ctx.Err() != nil {
				t.Errorf("got %v, %v", err, ctx.Err())
			}
			if errors.Is(c.want, loopback.ErrNoBrowser) && !errors.Is(err, c.opens) {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}
