package login_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
)

// base is of a server that is not there: nothing here needs one.
const base, cookie = "http://localhost:3000", "loopkey_3000_login"

// A scene is a tenant with a user.
type scene struct{ tenant *tenant.Tenant }

func newScene(t testing.TB) *scene {
	t.Helper()
	return sceneOf(t, tenant.Config{})
}

func sceneOf(t testing.TB, cfg tenant.Config) *scene {
	t.Helper()
	cfg.Clients = []tenant.Client{{
		ID: "tests", RedirectURIs: []string{base + login.CallbackPath}, Audiences: []string{"https://a/", "https://b/"},
	}}
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada <b>Lovelace</b>", Password: "x"}}
	started, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	return &scene{started}
}

func (s *scene) flow(t testing.TB, cfg login.Config) *login.Flow {
	t.Helper()
	p, err := provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: "tests"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Provider, cfg.RedirectURI, cfg.Cookie = p, base+login.CallbackPath, cookie
	return login.New(cfg)
}

// call sends an answer to the flow's callback, from a browser with these cookies.
func call(t testing.TB, f *login.Flow, query string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, login.CallbackPath, nil)
	r.URL.RawQuery = query
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	f.Callback(w, r)
	return w
}

func begin(t testing.TB, f *login.Flow, r login.Request) *login.Pending {
	t.Helper()
	p, err := f.Begin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func parameter(t testing.TB, raw, name string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil || u.Query().Get(name) == "" {
		t.Fatalf("%q has no %s: %v", raw, name, err)
	}
	return u.Query().Get(name)
}

// answer logs Ada in at the tenant, and returns the query that her browser brings back.
func (s *scene) answer(t testing.TB, target string) string {
	t.Helper()
	ada := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: base}
	visit, err := ada.Visit(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(visit.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.RawQuery
}

func TestBeginIsFresh(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.flow(t, login.Config{})
	seen := map[string]bool{}
	for range 20 {
		p := begin(t, f, login.Request{CLI: true})
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := parameter(t, p.URL, name)
			if seen[value] || len(value) != 43 { // 256 bits
				t.Errorf("%s %q is not fresh", name, value)
			}
			seen[value] = true
		}
		if parameter(t, p.URL, "code_challenge_method") != "S256" {
			t.Error("the challenge is not S256")
		}
	}
}

// Nobody can have a login of his finished in somebody else's browser.
func TestOtherBrowser(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.flow(t, login.Config{})
	p := begin(t, f, login.Request{Browser: "mine"})
	query := s.answer(t, p.URL)
	for label, cookies := range map[string][]*http.Cookie{
		"no cookie":       nil,
		"another's":       {{Name: cookie, Value: "yours"}},
		"empty":           {{Name: cookie, Value: ""}},
		"of another port": {{Name: "loopkey_1_login", Value: "mine"}},
	} {
		if w := call(t, f, query, cookies...); w.Code != http.StatusBadRequest ||
			!strings.Contains(w.Body.String(), "another browser") {
			t.Errorf("%s gets %d: %s", label, w.Code, w.Body)
		}
	}
	terminal := begin(t, f, login.Request{CLI: true})
	defer f.Drop(terminal)
	if err := terminal.Paste(t.Context(), base+login.CallbackPath+"?"+query); err == nil {
		t.Error("it could be pasted into a terminal")
	}
	// Another port's server may have set a cookie of the same name for another path.
	w := call(t, f, query, &http.Cookie{Name: cookie, Value: "yours"}, &http.Cookie{Name: cookie, Value: "mine"})
	if w.Code != http.StatusSeeOther {
		t.Errorf("its own browser gets %d: %s", w.Code, w.Body)
	}
	if _, err := p.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// Logins that pages begin push out the oldest of their own, and never a terminal's.
func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var now atomic.Int64
	start := time.Now()
	f := s.flow(t, login.Config{Now: func() time.Time { return start.Add(time.Duration(now.Add(1))) }})
	terminal := begin(t, f, login.Request{CLI: true})
	var pages []*login.Pending
	for range 65 {
		pages = append(pages, begin(t, f, login.Request{Browser: "mine"}))
	}
	for label, c := range map[string]struct {
		p    *login.Pending
		want int
	}{
		"the oldest":      {pages[0], http.StatusBadRequest},
		"the second":      {pages[1], http.StatusSeeOther},
		"the newest":      {pages[64], http.StatusSeeOther},
		"the terminal's":  {terminal, http.StatusSeeOther},
		"an expired one":  {pages[2], http.StatusBadRequest},
		"a dropped login": {pages[3], http.StatusBadRequest},
	} {
		switch c.p {
		case pages[2]:
			continue
		case pages[3]:
			f.Drop(c.p)
			f.Drop(c.p) // once more is as good as once
		}
		query := "error=access_denied&iss=" + url.QueryEscape(s.tenant.Issuer()) + "&state=" + parameter(t, c.p.URL, "state")
		if w := call(t, f, query, &http.Cookie{Name: cookie, Value: "mine"}); w.Code != c.want {
			t.Errorf("%s gets %d, not %d", label, w.Code, c.want)
		}
	}
	now.Add(int64(11 * time.Minute))
	query := "error=access_denied&state=" + parameter(t, pages[2].URL, "state")
	if w := call(t, f, query, &http.Cookie{Name: cookie, Value: "mine"}); w.Code != http.StatusBadRequest {
		t.Errorf("after eleven minutes it gets %d", w.Code)
	}
	now.Store(-int64(11 * time.Minute))
	query = "error=access_denied&state=" + parameter(t, pages[5].URL, "state")
	if w := call(t, f, query, &http.Cookie{Name: cookie, Value: "mine"}); w.Code != http.StatusBadRequest {
		t.Errorf("one that a clock ahead saw begin gets %d", w.Code)
	}
}

// Terminals that want the same share one login, and so one tab.
func TestShare(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.flow(t, login.Config{})
	prompt := login.Wanted{Params: url.Values{"prompt": {"login"}}}
	audience := prompt
	audience.Audience = "https://api.example.com/"
	first := begin(t, f, login.Request{CLI: true, Share: true, Wanted: prompt})
	second := begin(t, f, login.Request{CLI: true, Share: true, Wanted: prompt})
	for label, p := range map[string]*login.Pending{
		"another audience": begin(t, f, login.Request{CLI: true, Share: true, Wanted: audience}),
		"other parameters": begin(t, f, login.Request{CLI: true, Share: true}),
		"not to share":     begin(t, f, login.Request{CLI: true, Wanted: prompt}),
		"a page's":         begin(t, f, login.Request{Share: true, Browser: "mine", Wanted: prompt}),
	} {
		if p.Shared || p.URL == first.URL {
			t.Errorf("%s: shared", label)
		}
	}
	if first.Shared || !second.Shared || second.URL != first.URL {
		t.Fatalf("got %v %q and %v %q", first.Shared, first.URL, second.Shared, second.URL)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if w := call(t, f, s.answer(t, first.URL)); w.Code != http.StatusSeeOther {
		t.Errorf("the answer gets %d when one of the two has gone", w.Code)
	}
	if tokens, err := second.Wait(t.Context()); err != nil || tokens.Claims.Subject() != "ada" {
		t.Errorf("the other one gets %v", err)
	}
	if p := begin(t, f, login.Request{CLI: true, Share: true, Wanted: prompt}); p.Shared {
		t.Error("a login that is over is shared")
	}
}

// A store that asks for the login once more gets it, at once and under another state; once.
func TestAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	asked := 0
	f := s.flow(t, login.Config{Store: func(context.Context, *http.Request, *login.Pending, *provider.Tokens) error {
		asked++
		return login.ErrAgain
	}})
	p := begin(t, f, login.Request{CLI: true})
	w := call(t, f, s.answer(t, p.URL))
	next := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(next, s.tenant.Issuer()) ||
		parameter(t, next, "state") == parameter(t, p.URL, "state") {
		t.Fatalf("got %d to %s", w.Code, next)
	}
	if w := call(t, f, s.answer(t, next)); !strings.HasPrefix(w.Header().Get("Location"), login.ResultPath) {
		t.Errorf("the second time leads to %s", w.Header().Get("Location"))
	}
	if _, err := p.Wait(t.Context()); !errors.Is(err, login.ErrAgain) || asked != 2 {
		t.Errorf("got %v after %d times", err, asked)
	}
}

// Nobody is sent through a login again that nobody waits for any more.
func TestAgainForNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var f *login.Flow
	var p *login.Pending
	f = s.flow(t, login.Config{Store: func(context.Context, *http.Request, *login.Pending, *provider.Tokens) error {
		f.Drop(p)
		return login.ErrAgain
	}})
	p = begin(t, f, login.Request{CLI: true})
	if w := call(t, f, s.answer(t, p.URL)); !strings.HasPrefix(w.Header().Get("Location"), login.ResultPath) {
		t.Errorf("it is sent to %s", w.Header().Get("Location"))
	}
}

