package webui_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/markup"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// A pair is a scene with another session of the user, of the profile "work", and a browser that surely is theirs.
type pair struct {
	*scene
	other   *session.Session
	client  *http.Client
	checked int    // how often checks were made
	during  func() // called while they are made; nil: nothing is

	happened time.Time          // the last event
	logins   []*provider.Tokens // of the first session
}

// newPair logs both in. The page of the other session's provider leads the browser back to baseURL; "": to the scene.
func newPair(t *testing.T, baseURL string) *pair {
	t.Helper()
	p := &pair{}
	p.scene = newScene(t, func(s *scene, c *webui.Config) {
		p.other = session.New(session.Config{
			Profile: "work", Provider: s.session.Provider(), Store: s.store, StateDir: t.TempDir(), Now: s.now,
		})
		if baseURL == "" {
			baseURL = s.base
		}
		c.Store = func(ctx context.Context, tokens *provider.Tokens, mayReplace func(string) bool) error {
			p.logins = append(p.logins, tokens)
			_, err := s.session.Replace(ctx, tokens, mayReplace)
			return err
		}
		c.Others = func(context.Context) []webui.Other {
			return []webui.Other{
				{Session: p.other, Title: "work", BaseURL: baseURL},
				{Title: "play<i>", Note: "Nobody is logged in.", Command: "acme login play"},
			}
		}
		c.Checks = func(context.Context) []webui.Finding {
			p.checked++
			if p.during != nil {
				p.during()
			}
			return []webui.Finding{{Name: "port", State: "broken", Message: "held by <b>\u202e", Fix: "Free it."}}
		}
		c.Events = func(context.Context) []webui.Event {
			return []webui.Event{{Time: p.happened, Text: "A token to <git>\u202e"}}
		}
		c.Commands = []webui.Commands{{Title: "In a terminal", Lines: []webui.Command{{What: "A token", Code: "acme token"}}}}
	})
	p.login(t, "/")
	if err := p.other.Begin(t.Context(), p.logins[0]); err != nil {
		t.Fatal(err)
	}
	p.login(t, "/")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.client = newClient(jar)
	oneTime, _ := p.server.OneTimeURL()
	status, _, _ := ask(t, p.client, http.MethodGet, oneTime, nil, "Accept", "text/html")
	if status != http.StatusSeeOther {
		t.Fatalf("the one-time URL gets %d", status)
	}
	return p
}

// home returns the start page.
func (p *pair) home(t *testing.T) string {
	t.Helper()
	status, body, _ := ask(t, p.client, http.MethodGet, p.base+"/", nil, "Accept", "text/html")
	if status != http.StatusOK {
		t.Fatalf("the start page gets %d", status)
	}
	return body
}

// form returns the fields of the first form of a session's card with this action, and whether it ends the session here.
func (p *pair) form(t *testing.T, title, action string, here bool) url.Values {
	t.Helper()
	_, card, found := strings.Cut(p.home(t), `aria-label="`+title+`"`)
	if !found {
		t.Fatalf("no card of %s", title)
	}
	card, _, _ = strings.Cut(card, "</section>")
	for _, form := range markup.Elements(t, card, "form") {
		fields := url.Values{}
		for n := range form.Descendants() {
			name := markup.Attribute(n, "name")
			if n.Data == "input" || n.Data == "button" && here && name != "" {
				fields.Set(name, markup.Attribute(n, "value"))
			}
		}
		if markup.Attribute(form, "action") == action && fields.Has("here") == here {
			return fields
		}
	}
	t.Fatalf("the card of %s has no form for %s", title, action)
	return nil
}

func (p *pair) post(t *testing.T, action string, form url.Values) (status int, body string, header http.Header) {
	t.Helper()
	return ask(t, p.client, http.MethodPost, p.base+action, form, fetched("same-origin", "navigate", "document")...)
}

