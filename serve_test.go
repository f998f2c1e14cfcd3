package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
)

// get sends a GET request.
func get(t testing.TB, client *http.Client, target, accept string) (status int, body string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
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

func newClient(t testing.TB, follow bool) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Timeout: 5 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

func TestWhoIsTheBrowser(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	oneTime := h.Serve()
	stranger, known := newClient(t, false), newClient(t, true)

	if _, body, _ := get(t, stranger, h.Base+"/", "text/html"); strings.Contains(body, "Ada") {
		t.Error("a stranger sees who is logged in")
	}
	if status, body, _ := get(t, stranger, h.Base+"/protected", "application/json"); status != 401 ||
		strings.Contains(body, "Ada") {
		t.Errorf("a stranger's API client gets %d: %s", status, body)
	}
	if status, _, header := get(t, stranger, h.Base+"/protected", "text/html"); status != 303 ||
		header.Get("Location") != "/auth/login?returnTo=%2Fprotected" {
		t.Errorf("a stranger's browser gets %d to %s", status, header.Get("Location"))
	}
	if status, body, _ := get(t, known, oneTime, "text/html"); status != 200 || !strings.Contains(body, "Ada Lovelace") {
		t.Errorf("the one-time URL leads to %d", status)
	}
	if status, _, _ := get(t, stranger, oneTime, "text/html"); status != 403 {
		t.Errorf("a stolen one-time URL used twice gets %d", status)
	}
	if status, body, _ := get(t, known, h.Base+"/protected", "application/json"); status != 200 ||
		!strings.Contains(body, `"sub":"ada"`) {
		t.Errorf("the known browser gets %d: %s", status, body)
	}
	token := strings.TrimSpace(h.Must("token"))
	if _, body, _ := get(t, known, h.Base+"/profile", "text/html"); !strings.Contains(body, "ada@example.com") ||
		strings.Contains(body, token) {
		t.Error("the profile lacks the claims, or shows the token")
	}
	// A second serve finds the first one and gets a new one-time URL.
	again := h.Start("serve", "--no-browser").Line(t, h.Base+"/auth/enter?")
	if status, _, _ := get(t, newClient(t, true), again, "text/html"); status != 200 {
		t.Errorf("the second one-time URL gets %d", status)
	}
	// After a logout in the terminal no browser sees the user.
	h.Must("logout", "--no-browser")
	deadline := time.Now().Add(2 * time.Minute)
	for {
		status, _, _ := get(t, known, h.Base+"/protected", "application/json")
		if status == 401 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("two minutes after the logout the browser still gets %d", status)
		}
	}
}

