package webui_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// A scene is a tenant, a session and the web UI on a real port.
type scene struct {
	tenant  *tenant.Tenant
	store   *countingStore
	session *session.Session
	server  *webui.Server
	base    string
	name    atomic.Value // a string: the name in the ID tokens to come; nil: that of the user
	ahead   atomic.Int64 // how far everybody's clock is ahead, in nanoseconds
}

func (s *scene) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// newScene makes a scene. configure may change what New is given.
func newScene(t testing.TB, configure ...func(*scene, *webui.Config)) *scene {
	t.Helper()
	s := prepare(t, configure...)
	listener, err := localhost.Listen(t.Context(), s.base)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { s.server.Run(ctx); done <- struct{}{} }()
	go func() { _ = listener.Serve(ctx, s.server.Handler()); done <- struct{}{} }()
	t.Cleanup(func() {
		stop()
		<-done
		<-done
	})
	return s
}

// prepare makes a scene that nobody serves, and whose session nobody watches.
func prepare(t testing.TB, configure ...func(*scene, *webui.Config)) *scene {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	_ = free.Close()
	s := &scene{base: base, store: &countingStore{Store: keystore.Memory()}}
	at, err := tenant.Start(t.Context(), tenant.Config{
		Now: s.now,
		OnIDToken: func(c map[string]any) {
			c["picture"] = c["iss"].(string) + "/userinfo" // where Intercept gives one
			if name, ok := s.name.Load().(string); ok {
				c["name"] = name
			}
		},
		Intercept: func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
			if endpoint == "userinfo" {
				w.Header().Set("Content-Type", "text/html") // what it says is not believed
				_, _ = w.Write([]byte("\x89PNG\r\n\x1a\n and so on"))
			}
			return endpoint == "userinfo"
		},
		Clients: []tenant.Client{{
			ID: "tests", RedirectURIs: []string{base + login.CallbackPath}, PostLogoutRedirectURIs: []string{base},
			BackchannelLogoutURI: base + "/auth/backchannel-logout",
		}},
		Users: []tenant.User{{
			Subject: "ada", Email: "ada@example.com", Name: "Ada <i>Lovelace</i>\u202e", Password: "x",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Close)
	p, err := provider.New(provider.Config{Issuer: at.Issuer(), ClientID: "tests", Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	s.tenant = at
	s.session = session.New(session.Config{
		Profile: "default", Provider: p, Store: s.store, StateDir: t.TempDir(), Now: s.now,
	})
	cfg := webui.Config{Session: s.session, BaseURL: base, Now: s.now}
	for _, change := range configure {
		change(s, &cfg)
	}
	if s.server, err = webui.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// A countingStore counts how often it is read, and can refuse to answer.
type countingStore struct {
	keystore.Store
	reads  atomic.Int32
	locked atomic.Bool
}

func (c *countingStore) refuses(ctx context.Context) error {
	if c.locked.Load() {
		return &keystore.UnavailableError{Why: "it is locked"}
	}
	return ctx.Err()
}

func (c *countingStore) Delete(ctx context.Context, name string) error {
	if err := c.refuses(ctx); err != nil {
		return err
	}
	return c.Store.Delete(ctx, name)
}

func (c *countingStore) Head(ctx context.Context, name string) (keystore.Record, error) {
	c.reads.Add(1)
	if err := c.refuses(ctx); err != nil {
		return keystore.Record{}, err
	}
	return c.Store.Head(ctx, name)
}

func (c *countingStore) Load(ctx context.Context, name string) (keystore.Record, error) {
	c.reads.Add(1)
	if err := c.refuses(ctx); err != nil {
		return keystore.Record{}, err
	}
	return c.Store.Load(ctx, name)
}

// login logs a fresh browser in from a page.
func (s *scene) login(t testing.TB, path string) (*http.Client, *tenant.Visit) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ada := tenant.Person{Email: "ada@example.com", Password: "x", Jar: jar}
	visit, err := ada.Visit(t.Context(), s.base+"/auth/login?returnTo="+url.QueryEscape(path))
	if err != nil {
		t.Fatal(err)
	}
	return newClient(jar), visit
}

// newClient returns a client that follows no redirect.
func newClient(jar http.CookieJar) *http.Client {
	return &http.Client{
		Jar: jar, Timeout: 5 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request with a form and headers, and returns the response.
func ask(
	t testing.TB, client *http.Client, method, target string, form url.Values, headers ...string,
) (status int, body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.Host = req.Header.Get("Host")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(content), resp.Header
}

// fetched returns the headers in which a browser says who asks, and for what.
func fetched(site, mode, dest string) []string {
	return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}
}
