package loopback_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

const clientID = "tests"

// A scene is a tenant, a client and a free port.
type scene struct {
	tenant *tenant.Tenant
	base   string
}

func newScene(t testing.TB, cfg tenant.Config) *scene {
	t.Helper()
	base := "http://localhost:" + strconv.Itoa(freePort(t))
	cfg.Clients = []tenant.Client{{
		ID: clientID, RedirectURIs: []string{base + login.CallbackPath}, PostLogoutRedirectURIs: []string{base},
	}}
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada <b>Lovelace</b>", Password: "x"}}
	started, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	return &scene{started, base}
}

// freePort is free on both loopbacks when it is asked for, and below the ports that
// the system gives away by itself.
func freePort(t testing.TB) int {
	t.Helper()
	port, err := pickPort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func pickPort(ctx context.Context) (int, error) {
	for range 50 {
		port := 10_000 + rand.IntN(10_000) // internal/test/house has those above
		both, err := localhost.Listen(ctx, "http://localhost:"+strconv.Itoa(port))
		if err == nil {
			return port, both.Close()
		}
	}
	return 0, errors.New("no port is free on both loopbacks")
}

func (s *scene) config(visit func(ctx context.Context, target string)) loopback.Config {
	return loopback.Config{
		Issuer: s.tenant.Issuer(), ClientID: clientID, BaseURL: s.base, Timeout: 5 * time.Minute,
		OpenBrowser: func(ctx context.Context, target string) error {
			visit(context.WithoutCancel(ctx), target)
			return nil
		},
	}
}

func ada() tenant.Person { return tenant.Person{Email: "ada@example.com", Password: "x"} }

// get asks without following, and without keeping the connection.
func get(t testing.TB, target, host string, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func ask(t testing.TB, method, target string) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

func TestLogin(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	stored := false
	var page *tenant.Visit
	var visiting sync.WaitGroup
	cfg := s.config(func(ctx context.Context, target string) {
		visiting.Go(func() {
			var err error
			if page, err = ada().Visit(ctx, target); err != nil {
				t.Error(err)
			}
			if !stored {
				t.Error("the page came before the tokens were stored")
			}
		})
	})
	cfg.Store = func(context.Context, *provider.Tokens) error { stored = true; return nil }
	tokens, err := loopback.Login(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	visiting.Wait()
	if tokens.Claims.Subject() != "ada" || tokens.RefreshToken.IsZero() {
		t.Errorf("got %v", tokens.Claims)
	}
	if !strings.HasPrefix(page.URL, s.base+login.ResultPath+"?id=") || page.Status != 200 {
		t.Errorf("the browser ended up at %s (%d)", page.URL, page.Status)
	}
	if !strings.Contains(page.Body, "You are logged in as Ada &lt;b&gt;Lovelace&lt;/b&gt;") {
		t.Errorf("the page says %s", page.Body)
	}
	for endpoint, want := range map[string]int{"discovery": 1, "keys": 1, "token": 1, "userinfo": 0} {
		if got := s.tenant.Requests(endpoint); got != want {
			t.Errorf("%s was asked %d times, not %d", endpoint, got, want)
		}
	}
	listener, err := localhost.Listen(t.Context(), s.base)
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	_ = listener.Close()
}

// What strangers send while a login waits gets an error page, and ends nothing.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var visiting sync.WaitGroup
	cfg := s.config(func(ctx context.Context, target string) {
		visiting.Go(func() {
			stopped := ada()
			stopped.StopAt = s.base
			answer, err := stopped.Visit(ctx, target)
			if err != nil {
				t.Error(err)
				return
			}
			back, err := url.Parse(answer.URL)
			if err != nil {
				t.Error(err)
				return
			}
			code, state, iss := back.Query().Get("code"), back.Query().Get("state"), back.Query().Get("iss")
			for name, query := range map[string]string{
				"nothing":       "",
				"no state":      "code=" + code,
				"empty state":   "state=&code=" + code,
				"guessed state": "state=guessed&code=" + code,
				"part of state": "state=" + state[:20] + "&code=" + code,
				"two states":    "state=" + state + "&state=" + state + "&code=" + code,
				"a wrong error": "state=guessed&error=access_denied",
			} {
				status, body, header := get(t, s.base+login.CallbackPath+"?"+query, "")
				if status/100 != 4 {
					t.Errorf("%s gets %d", name, status)
				}
				if strings.Contains(body, code) || header.Get("Cache-Control") != "no-store" ||
					header.Get("Referrer-Policy") != "no-referrer" ||
					header.Get("X-Content-Type-Options") != "nosniff" ||
					!strings.Contains(header.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
					!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") ||
					strings.Contains(body, "<script") {
					t.Errorf("%s: the page is not as it should be: %v", name, header)
				}
			}
			for target, want := range map[string]int{
				s.base + "/favicon.ico": 404, s.base + "/": 200, s.base + "/auth/done": 404, s.base + "/auth/done?id=guessed": 404,
			} {
				if status, body, _ := get(t, target, ""); status != want || strings.Contains(body, "Ada") {
					t.Errorf("%s gets %d, not %d", target, status, want)
				}
			}
			for method, want := range map[string]int{http.MethodHead: 405, http.MethodPost: 404, http.MethodPut: 404} {
				if status := ask(t, method, s.base+login.CallbackPath+"?"+back.RawQuery); status != want {
					t.Errorf("%s of the right answer gets %d, not %d", method, status, want)
				}
			}
			port := s.base[strings.LastIndex(s.base, ":"):]
			for _, host := range []string{
				"evil.example", "evil.example" + port, "localhost", "localhost:1", "127.0.0.1.nip.io",
			} {
				status, _, _ := get(t, s.base+login.CallbackPath+"?"+back.RawQuery, host)
				if status != http.StatusMisdirectedRequest {
					t.Errorf("Host %s gets %d", host, status)
				}
			}
			// Connections that say nothing, more than any program of the person's opens.
			for range 300 {
				if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(s.base, "http://")); err == nil {
					defer func() { _ = conn.Close() }()
				}
			}
			// The real one, at last, by the other name of this machine.
			real := strings.Replace(answer.URL, "localhost", "127.0.0.1", 1)
			status, _, header := get(t, real, "")
			if status != http.StatusSeeOther || strings.Contains(header.Get("Location"), "code") ||
				header.Get("Referrer-Policy") != "no-referrer" ||
				!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("the real answer (iss %s) gets %d to %s", iss, status, header.Get("Location"))
			}
			// Used once.
			if status, body, _ := get(t, real, ""); status/100 != 4 || !strings.Contains(body, `href="/"`) {
				t.Errorf("the real answer a second time gets %d", status)
			}
			if status, body, _ := get(t, s.base+header.Get("Location"), ""); status != 200 ||
				!strings.Contains(body, "You are logged in") {
				t.Errorf("the clean page gets %d", status)
			}
		})
	})
	if _, err := loopback.Login(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	visiting.Wait()
}

// How a login can fail, and that page and caller are told the same.
func TestLoginFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tenant tenant.Config
		person tenant.Person
		store  error
		want   error
		page   string
		status int
	}{
		"declined": {
			person: tenant.Person{Email: "ada@example.com", Password: "x", Deny: true},
			want:   provider.ErrRefused, page: "access_denied", status: 403,
		},
		"wrong nonce": {
			tenant: tenant.Config{OnIDToken: func(c map[string]any) { c["nonce"] = "another" }}, person: ada(),
			want: provider.ErrNonce, page: "nonce", status: 502,
		},
		"can't be stored": {
			person: ada(), store: errors.New("the keychain is locked"), page: "keychain is locked", status: 500,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, c.tenant)
			var page *tenant.Visit
			var visiting sync.WaitGroup
			cfg := s.config(func(ctx context.Context, target string) {
				visiting.Go(func() {
					var err error
					if page, err = c.person.Visit(ctx, target); err != nil {
						t.Error(err)
					}
				})
			})
			cfg.Store = func(context.Context, *provider.Tokens) error { return c.store }
			_, err := loopback.Login(t.Context(), cfg)
			visiting.Wait()
			if err == nil || c.want != nil && !errors.Is(err, c.want) || c.store != nil && !errors.Is(err, c.store) {
				t.Errorf("got %v", err)
			}
			if page.Status != c.status || !strings.Contains(page.Body, c.page) ||
				strings.Contains(page.Body, "You are logged in") {
				t.Errorf("the page (%d) says %s", page.Status, page.Body)
			}
		})
	}
}

func TestLoginEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	cfg := s.config(func(context.Context, string) {})
	cfg.Timeout = 50 * time.Millisecond
	var err error
	if cfg.Provider, err = provider.New(provider.Config{Issuer: cfg.Issuer, ClientID: cfg.ClientID}); err == nil {
		err = cfg.Provider.Warm(t.Context()) // or discovery may be what takes too long
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loopback.Login(t.Context(), cfg); !errors.Is(err, loopback.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg = s.config(func(context.Context, string) { cancel() })
	if _, err := loopback.Login(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	listener, err := localhost.Listen(t.Context(), s.base)
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	defer listener.Close()
	_, err = loopback.Login(t.Context(), cfg)
	taken := new(loopback.PortTakenError)
	if !errors.As(err, &taken) || !strings.HasSuffix(s.base, strconv.Itoa(taken.Port)) {
		t.Errorf("got %v", err)
	}
}

// A port that a stranger holds on one loopback alone is taken.
func TestHalfTaken(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		port := freePort(t)
		stranger, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			t.Logf("%s is not there: %v", host, err)
			continue
		}
		_, err = localhost.Listen(t.Context(), "http://localhost:"+strconv.Itoa(port))
		_ = stranger.Close()
		taken := new(loopback.PortTakenError)
		if !errors.As(err, &taken) {
			t.Errorf("%s taken: %v", host, err)
		}
	}
}

