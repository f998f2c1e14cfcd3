package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/axe"
	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
)

var update = flag.Bool("update", false, "draw docs/pictures again")

// Every page, in light and dark, passes the accessibility rules of axe, and makes sense to who hears it, in a narrow
// window, in forced colours and without scripts. With -update the pictures of docs/web-ui.md are drawn.
func TestPages(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("two browsers open every page")
	}
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			browser := chromium.Start(t)
			h := house.WithTenant(t)
			folder := t.TempDir()
			writeHandbook(t, folder)
			browser.Do(t, prefer(scheme), chromedp.EmulateViewport(1000, 720))
			with := map[string][]string{}
			check := func(name string) {
				t.Helper()
				axe.Check(t, browser)
				if scheme == "light" {
					with[name] = shown(t, browser)
					checkNarrow(t, browser)
				}
				if scheme == "light" && name != "tenant" {
					axe.CheckTree(t, browser)
				}
				picture := chromium.Get(t, browser, chromedp.CaptureScreenshot())
				if len(picture) == 0 {
					t.Errorf("no picture of %s", name)
				}
				if *update {
					if err := os.WriteFile(filepath.Join("docs", "pictures", name+"-"+scheme+".png"), picture, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
			waiting := h.Start("login", "--no-browser")
			browser.Do(t, chromedp.Navigate(waiting.Line(t, h.Tenant.Issuer())), chromedp.WaitVisible(css("#email")))
			check("tenant")
			browser.Do(t, chromedp.SendKeys(css("#email"), house.Email), chromedp.SendKeys(css("#password"), house.Password),
				chromedp.Click(css(`button[value="allow"]`)), chromedp.WaitVisible(css("main.good")))
			check("callback")
			waiting.Line(t, "The access token")
			_ = waiting.Cmd.Wait()
			serving := h.Start("serve", "--no-browser", "--pages", folder)
			oneTime := serving.Line(t, h.Base+"/auth/enter?")
			browser.Do(t, chromedp.Navigate(h.Base+"/"), chromedp.WaitVisible(css("main")))
			check("logged-out")
			browser.Do(t, chromedp.Navigate(h.Base+"/auth/login?prompt=login"), chromedp.WaitVisible(css("#email")),
				chromedp.Click(css(`button[value="deny"]`)), chromedp.WaitVisible(css(`a[href^="/auth/login"]`)))
			check("declined")
			browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(css("header .who")))
			for _, page := range guarded {
				browser.Do(t, chromedp.Navigate(h.Base+page.path), chromedp.WaitVisible(css("main")))
				check(page.name)
			}
			if scheme == "light" {
				checkWithoutScripts(t, browser, h, with)
			}
			// Code is copied by a button, or selected where the browser lets no page write to the clipboard.
			browser.Do(t, chromedp.Navigate(h.Base+"/protected"), chromedp.Click(css(".copyable button")),
				chromedp.WaitVisible(css(".copyable button.done")))
			if complaints := browser.Complaints(); len(complaints) > 0 {
				t.Errorf("the browser complains: %q", complaints)
			}
			// An open page says that the server is gone.
			_ = serving.Cmd.Process.Signal(os.Interrupt)
			browser.Do(t, chromedp.WaitVisible(css(".gone")))
			isTold := func(s axe.Spoken) bool { return s.Role == "alert" && s.Live == "assertive" }
			if !slices.ContainsFunc(axe.Tree(t, browser), isTold) {
				t.Error("a screen reader is not told that the server is gone")
			}
			check("gone")
		})
	}
}

// writeHandbook writes the pages that the tests look at.
func writeHandbook(t *testing.T, folder string) {
	t.Helper()
	for name, text := range map[string]string{
		"index.md": "# Handbook\n\nWhat we agreed on, for everybody who is on call.[^1]\n\n## Where to begin\n\n" +
			"The [runbook](on-call/runbook.md) comes first.\n\n## Who is on call\n\n" +
			"| service | owner |\n| --- | --- |\n| orders | Ada |\n| invoices | Charles |\n\n" +
			"## How to deploy\n\n```sh\nloopkey exec -- ./deploy.sh\n```\n\n[^1]: In the meeting of May.\n",
		"team.csv":           "name,role,since\nAda,lead,1833\nCharles,builder,1822\n",
		"on-call/network.md": "# The network\n\nHow packets travel while the pager is silent.\n",
		"on-call/runbook.md": "# Runbook\n\nWhat to do when the pager rings.\n\n" +
			"- [x] breathe\n- [ ] look at the dashboard\n\n" +
			"| service | owner |\n| --- | --- |\n| orders | Ada |\n| invoices | Charles |\n\n" +
			"```sh\nloopkey exec -- ./rollback.sh\n```\n",
	} {
		name = filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// guarded are the pages for a browser that is logged in.
var guarded = []struct{ path, name string }{
	{"/", "home"}, {"/profile", "profile"}, {"/protected", "protected"}, {"/pages/", "pages"},
	{"/pages/on-call/runbook", "page"}, {"/pages/?q=pager", "search"}, {"/pages/team.csv?view", "preview"},
	{"/auth/logout", "logout"}, {"/nowhere", "not-found"},
}

// checkNarrow tests that the page needs no scrolling from side to side on 320 pixels, on which a window of 1280 is at a
// zoom of 400 %, and that in forced colours, which have no backgrounds, what one can press or should see has an edge.
func checkNarrow(t *testing.T, browser *chromium.Browser) {
	t.Helper()
	address := chromium.Get(t, browser, chromedp.Location())
	browser.Do(t, chromedp.EmulateViewport(320, 720))
	if wide := chromium.Get(t, browser, chromedp.Evaluate[int]("document.documentElement.scrollWidth")); wide > 320 {
		t.Errorf("%s is %d pixels wide on 320", address, wide)
	}
	browser.Do(t, chromedp.EmulateViewport(1000, 720), emulate("forced-colors", "active"))
	const edgeless = `[...document.querySelectorAll(
			"button, .button, input:not([type=checkbox]), progress, .chip, .avatar, .card")]
		.filter(e => e.checkVisibility() && parseFloat(getComputedStyle(e).borderTopWidth) === 0).map(e => e.outerHTML)`
	for _, element := range chromium.Get(t, browser, chromedp.Evaluate[[]string](edgeless)) {
		t.Errorf("%s: in forced colours nobody sees where this is: %s", address, element)
	}
	browser.Do(t, prefer("light"))
}

// shown returns the lines of text on the page, without the button of a script and what a script counts down.
func shown(t *testing.T, browser *chromium.Browser) []string {
	t.Helper()
	text := chromium.Get(t, browser, chromedp.Evaluate[string]("document.body.innerText"))
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return line == "Copy" || strings.Contains(line, " left")
	})
}

