package loopback_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
)

func (s *scene) flow(t testing.TB, cfg loopback.FlowConfig) *loopback.Flow {
	t.Helper()
	p, err := provider.New(provider.Config{Issuer: s.tenant.Issuer(), ClientID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Provider, cfg.BaseURL = p, s.base
	return loopback.NewFlow(cfg)
}

// call sends an answer to the flow's callback, from a browser with these cookies.
func call(t testing.TB, f *loopback.Flow, query string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, loopback.CallbackPath, nil)
	r.URL.RawQuery = query
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	f.Callback(w, r)
	return w
}

func begin(t testing.TB, f *loopback.Flow, r loopback.Request) *loopback.Pending {
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
	stopped := ada()
	stopped.StopAt = s.base
	visit, err := stopped.Visit(t.Context(), target)
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
	s := newScene(t, tenant.Config{})
	f := s.flow(t, loopback.FlowConfig{})
	seen := map[string]bool{}
	for range 20 {
		p := begin(t, f, loopback.Request{CLI: true})
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
	s := newScene(t, tenant.Config{})
	f := s.flow(t, loopback.FlowConfig{})
	p := begin(t, f, loopback.Request{Browser: "mine"})
	query := s.answer(t, p.URL)
	name := loopback.BindingCookie(s.base)
	for label, cookies := range map[string][]*http.Cookie{
		"no cookie":       nil,
		"another's":       {{Name: name, Value: "yours"}},
		"empty":           {{Name: name, Value: ""}},
		"of another port": {{Name: "loopkey_1_login", Value: "mine"}},
	} {
		if w := call(t, f, query, cookies...); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "another browser") {
			t.Errorf("%s gets %d: %s", label, w.Code, w.Body)
		}
	}
	if err := f.Answer(t.Context(), s.base+loopback.CallbackPath+"?"+query); err == nil {
		t.Error("it could be pasted into a terminal")
	}
	// Another port's server may have set a cookie of the same name for another path.
	w := call(t, f, query, &http.Cookie{Name: name, Value: "yours"}, &http.Cookie{Name: name, Value: "mine"})
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
	s := newScene(t, tenant.Config{})
	var now atomic.Int64
	start := time.Now()
	f := s.flow(t, loopback.FlowConfig{Now: func() time.Time { return start.Add(time.Duration(now.Add(1))) }})
	terminal := begin(t, f, loopback.Request{CLI: true})
	var pages []*loopback.Pending
	for range 65 {
		pages = append(pages, begin(t, f, loopback.Request{Browser: "mine"}))
	}
	for label, c := range map[string]struct {
		p    *loopback.Pending
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
		if w := call(t, f, query, &http.Cookie{Name: loopback.BindingCookie(s.base), Value: "mine"}); w.Code != c.want {
			t.Errorf("%s gets %d, not %d", label, w.Code, c.want)
		}
	}
	now.Add(int64(11 * time.Minute))
	query := "error=access_denied&state=" + parameter(t, pages[2].URL, "state")
	if w := call(t, f, query, &http.Cookie{Name: loopback.BindingCookie(s.base), Value: "mine"}); w.Code != http.StatusBadRequest {
		t.Errorf("after eleven minutes it gets %d", w.Code)
	}
}

// Terminals that want the same share one login, and so one tab.
func TestShare(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	f := s.flow(t, loopback.FlowConfig{})
	first := begin(t, f, loopback.Request{CLI: true, Share: true, Params: url.Values{"prompt": {"login"}}})
	second := begin(t, f, loopback.Request{CLI: true, Share: true, Params: url.Values{"prompt": {"login"}}})
	for label, p := range map[string]*loopback.Pending{
		"other parameters": begin(t, f, loopback.Request{CLI: true, Share: true}),
		"not to share":     begin(t, f, loopback.Request{CLI: true, Params: url.Values{"prompt": {"login"}}}),
		"a page's":         begin(t, f, loopback.Request{Share: true, Browser: "mine", Params: url.Values{"prompt": {"login"}}}),
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
	if p := begin(t, f, loopback.Request{CLI: true, Share: true, Params: url.Values{"prompt": {"login"}}}); p.Shared {
		t.Error("a login that is over is shared")
	}
}

// A store that asks for the login once more gets it, at once and under another state; once.
func TestAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	asked := 0
	f := s.flow(t, loopback.FlowConfig{Store: func(context.Context, *http.Request, *loopback.Pending, *provider.Tokens) error {
		asked++
		return loopback.ErrAgain
	}})
	p := begin(t, f, loopback.Request{CLI: true})
	w := call(t, f, s.answer(t, p.URL))
	next := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(next, s.tenant.Issuer()) || parameter(t, next, "state") == parameter(t, p.URL, "state") {
		t.Fatalf("got %d to %s", w.Code, next)
	}
	if w := call(t, f, s.answer(t, next)); !strings.HasPrefix(w.Header().Get("Location"), loopback.ResultPath) {
		t.Errorf("the second time leads to %s", w.Header().Get("Location"))
	}
	if _, err := p.Wait(t.Context()); !errors.Is(err, loopback.ErrAgain) || asked != 2 {
		t.Errorf("got %v after %d times", err, asked)
	}
}

// Nobody is sent through a login again that nobody waits for any more.
func TestAgainForNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	var f *loopback.Flow
	var p *loopback.Pending
	f = s.flow(t, loopback.FlowConfig{Store: func(context.Context, *http.Request, *loopback.Pending, *provider.Tokens) error {
		f.Drop(p)
		return loopback.ErrAgain
	}})
	p = begin(t, f, loopback.Request{CLI: true})
	if w := call(t, f, s.answer(t, p.URL)); !strings.HasPrefix(w.Header().Get("Location"), loopback.ResultPath) {
		t.Errorf("it is sent to %s", w.Header().Get("Location"))
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
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
					if page, err := ada().Visit(context.WithoutCancel(ctx), target); !c.hang && (err != nil || page.Status != http.StatusOK) {
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

// An answer that comes too late is nobody's.
func TestTooLate(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	f := s.flow(t, loopback.FlowConfig{Store: func(context.Context, *http.Request, *loopback.Pending, *provider.Tokens) error {
		t.Error("stored")
		return nil
	}})
	p := begin(t, f, loopback.Request{CLI: true})
	query := s.answer(t, p.URL)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(loopback.ErrTimeout)
	if _, err := p.Wait(ctx); !errors.Is(err, loopback.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if w := call(t, f, query); w.Code != http.StatusBadRequest {
		t.Errorf("it gets %d", w.Code)
	}
}

// Whatever a stranger sends, only the right state ends a login, and nothing he sends is markup.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{
		"", "state=STATE", "state=STATE&error=access_denied&error_description=%3Cscript%3E", "state=STATE&state=STATE&code=x", "state=STATE;code=x",
		"state=%00&code=<script>", "state[]=STATE", "STATE=STATE", "state=STATE%20", "iss=x&state=STATE&error=%1b%5b31m",
	} {
		f.Add(seed)
	}
	s := newScene(f, tenant.Config{})
	flow := s.flow(f, loopback.FlowConfig{})
	f.Fuzz(func(t *testing.T, query string) {
		if strings.Contains(query, "code") {
			query = strings.ReplaceAll(query, "iss", "") // no request to the tenant: it is refused for lack of an issuer
		}
		p := begin(t, flow, loopback.Request{CLI: true})
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
		case right && (w.Code != http.StatusSeeOther || !strings.HasPrefix(w.Header().Get("Location"), loopback.ResultPath+"?id=") || errors.Is(err, context.Canceled)):
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
