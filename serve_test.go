package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/chromium"
	"github.com/loopkey/loopkey/internal/tenant"
)

// A running is a loopkey that serves or waits, with its stderr at hand.
type running struct {
	cmd   *exec.Cmd
	lines *bufio.Reader
}

// start runs loopkey until the test ends.
func (h *house) start(args ...string) *running {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	stderr, err := cmd.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return &running{cmd: cmd, lines: bufio.NewReader(stderr)}
}

// line returns the next line of stderr that begins with prefix.
func (r *running) line(t testing.TB, prefix string) string {
	t.Helper()
	for {
		line, err := r.lines.ReadString('\n')
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
		if err != nil {
			t.Fatalf("no line of stderr begins with %q: %v", prefix, err)
		}
	}
}

// serve starts the web UI, and returns the one-time URL.
func (h *house) serve(args ...string) string {
	h.t.Helper()
	return h.start(append([]string{"serve", "--no-browser"}, args...)...).line(h.t, h.base+"/auth/enter?")
}

// get asks the web UI as a client with a cookie jar.
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
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if !follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

func TestWhoIsTheBrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must("login")
	oneTime := h.serve()
	stranger, known := newClient(t, false), newClient(t, true)

	if _, body, _ := get(t, stranger, h.base+"/", "text/html"); strings.Contains(body, "Ada") {
		t.Error("a stranger sees who is logged in")
	}
	if status, body, _ := get(t, stranger, h.base+"/protected", "application/json"); status != 401 || strings.Contains(body, "Ada") {
		t.Errorf("a stranger's API client gets %d: %s", status, body)
	}
	if status, _, header := get(t, stranger, h.base+"/protected", "text/html"); status != 303 || header.Get("Location") != "/auth/login?returnTo=%2Fprotected" {
		t.Errorf("a stranger's browser gets %d to %s", status, header.Get("Location"))
	}
	if status, body, _ := get(t, known, oneTime, "text/html"); status != 200 || !strings.Contains(body, "Ada Lovelace") {
		t.Errorf("the one-time URL leads to %d", status)
	}
	if status, _, _ := get(t, stranger, oneTime, "text/html"); status != 403 {
		t.Errorf("a stolen one-time URL used twice gets %d", status)
	}
	if status, body, _ := get(t, known, h.base+"/protected", "application/json"); status != 200 || !strings.Contains(body, `"sub":"ada"`) {
		t.Errorf("the known browser gets %d: %s", status, body)
	}
	token := strings.TrimSpace(h.must("token"))
	if _, body, _ := get(t, known, h.base+"/profile", "text/html"); !strings.Contains(body, "ada@example.com") || strings.Contains(body, token) {
		t.Error("the profile lacks the claims, or shows the token")
	}
	// A second serve finds the first one and gets a new one-time URL.
	again := h.start("serve", "--no-browser").line(t, h.base+"/auth/enter?")
	if status, _, _ := get(t, newClient(t, true), again, "text/html"); status != 200 {
		t.Errorf("the second one-time URL gets %d", status)
	}
	// The terminal's logout makes strangers of all.
	h.must("logout", "--no-browser")
	deadline := time.Now().Add(2 * time.Second)
	for {
		status, _, _ := get(t, known, h.base+"/protected", "application/json")
		if status == 401 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("two seconds after the logout the browser still gets %d", status)
		}
	}
}

// A login from the page, bound to the browser that began it.
func TestLoginFromThePage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.serve()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	ada := tenant.Person{Email: email, Password: password, Jar: jar}
	victim := newClient(t, false)

	// Somebody else's callback in another browser ends nothing.
	stopped := ada
	stopped.StopAt = h.base + "/auth/callback"
	visit, err := stopped.Visit(t.Context(), h.base+"/auth/login?returnTo=/profile")
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
	h.must("token") // the session is one
	if status, body, _ := get(t, client, visit.URL, "text/html"); status != 400 || !strings.Contains(body, `href="/"`) {
		t.Errorf("a used callback gets %d", status)
	}
	// returnTo leads nowhere else.
	for _, evil := range []string{"//evil.example", "/%5Cevil.example", "https:evil.example", "%2F%2Fevil.example"} {
		visit, err := ada.Visit(t.Context(), h.base+"/auth/login?returnTo="+evil)
		if err != nil || !strings.HasPrefix(visit.URL, h.base+"/") {
			t.Errorf("returnTo=%s leads to %v: %v", evil, visit, err)
		}
	}
}

func TestHandOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.serve()
	_, errs, code := h.run("login")
	if code != 0 || !strings.Contains(errs, "Logged in as Ada Lovelace") || !strings.Contains(errs, "through loopkey serve") {
		t.Errorf("login beside serve exits %d: %s", code, errs)
	}
	h.must("token")
	if _, errs, code := h.run("login", "--client-id", "another"); code != 1 || !strings.Contains(errs, "another profile, issuer or client") {
		t.Errorf("login of another client beside serve exits %d: %s", code, errs)
	}
}

func TestPortOfAStranger(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1", "[::1]"} {
		h := newHouse(t)
		port := h.base[strings.LastIndex(h.base, ":"):]
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address+port)
		if err != nil {
			t.Logf("%s: %v", address, err)
			continue
		}
		_, errs, code := h.run("login", "--timeout", "5s")
		_ = listener.Close()
		if code != 1 || !strings.Contains(errs, "is taken by") || !strings.Contains(errs, "--base-url") {
			t.Errorf("%s: exit %d: %s", address, code, errs)
		}
	}
}

// One afternoon with the page in a real browser.
func TestWebUIInChromium(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	h := newHouse(t)
	h.must("login")
	folder := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("welcome.md", "# Welcome\n\n- [x] read this\n")
	write("vault.md", "---\ntitle: Vault\nacr: strong\n---\n# Vault\n\nThe secret is 42.\n")
	oneTime := h.serve("--pages", folder)

	css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
	main := func() string { return chromium.Get(t, browser, chromedp.Text(css("main"))) }
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(css("header .who")))
	if text := main(); !strings.Contains(text, "You are logged in as Ada Lovelace") {
		t.Errorf("home says %q", text)
	}
	browser.Do(t, chromedp.Click(css(`a[href="/profile"].button`)), chromedp.WaitVisible(css("progress")))
	if text := main(); !strings.Contains(text, "ada@example.com") || !strings.Contains(text, "Access token") {
		t.Errorf("the profile says %q", text)
	}
	// The terminal's logout shows on the open page without a reload, and the login back.
	browser.Do(t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`window.stayed = true`))
		return err
	}))
	h.must("logout", "--no-browser")
	browser.Do(t, chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)))
	if text := main(); !strings.Contains(text, "logged out") {
		t.Errorf("after the logout the page says %q", text)
	}
	waiting := h.start("login", "--no-browser")
	authorizationURL := waiting.line(t, h.tenant.Issuer())
	other, closeOther := chromedp.NewContext(browser.Context)
	defer closeOther()
	if err := chromedp.Do(other, chromedp.Navigate(authorizationURL), chromedp.SendKeys(css("#email"), email),
		chromedp.SendKeys(css("#password"), password), chromedp.Click(css(`button[value="allow"]`)), chromedp.WaitVisible(css("main.good"))); err != nil {
		t.Fatal(err)
	}
	browser.Do(t, chromedp.WaitVisible(css("progress")))
	if !chromium.Get(t, browser, chromedp.Evaluate[bool](`window.stayed === true`)) {
		t.Error("the page was reloaded")
	}
	// A page that asks for a stronger login gets it, and is shown then.
	browser.Do(t, chromedp.Navigate(h.base+"/pages/vault"), chromedp.SendKeys(css("#email"), email),
		chromedp.SendKeys(css("#password"), password), chromedp.Click(css(`button[value="allow"]`)), chromedp.WaitVisible(css("article, .prose")))
	if text := main(); !strings.Contains(text, "The secret is 42") {
		t.Errorf("the vault says %q", text)
	}
	// Logout in the page goes through the tenant and comes back.
	browser.Do(t, chromedp.Click(css(".who button")), chromedp.WaitVisible(css(`a.button[href="/auth/login"]`)))
	if text := main(); !strings.Contains(text, "You are logged out, here and at the provider") {
		t.Errorf("after the logout home says %q", text)
	}
	if _, _, code := h.run("status"); code != 3 {
		t.Errorf("after the page's logout status exits %d", code)
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