// checkWithoutScripts tests that every guarded page says without scripts what it says with them, and that what one does
// there works by forms.
func checkWithoutScripts(t *testing.T, browser *chromium.Browser, h *house.House, with map[string][]string) {
	t.Helper()
	css := func(s string) chromedp.CSS { return chromedp.CSS(s) }
	disabled := func(value bool) chromedp.Action[chromedp.Void] {
		return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled,
				emulation.SetScriptExecutionDisabledParams{Value: value})
			return err
		})
	}
	browser.Do(t, disabled(true))
	for _, page := range guarded {
		browser.Do(t, chromedp.Navigate(h.Base+page.path), chromedp.WaitVisible(css("main")))
		if without := shown(t, browser); len(without) < 3 || !slices.Equal(without, with[page.name]) {
			t.Errorf("%s without scripts: %q, and with them: %q", page.name, without, with[page.name])
		}
	}
	h.Tenant.Reset()
	browser.Do(t, chromedp.Navigate(h.Base+"/pages/"), chromedp.SendKeys(css(`input[name="q"]`), "pager"),
		chromedp.Click(css(".search button")), chromedp.WaitVisible(css(".found")),
		chromedp.Navigate(h.Base+"/"), chromedp.WaitVisible(css(".session")))
	if !chromium.Get(t, browser, chromedp.Evaluate[bool](`!!(document.querySelector(".session").dataset.before = "1")`)) {
		t.Error("the page before the renewal can't be marked")
	}
	browser.Do(t, chromedp.Click(css(".session form button")), chromedp.WaitVisible(css(".session:not([data-before])")),
		disabled(false))
	if got := h.Tenant.Requests("token"); got != 1 {
		t.Errorf("the button that renews makes %d requests", got)
	}
}

// prefer makes the browser prefer a color scheme.
func prefer(scheme string) chromedp.Action[chromedp.Void] {
	return emulate("prefers-color-scheme", scheme)
}

// emulate gives a media feature a value, and no other.
func emulate(feature, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
		})
		return err
	})
}

// An app behind the guard works in a real browser, with a WebSocket.
func TestUpstreamInChromium(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/socket" {
			echo(t, w, r)
			return
		}
		for _, cookie := range r.Cookies() {
			if strings.HasPrefix(cookie.Name, "loopkey_") {
				t.Error("the app got loopkey's cookie")
			}
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><title>app</title><main>` + r.Header.Get("X-Forwarded-Email") + `</main><script>
			const socket = new WebSocket("ws://" + location.host + "/socket");
			socket.onopen = () => socket.send("hello");
			socket.onmessage = (m) => { document.querySelector("main").id = "heard-" + m.data; };</script>`))
	}))
	t.Cleanup(app.Close)
	browser := chromium.Start(t)
	h := house.WithTenant(t)
	h.Must("login")
	oneTime := h.Serve("--upstream", app.URL)
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(chromedp.CSS("#heard-hello")),
		chromedp.Navigate(h.Base+"/app"), chromedp.WaitVisible(chromedp.CSS("#heard-hello")))
	if text := chromium.Get(t, browser, chromedp.Text(chromedp.CSS("main"))); text != house.Email {
		t.Errorf("the app was told that %q is here", text)
	}
	// loopkey's own routes come before those of the app.
	browser.Do(t, chromedp.Navigate(h.Base+"/profile"), chromedp.WaitVisible(chromedp.CSS("progress")))
	if complaints := browser.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

// echo accepts a WebSocket and sends its first short message back (RFC 6455).
func echo(t *testing.T, w http.ResponseWriter, r *http.Request) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, _ = stream.WriteString("HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	_ = stream.Flush()
	head := make([]byte, 6) // two bytes of frame, four of mask
	if _, err := io.ReadFull(stream, head); err != nil {
		return
	}
	message := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(stream, message); err != nil {
		return
	}
	for i := range message {
		message[i] ^= head[2+i%4]
	}
	_, _ = stream.Write(append([]byte{0x81, byte(len(message))}, message...))
	_ = stream.Flush()
	_, _ = stream.ReadByte() // until the page is left
}
