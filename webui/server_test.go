package webui_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"net"

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
	session *session.Session
	server  *webui.Server
	base    string
}

// newScene makes one; configure may change what New is given.
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

// prepare is newScene without the port: nobody serves and nobody watches.
func prepare(t testing.TB, configure ...func(*scene, *webui.Config)) *scene {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://localhost:" + strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	_ = free.Close()
	at, err := tenant.Start(t.Context(), tenant.Config{
		OnIDToken: func(c map[string]any) { c["picture"] = c["iss"].(string) + "/userinfo" }, // where Intercept gives one
		Intercept: func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
			if endpoint == "userinfo" {
				w.Header().Set("Content-Type", "text/html") // what it says is not believed
				_, _ = w.Write([]byte("\x89PNG\r\n\x1a\n and so on"))
			}
			return endpoint == "userinfo"
		},
		Clients: []tenant.Client{{ID: "tests", RedirectURIs: []string{base + login.CallbackPath}, PostLogoutRedirectURIs: []string{base},
			BackchannelLogoutURI: base + "/auth/backchannel-logout"}},
		Users: []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada <i>Lovelace</i>\u202e", Password: "x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Close)
	p, err := provider.New(provider.Config{Issuer: at.Issuer(), ClientID: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{tenant: at, base: base, session: session.New(session.Config{Profile: "default", Provider: p, Store: keystore.Memory(), StateDir: t.TempDir()})}
	cfg := webui.Config{Session: s.session, Provider: p, BaseURL: base}
	for _, change := range configure {
		change(s, &cfg)
	}
	if s.server, err = webui.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// login logs a fresh browser in from the page.
func (s *scene) login(t testing.TB, path string) (*http.Client, *tenant.Visit) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	visit, err := tenant.Person{Email: "ada@example.com", Password: "x", Jar: jar}.Visit(t.Context(), s.base+"/auth/login?returnTo="+url.QueryEscape(path))
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true}}, visit
}