// The start page has the sessions of all profiles, and what is done there is done to the session that terminals use.
func TestSessionsOnThePage(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	file := filepath.Join(h.Dir, "config.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"work", "play"} {
		text = append(text, strings.Replace(string(text[:strings.Index(string(text)+"\n[profile.work]", "\n[profile.work]")]),
			"[profile.default]", "[profile."+profile+"]", 1)...)
	}
	text = append(text, "[profile.apart]\nbase_url = \"http://localhost:1\"\n"...)
	text = append(text, "[[profile.default.hosts]]\nhost = \"git.acme.example\"\ntools = [\"git\"]\n"...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Must("login")
	h.Must("login", "-p", "work")
	known := newClient(t, true)
	_, body, _ := get(t, known, h.Serve(), "text/html")
	for _, want := range []string{
		`aria-label="default"`, `aria-label="work"`, `aria-label="play"`, "loopkey login -p play", "loopkey token",
		"Nobody is logged in. A login needs the port of this server",
		"git, for git.acme.example", "loopkey setup git --write", "Logged in at",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if _, card, _ := strings.Cut(body, `aria-label="apart"`); !strings.Contains(card, "Nobody is logged in.</p>") {
		t.Errorf("the profile with a port of its own is not offered as it is: %s", card)
	}
	_, card, _ := strings.Cut(body, `aria-label="work"`)
	form := url.Values{}
	for _, name := range []string{"session", "login"} {
		_, value, _ := strings.Cut(card, `name="`+name+`" value="`)
		value, _, _ = strings.Cut(value, `"`)
		form.Set(name, value)
	}
	before := h.Must("token", "-p", "work")
	post := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.Base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := known.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	post("/auth/renew")
	if h.Must("token", "-p", "work") == before {
		t.Error("the session of work was not renewed")
	}
	if found := post("/auth/checks"); !strings.Contains(found, `<strong>port</strong>`) ||
		!strings.Contains(found, "<h1>") {
		t.Errorf("the checks find %s", found)
	}
	form.Set("here", "yes")
	post("/auth/logout")
	if r := h.Run("status", "-p", "work"); r.Code != 3 {
		t.Errorf("after the logout status exits %d: %s", r.Code, r.Stdout)
	}
	h.Must("status")
}

// A login that a page begins is bound to the browser that began it.
func TestLoginFromThePage(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Serve()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ada := tenant.Person{Email: house.Email, Password: house.Password, Jar: jar}
	victim := newClient(t, false)

	// The callback in another browser ends nothing.
	stopped := ada
	stopped.StopAt = h.Base + "/auth/callback"
	visit, err := stopped.Visit(t.Context(), h.Base+"/auth/login?returnTo=/profile")
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(t, victim, visit.URL, "text/html"); status != 400 {
		t.Errorf("a callback in another browser gets %d", status)
	}
	client := newClient(t, true)
	client.Jar = jar
	status, body, _ := get(t, client, visit.URL, "text/html")
	if status != 200 || !strings.Contains(body, "ada@example.com") {
		t.Errorf("after the login /profile gets %d", status)
	}
	h.Must("token") // the session is one
	if status, body, _ := get(t, client, visit.URL, "text/html"); status != 400 || !strings.Contains(body, `href="/"`) {
		t.Errorf("a used callback gets %d", status)
	}
	// returnTo leads to no other origin.
	for _, evil := range []string{"//evil.example", "/%5Cevil.example", "https:evil.example", "%2F%2Fevil.example"} {
		visit, err := ada.Visit(t.Context(), h.Base+"/auth/login?returnTo="+evil)
		if err != nil || !strings.HasPrefix(visit.URL, h.Base+"/") {
			t.Errorf("returnTo=%s leads to %v: %v", evil, visit, err)
		}
	}
}

func TestHandOff(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Serve()
	r := h.Run("login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "Logged in as Ada Lovelace") ||
		!strings.Contains(r.Stderr, "through loopkey serve") {
		t.Errorf("login beside serve exits %d: %s", r.Code, r.Stderr)
	}
	h.Must("token")
	if r := h.Run("login", "--client-id", "another"); r.Code != 1 ||
		!strings.Contains(r.Stderr, "another profile, issuer or client") {
		t.Errorf("login of another client beside serve exits %d: %s", r.Code, r.Stderr)
	}
}

func TestPortOfAStranger(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1", "[::1]"} {
		h := house.WithTenant(t)
		port := h.Base[strings.LastIndex(h.Base, ":"):]
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address+port)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		r := h.Run("login", "--timeout", "5s")
		_ = listener.Close()
		if r.Code != 1 || !strings.Contains(r.Stderr, "is taken by") || !strings.Contains(r.Stderr, "give --port ") {
			t.Errorf("%s: exit %d: %s", address, r.Code, r.Stderr)
		}
	}
}

// The web UI in a real browser: login, logout in the terminal, a stronger login for a page, logout in the page.
func TestWebUIInChromium(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	h := house.WithTenant(t)
	h.Must("login")
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("welcome.md", "# Welcome\n\n- [x] read this\n")
	write("vault.md", "---\ntitle: Vault\nacr: strong\n---\n# Vault\n\nThe secret is 42.\n")
	oneTime := h.Serve("--pages", folder)

	css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
	// Read and pressed in one step each: between two the open page may take new parts from the server.
	main := func() string {
		return chromium.Get(t, browser, chromedp.Evaluate[string](`document.querySelector("main").innerText`))
	}
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(css("header .who")))
	if text := main(); !strings.Contains(text, "You are logged in as Ada Lovelace") {
		t.Errorf("home says %q", text)
	}
	browser.Do(t, chromedp.Click(css(`a[href="/profile"].button`)), chromedp.WaitVisible(css("progress")))
	if text := main(); !strings.Contains(text, "ada@example.com") || !strings.Contains(text, "Access token") {
		t.Errorf("the profile says %q", text)
	}
	// A logout and a login in the terminal show on the open page without a reload.
	browser.Do(t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.stayed = true`))
		return err
	}))
	h.Must("logout", "--no-browser")
	browser.Do(t, chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)))
	if text := main(); !strings.Contains(text, "logged out") {
		t.Errorf("after the logout the page says %q", text)
	}
	waiting := h.Start("login", "--no-browser")
	authorizationURL := waiting.Line(t, h.Tenant.Issuer())
	other, closeOther := chromedp.NewContext(browser.Context)
	defer closeOther()
	if err := chromedp.Do(other, chromedp.Navigate(authorizationURL), chromedp.SendKeys(css("#email"), house.Email),
		chromedp.SendKeys(css("#password"), house.Password), chromedp.Click(css(`button[value="allow"]`)),
		chromedp.WaitVisible(css("main.good")),
	); err != nil {
		t.Fatal(err)
	}
	browser.Do(t, chromedp.WaitVisible(css("progress")))
	if !chromium.Get(t, browser, chromedp.Evaluate[bool](`window.stayed === true`)) {
		t.Error("the page was reloaded")
	}
	// A page that requires a stronger login is shown after one.
	browser.Do(t, chromedp.Navigate(h.Base+"/pages/vault"), chromedp.SendKeys(css("#email"), house.Email),
		chromedp.SendKeys(css("#password"), house.Password), chromedp.Click(css(`button[value="allow"]`)),
		chromedp.WaitVisible(css("article, .prose")))
	if text := main(); !strings.Contains(text, "The secret is 42") {
		t.Errorf("the vault says %q", text)
	}
	// A logout in the page ends the tenant's session too, and comes back.
	if !chromium.Get(t, browser, chromedp.Evaluate[bool](`document.querySelector(".who button").click() ?? true`)) {
		t.Error("the button of the logout can't be pressed")
	}
	browser.Do(t, chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)))
	if text := main(); !strings.Contains(text, "You are logged out, here and at the provider") {
		t.Errorf("after the logout home says %q", text)
	}
	if r := h.Run("status"); r.Code != 3 {
		t.Errorf("after the page's logout status exits %d", r.Code)
	}
	if complaints := browser.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	for _, host := range browser.Hosts() {
		if !strings.HasPrefix(host, "localhost:") && !strings.HasPrefix(host, "127.0.0.1:") {
			t.Errorf("a request went to %s", host)
		}
	}
}