// The start page shows every session, with what can be done about each, and what to copy.
func TestHomeShowsSessions(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	strong := *p.logins[0]
	strong.Claims = strong.Claims.With(provider.Claims{"acr": "<hw>"})
	if err := p.other.StepUp(t.Context(), &strong, provider.Requirement{ACR: "<hw>"}); err != nil {
		t.Fatal(err)
	}
	body := p.home(t)
	for _, want := range []string{
		`aria-label="default"`, `<bdi class="chip">&lt;hw&gt;</bdi>`, `aria-label="work"`, `aria-label="play&lt;i&gt;"`,
		"acme login play", "Nobody is logged in.",
		"<code>acme token</code>", "A token to &lt;git&gt;</bdi>", "Renew now", "Log out here", "Log out everywhere",
		"<progress",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	for _, s := range []*session.Session{p.session, p.other} {
		token, err := s.AccessToken(t.Context(), session.Request{})
		if err != nil || strings.Contains(body, token.Token.Reveal()) {
			t.Errorf("a token is on the page, or is not to be had: %v", err)
		}
	}
	webui.Doubt(p.server)
	if body := p.home(t); strings.Contains(body, "work") || strings.Contains(body, "play") ||
		strings.Contains(body, "A token to") ||
		!strings.Contains(body, `aria-label="default"`) {
		t.Errorf("a browser that may be another's sees %s", body)
	}
}

// Each session is renewed by itself, and only that login of it which the page showed.
func TestRenewSessions(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	for _, c := range []struct {
		title string
		of    *session.Session
	}{{"default", p.session}, {"work", p.other}} {
		form := p.form(t, c.title, "/auth/renew", false)
		before := p.info(t, c.of)
		if status, body, header := p.post(t, "/auth/renew", form); status != http.StatusSeeOther ||
			header.Get("Location") != "/" {
			t.Fatalf("%s: %d %s", c.title, status, body)
		}
		if after := p.info(t, c.of); !after.RenewedAt.After(before.RenewedAt) {
			t.Errorf("%s is not renewed", c.title)
		}
		form.Set("login", "1")
		p.tenant.Reset()
		if status, _, _ := p.post(t, "/auth/renew", form); status != http.StatusSeeOther || p.tenant.Requests("token") != 0 {
			t.Errorf("%s: the form of another login gets %d, and %d tokens", c.title, status, p.tenant.Requests("token"))
		}
	}
	// What the provider does not give is said.
	form := p.form(t, "work", "/auth/renew", false)
	p.tenant.Close()
	if status, body, _ := p.post(t, "/auth/renew", form); status < 500 || !strings.Contains(body, "be reached") {
		t.Errorf("without a provider: %d %s", status, body)
	}
}

func (p *pair) info(t *testing.T, s *session.Session) session.Info {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// A logout ends the session of its card and no other, here alone or everywhere, and not a login that came later.
func TestLogoutOfSessions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		title, baseURL string
		here           bool
		revoked        int
		says           string
	}{
		"own, here":         {"default", "", true, 0, "The provider was not told"},
		"own, everywhere":   {"default", "", false, 1, "Now your browser goes on"},
		"other, here":       {"work", "", true, 0, "Logged out of <bdi>work</bdi>"},
		"other, everywhere": {"work", "", false, 1, "Logged out of <bdi>work</bdi>"},
		"other, elsewhere":  {"work", "http://localhost:1", false, 1, "Logged out of <bdi>work</bdi>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.baseURL)
			gone, stays := p.session, p.other
			if c.title == "work" {
				gone, stays = stays, gone
			}
			form := p.form(t, c.title, "/auth/logout", c.here)
			p.tenant.Reset()
			old := url.Values{"session": form["session"], "login": {"1"}}
			if status, _, header := p.post(t, "/auth/logout", old); status != http.StatusSeeOther ||
				header.Get("Location") != "/" {
				t.Errorf("the form of another login gets %d to %s", status, header.Get("Location"))
			}
			p.info(t, gone)
			_, _, header := p.post(t, "/auth/logout", form)
			if _, err := gone.Info(t.Context()); !errors.Is(err, session.ErrNotLoggedIn) {
				t.Errorf("after the logout there is %v", err)
			}
			p.info(t, stays)
			if got := p.tenant.Requests("revoke"); got != c.revoked {
				t.Errorf("%d revocations, not %d", got, c.revoked)
			}
			_, body, header := ask(t, p.client, http.MethodGet, p.base+header.Get("Location"), nil,
				append(fetched("same-origin", "navigate", "document"), "Accept", "text/html")...)
			if !strings.Contains(body, c.says) {
				t.Errorf("the page says %s", body)
			}
			_, target, _ := strings.Cut(header.Get("Refresh"), "url=")
			u, err := url.Parse(target)
			if err != nil || (target == "") != c.here ||
				u.Query().Has("state") != (target != "" && c.baseURL == "") ||
				u.Query().Has("state") != u.Query().Has("post_logout_redirect_uri") {
				t.Errorf("the browser goes on to %q", target)
			}
			if c.title == "work" && c.baseURL == "" && !c.here { // and comes back
				_, body, _ := ask(t, p.client, http.MethodGet, p.base+"/?state="+u.Query().Get("state"), nil,
					append(fetched("cross-site", "navigate", "document"), "Accept", "text/html")...)
				if !strings.Contains(body, "You are logged out of the other session") || !strings.Contains(body, "default") {
					t.Errorf("back from the provider there is %s", body)
				}
			}
		})
	}
}