// A port that is taken is told at once, whatever the provider does meanwhile.
func TestTakenWhileProviderHangs(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Intercept: func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}})
	listener, err := localhost.Listen(t.Context(), s.base)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	_, err = loopback.Login(ctx, s.config(nil))
	if taken := new(loopback.PortTakenError); !errors.As(err, &taken) || ctx.Err() != nil {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

// An answer that came before the end of the wait is worked on, and told; but not for
// long when the person stopped it.
func TestEndWhileRedeeming(t *testing.T) {
	t.Parallel()
	interrupted := errors.New("interrupted")
	for name, c := range map[string]struct {
		cause error
		hang  bool // the provider does
		want  error
	}{
		"timeout":               {cause: loopback.ErrTimeout},
		"interrupted":           {cause: interrupted},
		"interrupted, it hangs": {cause: interrupted, hang: true, want: interrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, end := context.WithCancelCause(t.Context())
			redeeming, released := make(chan struct{}), make(chan struct{})
			s := newScene(t, tenant.Config{Intercept: func(endpoint string, _ http.ResponseWriter, r *http.Request) bool {
				if endpoint == "token" {
					close(redeeming)
					select {
					case <-released:
					case <-r.Context().Done():
					}
				}
				return false
			}})
			var visiting sync.WaitGroup
			cfg := s.config(nil)
			cfg.OpenBrowser = func(waiting context.Context, target string) error {
				visiting.Go(func() {
					if page, err := ada().Visit(context.WithoutCancel(ctx), target); !c.hang &&
						(err != nil || page.Status != http.StatusOK) {
						t.Errorf("the browser ends up at %+v: %v", page, err)
					}
				})
				visiting.Go(func() {
					<-redeeming
					end(c.cause)
					<-waiting.Done()
					if !c.hang {
						close(released)
					}
				})
				return nil
			}
			stored := false
			cfg.Store = func(context.Context, *provider.Tokens) error { stored = true; return nil }
			tokens, err := loopback.Login(ctx, cfg)
			visiting.Wait()
			if !errors.Is(err, c.want) || stored != (c.want == nil) || (tokens != nil) != stored {
				t.Errorf("got %v, %v; stored: %v", tokens, err, stored)
			}
		})
	}
}

func TestPasted(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	pasted := make(chan string)
	var rejected []string
	var pasting sync.WaitGroup
	cfg := s.config(func(ctx context.Context, target string) {
		pasting.Go(func() {
			stopped := ada()
			stopped.StopAt = s.base
			answer, err := stopped.Visit(ctx, target)
			if err != nil {
				t.Error(err)
				return
			}
			for _, wrong := range []string{"nonsense", "http://evil.example/auth/callback?state=x&code=y",
				s.base + "/auth/callback?state=guessed&code=y", s.base + "/"} {
				pasted <- wrong
			}
			pasted <- "  " + answer.URL + " "
		})
	})
	cfg.Pasted = pasted
	cfg.Rejected = func(reason string) { rejected = append(rejected, reason) }
	tokens, err := loopback.Login(t.Context(), cfg)
	pasting.Wait()
	if err != nil || tokens.Claims.Subject() != "ada" || len(rejected) != 4 {
		t.Errorf("got %v, %v; rejected %q", tokens, err, rejected)
	}
}

// A login from Login to tokens, with a person who needs no time.
func BenchmarkLogin(b *testing.B) {
	s := newScene(b, tenant.Config{})
	p, err := provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cfg := s.config(func(ctx context.Context, target string) {
			go func() { _, _ = ada().Visit(ctx, target) }()
		})
		cfg.Provider = p
		if _, err := loopback.Login(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
	}
}