// An answer that comes too late is nobody's.
func TestTooLate(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	f := s.flow(t, login.Config{Store: func(context.Context, *http.Request, *login.Pending, *provider.Tokens) error {
		t.Error("stored")
		return nil
	}})
	p := begin(t, f, login.Request{CLI: true})
	query := s.answer(t, p.URL)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(login.ErrTimeout)
	if _, err := p.Wait(ctx); !errors.Is(err, login.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if w := call(t, f, query); w.Code != http.StatusBadRequest {
		t.Errorf("it gets %d", w.Code)
	}
}

// Whatever a stranger sends, only the right state ends a login, and nothing he sends is markup.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{
		"", "state=STATE", "state=STATE&error=access_denied&error_description=%3Cscript%3E",
		"state=STATE&state=STATE&code=x", "state=STATE;code=x",
		"state=%00&code=<script>", "state[]=STATE", "STATE=STATE", "state=STATE%20", "iss=x&state=STATE&error=%1b%5b31m",
	} {
		f.Add(seed)
	}
	s := newScene(f)
	flow := s.flow(f, login.Config{})
	f.Fuzz(func(t *testing.T, query string) {
		if strings.Contains(query, "code") {
			query = strings.ReplaceAll(query, "iss", "") // no request to the tenant: it is refused for lack of an issuer
		}
		p := begin(t, flow, login.Request{CLI: true})
		defer flow.Drop(p)
		state := parameter(t, p.URL, "state")
		w := call(t, flow, strings.ReplaceAll(query, "STATE", state))
		values, _ := url.ParseQuery(strings.ReplaceAll(query, "STATE", state))
		states := values["state"]
		right := len(states) == 1 && states[0] == state
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := p.Wait(ended)
		switch {
		case right && (w.Code != http.StatusSeeOther ||
			!strings.HasPrefix(w.Header().Get("Location"), login.ResultPath+"?id=") || errors.Is(err, context.Canceled)):
			t.Errorf("%q: the right state gets %d to %q, and %v", query, w.Code, w.Header().Get("Location"), err)
		case !right && (w.Code != http.StatusBadRequest || !errors.Is(err, context.Canceled)):
			t.Errorf("%q: a stranger gets %d, and the login %v", query, w.Code, err)
		}
		if !right {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, w.Header().Get("Location"), nil)
		result := httptest.NewRecorder()
		flow.Result(result, r)
		body := result.Body.String()
		if result.Code/100 == 2 || strings.Contains(body, "<script") || strings.ContainsAny(body, "\x00\x1b\u202e") {
			t.Errorf("%q: the page (%d) is %s", query, result.Code, body)
		}
	})
}