// No other page, site, host or browser renews or ends a session.
func TestFormsRefuse(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	page := fetched("same-origin", "navigate", "document")
	forms := map[string]url.Values{
		"renew own": p.form(t, "default", "/auth/renew", false), "renew other": p.form(t, "work", "/auth/renew", false),
		"checks":     {},
		"logout own": p.form(t, "default", "/auth/logout", true), "logout other": p.form(t, "work", "/auth/logout", false),
	}
	refuse := func(who string, client *http.Client, want int, headers ...string) {
		t.Helper()
		for name, form := range forms {
			action, _, _ := strings.Cut(name, " ")
			p.tenant.Reset()
			status, body, _ := ask(t, client, http.MethodPost, p.base+"/auth/"+action, form, headers...)
			if status != want || p.tenant.Requests("token")+p.tenant.Requests("revoke") != 0 {
				t.Errorf("%s, %s: %d %s", name, who, status, body)
			}
			p.info(t, p.session)
			p.info(t, p.other)
			if p.checked > 0 {
				t.Errorf("%s has checks made", who)
			}
		}
	}
	refuse("another site", p.client, 403, fetched("cross-site", "navigate", "document")...)
	refuse("another port", p.client, 403, fetched("same-site", "navigate", "document")...)
	refuse("an old browser at another port", p.client, 403, "Origin", "http://localhost:5173")
	refuse("another host", p.client, 421, append(page, "Host", "evil.example")...)
	refuse("a stranger", newClient(nil), 303, page...)
	webui.Doubt(p.server)
	delete(forms, "renew own")
	delete(forms, "logout own")
	refuse("a browser that may be another's", p.client, 303, page...)
}

// The checks are made when the user asks, and what they find is shown.
func TestChecksOnThePage(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	if body := p.home(t); !strings.Contains(body, "Run the checks") || p.checked != 0 {
		t.Errorf("%d checks for %s", p.checked, body)
	}
	status, body, _ := p.post(t, "/auth/checks", url.Values{})
	if status != http.StatusOK || !strings.Contains(body, "Something is broken") || !strings.Contains(body, "Free it.") ||
		!strings.Contains(body, "held by &lt;b&gt;</bdi>") || p.checked != 1 {
		t.Errorf("%d %s", status, body)
	}
	webui.Doubt(p.server)
	if body := p.home(t); strings.Contains(body, "Run the checks") {
		t.Errorf("a browser that may be another's is offered checks: %s", body)
	}
}

// A request for checks that is given up waits no longer for those that another page asked for.
func TestChecksGivenUp(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	handler := p.server.Handler()
	request := func(ctx context.Context) *http.Request {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, p.base+"/auth/checks", nil)
		for _, c := range p.client.Jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		return r
	}
	ctx, giveUp := context.WithCancel(t.Context())
	p.during = func() {
		giveUp()
		handler.ServeHTTP(httptest.NewRecorder(), request(ctx)) // while the first ones are made
	}
	w := httptest.NewRecorder()
	if handler.ServeHTTP(w, request(t.Context())); w.Code != http.StatusOK || p.checked != 1 {
		t.Errorf("%d checks, and %d %s", p.checked, w.Code, w.Body)
	}
}

// An open page is told when another session of the user is another, as when a terminal renews it.
func TestOthersLive(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	p.home(t)
	page := p.openPage(t)
	if _, err := p.other.AccessToken(t.Context(), session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	page.read(t, "event: change\n")
}

// Whatever the pages offer works in a browser that runs no script: each button sends a form, each link leads somewhere,
// and nothing waits hidden for a script.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	p := newPair(t, "")
	for _, path := range []string{"/", "/profile", "/protected", "/auth/logout"} {
		_, body, _ := ask(t, p.client, http.MethodGet, p.base+path, nil, "Accept", "text/html")
		buttons := markup.Elements(t, body, "button")
		for _, button := range buttons {
			form := button.Parent
			for form != nil && form.Data != "form" {
				form = form.Parent
			}
			if form == nil || markup.Attribute(form, "method") != "post" || markup.Attribute(form, "action") == "" ||
				markup.Attribute(button, "type") == "button" {
				t.Errorf("%s has a button that sends nothing", path)
			}
		}
		links := markup.Elements(t, body, "a")
		for _, link := range links {
			target := markup.Attribute(link, "href")
			if name, here := strings.CutPrefix(target, "#"); target == "" || here && !strings.Contains(body, `id="`+name+`"`) {
				t.Errorf("%s has a link to %q", path, target)
			}
		}
		if len(buttons) == 0 || len(links) < 3 {
			t.Errorf("%s has %d buttons and %d links", path, len(buttons), len(links))
		}
		if strings.Contains(body, " hidden") && strings.Count(body, " hidden") != strings.Count(body, ` aria-hidden`) {
			t.Errorf("%s hides something: %s", path, body)
		}
	}
}
