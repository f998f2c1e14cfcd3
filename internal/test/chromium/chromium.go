// Package chromium starts a real browser for tests, and records what it complains about: console errors, exceptions,
// violations of a Content-Security-Policy. It records the hosts of its requests too.
//
// Where no Chromium is installed the test is skipped and says so; with LOOPKEY_TEST_REAL=1 it fails. With -short it is
// skipped in any case.
package chromium

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/part"
)

// A Browser is a headless Chromium with an empty profile of its own.
type Browser struct {
	Context context.Context // chromedp actions run in it

	mu         sync.Mutex
	complaints []string
	hosts      map[string]bool
}

// limit is how long a test may use the browser.
const limit = 10 * time.Minute

// Start starts a browser, and ends it when the test ends.
func Start(t testing.TB, options ...chromedp.ExecAllocatorOption) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts a browser")
	}
	path := find()
	if path == "" {
		part.Missing(t, "no Chromium is installed: the browser's part is not tested")
	}
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.UserDataDir(t.TempDir()),
	}
	allocator, endAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), append(flags, options...)...)
	t.Cleanup(endAllocator)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	// The call that starts the browser must have no time limit of its own: the browser would end with it.
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	ctx, cancel := context.WithTimeout(tab, limit)
	t.Cleanup(cancel)
	b := &Browser{Context: ctx, hosts: map[string]bool{}}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("listening to Chromium: %v", err)
	}
	_, networkErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, runtimeErr := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	if err := errors.Join(networkErr, logErr, runtimeErr); err != nil {
		t.Fatalf("listening to Chromium: %v", err)
	}
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func (b *Browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			b.complaints = append(b.complaints, "console error")
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		// A missing favicon is no fault of a page, and some tests load a 4xx page on purpose.
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			b.complaints = append(b.complaints, string(e.Entry.Source)+": "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if host, ok := strings.CutPrefix(e.Request.URL, "http://"); ok {
			host, _, _ = strings.Cut(host, "/")
			b.hosts[host] = true
		}
	}
}

// Do runs actions, and ends the test if one of them fails.
func (b *Browser) Do(t testing.TB, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.Context, steps...); err != nil {
		t.Fatalf("in Chromium: %v", err)
	}
}

// Get returns the result of an action, and ends the test if the action fails.
func Get[T any](t testing.TB, b *Browser, action chromedp.Action[T]) T {
	t.Helper()
	found, err := chromedp.Run(b.Context, action)
	if err != nil {
		t.Fatalf("in Chromium: %v", err)
	}
	return found
}

// Complaints returns what the browser complained about so far.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

// Hosts returns the hosts that the browser sent requests to.
func (b *Browser) Hosts() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var hosts []string
	for host := range b.hosts {
		hosts = append(hosts, host)
	}
	return hosts
}
