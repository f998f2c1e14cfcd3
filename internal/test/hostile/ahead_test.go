package hostile

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// glance sends what browsers, pages and scanners send by themselves: what was fetched ahead, a HEAD, an image, a frame,
// a script's request.
func (b *browser) glance(t *testing.T, target string) {
	t.Helper()
	client := b.client
	client.Transport = &http.Transport{DisableKeepAlives: true}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	navigation := []string{
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html",
	}
	for name, headers := range map[string][]string{
		"HEAD":      navigation,
		"prefetch":  append([]string{"Sec-Purpose", "prefetch"}, navigation...),
		"prerender": append([]string{"Sec-Purpose", "prefetch;prerender"}, navigation...),
		"anonymous": append([]string{"Sec-Purpose", "prefetch;anonymous-client-ip"}, navigation...),
		"chromium":  {"Purpose", "prefetch"},
		"safari":    {"X-Purpose", "preview"},
		"firefox":   {"X-Moz", "prefetch"},
		"image":     {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		"iframe":    {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
		"fetch":     {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
	} {
		method := http.MethodGet
		if name == "HEAD" {
			method = http.MethodHead
		}
		r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if cookies := response.Cookies(); len(cookies) > 0 {
			t.Errorf("%s gets a cookie: %v", name, cookies)
		}
		if response.StatusCode/100 == 3 {
			t.Errorf("%s is led on", name)
		}
	}
}

// leaves goes through a logout, from the link that the command shows, with a glance at each address before it.
func (b *browser) leaves(t *testing.T, logout *house.Running, prefix string) {
	t.Helper()
	link := logout.Line(t, prefix)
	b.glance(t, link)
	back := b.step(t, b.step(t, link).String()).String()
	b.glance(t, back)
	if status, body := b.get(t, back); status != 200 || !strings.Contains(body, "You are logged out") {
		t.Errorf("the page responds %d: %s", status, body)
	}
	if line := logout.Line(t, "Logged out"); !strings.Contains(line, "the provider's session ended") {
		t.Errorf("it says %q", line)
	}
}

// step sends a navigation and returns where it leads.
func (b *browser) step(t *testing.T, target string) *url.URL {
	t.Helper()
	client := b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html",
	} {
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	to, err := response.Location()
	if err != nil {
		t.Fatalf("%s responds %d", target, response.StatusCode)
	}
	return to
}

// What a browser does before its user asks for it uses up no address that works once: then the user's own navigation
// works, and gets the page that says how it went.
func TestAheadOfTheUser(t *testing.T) {
	t.Parallel()
	t.Run("callback", func(t *testing.T) {
		t.Parallel()
		p, b := Start(t), newBrowser(t)
		h := house.New(t, p.Issuer())
		login := h.Start("login", "--no-browser")
		back := b.step(t, login.Line(t, p.URL(Authorize))).String()
		b.glance(t, back)
		if n := p.Requests(Token); n != 0 {
			t.Errorf("%d codes were redeemed", n)
		}
		result := b.step(t, back).String()
		b.glance(t, result)
		if status, body := b.get(t, result); status != 200 || !strings.Contains(body, "You are logged in as Ada") {
			t.Errorf("the page responds %d: %s", status, body)
		}
		login.Line(t, "Logged in as Ada Lovelace")
	})
	t.Run("callback_of_serve", func(t *testing.T) {
		t.Parallel()
		p, b := Start(t), newBrowser(t)
		h := house.New(t, p.Issuer())
		h.Serve()
		begin := h.Base + "/auth/login?returnTo=/profile"
		b.glance(t, begin)
		back := b.step(t, b.step(t, begin).String()).String()
		b.glance(t, back)
		if n := p.Requests(Token); n != 0 {
			t.Errorf("%d codes were redeemed", n)
		}
		if status, body := b.get(t, back); status != 200 || !strings.Contains(body, "Ada") {
			t.Errorf("the page responds %d: %s", status, body)
		}
	})
	t.Run("one_time_url", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t), newBrowser(t)
		oneTime := w.house.Serve()
		b.glance(t, oneTime)
		if status, body := b.get(t, oneTime); status != 200 || !strings.Contains(body, "Ada") {
			t.Errorf("the page responds %d: %s", status, body)
		}
	})
	t.Run("logout", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t), newBrowser(t)
		w.house.Env = append(w.house.Env, "BROWSER=true") // it opens nothing: this test is the browser
		logout := w.house.Start("logout")
		b.leaves(t, logout, w.house.Base+"/auth/logout?once=")
	})
	t.Run("logout_of_serve", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t), newBrowser(t)
		w.house.Env = append(w.house.Env, "BROWSER=true")
		b.get(t, w.house.Serve())
		b.glance(t, w.house.Base+"/auth/logout")
		w.house.Must("token") // the session stays
		logout := w.house.Start("logout")
		b.leaves(t, logout, w.house.Base+"/auth/ended?id=")
	})
}
