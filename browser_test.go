package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A login in a real browser, through the tenant's own pages.
func TestLoginInChromium(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	h := house.WithTenant(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, "login", "--no-browser")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	authorizationURL := ""
	for !strings.HasPrefix(authorizationURL, h.Tenant.Issuer()) {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the URL was not printed: %v", err)
		}
		authorizationURL = strings.TrimSpace(line)
	}
	browser.Do(t,
		chromedp.Navigate(authorizationURL),
		chromedp.SendKeys(chromedp.CSS("#email"), house.Email),
		chromedp.SendKeys(chromedp.CSS("#password"), house.Password),
		chromedp.Click(chromedp.CSS(`button[value="allow"]`)),
		chromedp.WaitVisible(chromedp.CSS("main.good")),
	)
	text := chromium.Get(t, browser, chromedp.Text(chromedp.CSS("main")))
	address := chromium.Get(t, browser, chromedp.Location())
	if !strings.Contains(text, "You are logged in as Ada Lovelace") || !strings.Contains(text, "close this tab") {
		t.Errorf("the page says %q", text)
	}
	if !strings.HasPrefix(address, h.Base+"/auth/done?") || strings.Contains(address, "code=") ||
		strings.Contains(address, "state=") {
		t.Errorf("the address bar shows %s", address)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("login: %v: %s", err, rest)
	}
	if !strings.Contains(string(rest), "Logged in as Ada Lovelace <ada@example.com>") {
		t.Errorf("the terminal says %q", rest)
	}
	if complaints := browser.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	h.Must("token")
}