func ask(t testing.TB, client *http.Client, method, target string, body url.Values, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
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

// Two people log in at the same instant: who was first is not taken for the second.
func TestOvertakenLogin(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(s *scene, cfg *webui.Config) {
		cfg.Store = func(ctx context.Context, tokens *provider.Tokens, mayReplace func(string) bool) error {
			_, err := s.session.Replace(ctx, tokens, mayReplace)
			hers := provider.Tokens{
				AccessToken: provider.NewSecret("hers"), IDToken: provider.NewSecret("hers too"), IDTokenExpiry: time.Now().Add(time.Hour),
				Claims: provider.Claims{"sub": "grace", "name": "Grace"},
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
		if status, body, _ := ask(t, ada, http.MethodGet, s.base+path, nil); strings.Contains(body, "Grace") || strings.Contains(body, "grace") {
			t.Errorf("%s shows Ada's browser (%d) %s", path, status, body)
		}
	}
	if status, _, _ := ask(t, ada, http.MethodPost, s.base+"/auth/logout", nil, "Sec-Fetch-Site", "same-origin"); status != http.StatusSeeOther {
		t.Errorf("a logout by Ada's browser answers %d", status)
	}
	if info, err := s.session.Info(t.Context()); err != nil || info.Subject != "grace" {
		t.Errorf("then the session is %s's: %v", info.Subject, err)
	}
}

func TestPagesSaySafely(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, visit := s.login(t, "/profile")
	if visit.Status != 200 || !strings.HasSuffix(visit.URL, "/profile") {
		t.Fatalf("the login ended at %s (%d)", visit.URL, visit.Status)
	}
	if strings.Contains(visit.Body, "<i>Lovelace") || strings.Contains(visit.Body, "\u202e") {
		t.Error("a claim's HTML or direction mark reached the page")
	}
	token, err := s.session.AccessToken(t.Context(), session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := s.session.IDToken(t.Context(), 0, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token.Token.Reveal(), id.Reveal()} {
		if strings.Contains(visit.Body, secret) {
			t.Error("the profile shows a token")
		}
	}
}

// The picture comes through this server, once, as the kind of file that it is.
func TestPicture(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, visit := s.login(t, "/")
	if !strings.Contains(visit.Body, `src="/auth/picture"`) {
		t.Error("home shows no picture")
	}
	s.tenant.Reset()
	for range 3 {
		status, body, header := ask(t, client, http.MethodGet, s.base+"/auth/picture", nil)
		if status != 200 || header.Get("Content-Type") != "image/png" || !strings.HasPrefix(body, "\x89PNG") {
			t.Errorf("got %d %s", status, header.Get("Content-Type"))
		}
	}
	if got := s.tenant.Requests("userinfo"); got != 1 {
		t.Errorf("it was fetched %d times", got)
	}
}

// What other pages, other sites and other hosts can't do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	known, _ := s.login(t, "/")
	stranger := &http.Client{CheckRedirect: known.CheckRedirect, Transport: &http.Transport{DisableKeepAlives: true}}
	page := []string{"Accept", "text/html"}
	for name, c := range map[string]struct {
		client       *http.Client
		method, path string
		headers      []string
		want         int
	}{
		"a logout by another site":          {known, "POST", "/auth/logout", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"a logout by another port":          {known, "POST", "/auth/logout", []string{"Origin", "http://localhost:5173", "Sec-Fetch-Site", "same-site"}, 403},
		"a logout by a link elsewhere asks": {known, "GET", "/auth/logout", append(page, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200},
		"a logout by a picture asks":        {known, "GET", "/auth/logout", append(page, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), 200},
		"a stranger's logout":               {stranger, "POST", "/auth/logout", nil, 303},
		"a framed login":                    {stranger, "GET", "/auth/login", append(page, "Sec-Fetch-Dest", "iframe"), 403},
		"a stranger's page":                 {stranger, "GET", "/profile", page, 303},
		"a stranger's client":               {stranger, "GET", "/profile", []string{"Accept", "application/json"}, 401},
		"a stranger's picture":              {stranger, "GET", "/auth/picture", nil, 401},
		"a guessed one-time link":           {stranger, "GET", "/auth/enter?once=guessed", page, 403},
		"another site's events":             {known, "GET", "/auth/events", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"nowhere":                           {known, "GET", "/nowhere", page, 404},
		"nowhere under auth":                {known, "GET", "/auth/nowhere", page, 404},
		"a wrong method":                    {known, "DELETE", "/profile", nil, 404},
		"known":                             {known, "GET", "/protected", nil, 200},
	} {
		if got, body, header := ask(t, c.client, c.method, s.base+c.path, nil, c.headers...); got != c.want || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d, not %d: %s", name, got, c.want, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/protected", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := known.Do(req)
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if _, err := s.session.Info(t.Context()); err != nil {
		t.Errorf("one of them ended the session: %v", err)
	}
}

// Any server on localhost can add a cookie of our name, which shadows ours on some of our paths.
func TestShadowedCookie(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mine := func() string {
		t.Helper()
		known, _ := s.login(t, "/")
		u, err := url.Parse(s.base)
		if err != nil {
			t.Fatal(err)
		}
		return known.Jar.Cookies(u)[0].String()
	}
	first := mine()
	cookie := mine() // a login is one session: who was recognised before is a stranger
	name, _, _ := strings.Cut(cookie, "=")
	status := func(cookies string) int {
		t.Helper()
		got, _, _ := ask(t, &http.Client{}, http.MethodGet, s.base+"/protected", nil, "Cookie", cookies)
		return got
	}
	for cookies, want := range map[string]int{
		cookie: 200, name + "=planted; " + cookie: 200, cookie + "; " + name + "=planted": 200, cookie + "; " + cookie: 200, name + "=; " + cookie + "; " + first: 200,
		name + "=planted": 401, first: 401, name + "=planted; " + name + "=too": 401, "": 401,
	} {
		if got := status(cookies); got != want {
			t.Errorf("%q: %d, not %d", cookies, got, want)
		}
	}
	_, _, header := ask(t, &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		http.MethodGet, s.server.OneTimeURL(), nil)
	other, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if got := status(other); got != 200 {
		t.Errorf("a second browser that is known: %d", got)
	}
	if got := status(cookie + "; " + other); got != 401 {
		t.Errorf("two that are known: %d", got)
	}
}

// The page that was opened last is told of changes, however many streams are open.
func TestManyListen(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var streams []*http.Response
	for range 65 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/auth/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil || stream.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %v, %v", len(streams), stream, err)
		}
		defer stream.Body.Close()
		streams = append(streams, stream)
	}
	if text, err := io.ReadAll(streams[0].Body); err != nil || !strings.Contains(string(text), "retry: ") {
		t.Errorf("the oldest ends with %q, %v", text, err)
	}
	s.login(t, "/")
	for _, i := range []int{1, 64} {
		lines := bufio.NewReader(streams[i].Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
			if line == "event: change\n" {
				break
			}
		}
	}
}

func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	info, err := s.session.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sid := info.Claims.Text("sid")
	post := func(token string) int {
		t.Helper()
		status, _, header := ask(t, &http.Client{}, http.MethodPost, s.base+"/auth/backchannel-logout", url.Values{"logout_token": {token}})
		if header.Get("Cache-Control") != "no-store" {
			t.Error("the answer may be cached")
		}
		return status
	}
	token := func(subject, sid string, change func(map[string]any)) string {
		t.Helper()
		raw, err := s.tenant.LogoutToken("tests", subject, sid, change)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, raw := range map[string]string{
		"nothing": "", "garbage": "x.y.z", "with a nonce": token("ada", sid, func(c map[string]any) { c["nonce"] = "n" }),
		"of another client": token("ada", sid, func(c map[string]any) { c["aud"] = "other" }),
	} {
		if got := post(raw); got != 400 {
			t.Errorf("%s gets %d", name, got)
		}
	}
	// About somebody else, or another session: true, and nothing to do here.
	for _, raw := range []string{token("charles", "", nil), token("", "another session", nil)} {
		if got := post(raw); got != 200 {
			t.Errorf("about others: %d", got)
		}
	}
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 200 {
		t.Fatalf("the session ended too early: %d", status)
	}
	good := token("ada", sid, nil)
	if got := post(good); got != 200 {
		t.Errorf("a good one gets %d", got)
	}
	if got := post(good); got != 400 {
		t.Errorf("the same again gets %d", got)
	}
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 401 {
		t.Errorf("the page still shows the user: %d", status)
	}
	if _, err := s.session.Info(t.Context()); err == nil {
		t.Error("the session is still there")
	}
}

// A page behind the guard costs the keystore nothing.
func TestGuardReadsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	counting := s.tenant.Requests("token")
	for range 20 {
		if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 200 {
			t.Fatalf("got %d", status)
		}
	}
	if got := s.tenant.Requests("token"); got != counting {
		t.Errorf("%d token requests", got-counting)
	}
}

// An authenticated page, and beside it a bare handler that writes as much: what the guard costs.
func BenchmarkPage(b *testing.B) {
	s := newScene(b)
	client, _ := s.login(b, "/")
	run := func(b *testing.B, target string, cookie bool) {
		b.Helper()
		keep := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
		u, err := url.Parse(s.base)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
			if err != nil {
				b.Fatal(err)
			}
			if cookie {
				for _, c := range client.Jar.Cookies(u) {
					req.AddCookie(c)
				}
			}
			resp, err := keep.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	}
	b.Run("guarded", func(b *testing.B) { run(b, s.base+"/", true) })
	bare := httptest.NewServer(webui.BareHome(b))
	b.Cleanup(bare.Close)
	b.Run("bare", func(b *testing.B) { run(b, bare.URL, false) })
}
