package clients_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
)

// attack is a script that tries all at once by which a page reaches a server, and returns what of it worked. It knows
// the secret. What the page's own server sends in place of the proxy says so.
const attack = `(async (base, secret, rebound) => {
	const host = base.slice("http://".length), inside = "http://loopkey:" + secret + "@" + host, told = [];
	const tried = what => new Promise(done => { setTimeout(done, 2000); what(done); });
	const requested = async (url, options) => {
		try {
			const r = await fetch(url, {credentials: "include", signal: AbortSignal.timeout(20_000), ...options});
			const text = await r.text();
			if (r.ok && !text.includes("mallory") || r.type !== "opaque" && !rebound) {
				told.push([url, options.method, options.mode, r.status].join(" "));
			}
		} catch { }
	};
	const loaded = (url, [tag, attribute]) => tried(done => {
		const e = document.createElement(tag);
		if (tag === "link") e.rel = "stylesheet";
		e.onload = () => { if (tag !== "iframe") told.push(tag + " is loaded"); done(); };
		e.onerror = done;
		e[attribute] = url + "/x";
		document.body.append(e);
	});
	const opened = url => tried(done => {
		const socket = new WebSocket(url.replace("http:", "ws:") + "/ws");
		socket.onopen = () => { told.push("a WebSocket is open"); socket.close(); done(); };
		socket.onerror = done;
	}).catch(() => {});
	const heard = url => tried(done => {
		const events = new EventSource(url + "/events");
		events.onopen = () => { told.push("events are heard"); events.close(); done(); };
		events.onerror = () => { events.close(); done(); };
	});
	const posted = url => tried(done => {
		const frame = document.createElement("iframe"), form = document.createElement("form");
		frame.name = "frame" + Math.random();
		Object.assign(form, {method: "post", action: url + "/x", target: frame.name});
		document.body.append(frame, form);
		frame.onload = done;
		form.submit();
	});
	const all = [];
	for (const url of [base, inside]) {
		for (const headers of [{}, {Authorization: "Bearer " + secret}, {"X-Custom": "1"}]) {
			for (const method of ["GET", "POST", "DELETE"]) {
				for (const mode of ["cors", "no-cors"]) all.push(requested(url + "/x", {method, mode, headers}));
			}
		}
		const tags = [["script", "src"], ["img", "src"], ["iframe", "src"], ["object", "data"], ["link", "href"]];
		for (const tag of tags) all.push(loaded(url, tag));
		all.push(opened(url), heard(url), posted(url));
		navigator.sendBeacon(url + "/x", "beacon");
	}
	await Promise.all(all);
	return told.join("; ");
})(%q, %q, %t)`

// No page reaches the server behind a proxy, not even one that knows the secret: not from another origin, not under a
// name of its own that leads to this machine afterwards (DNS rebinding), and not by an address with the secret in it.
func TestProxyInChromium(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	port := p.addr[strings.LastIndex(p.addr, ":"):]
	browser := chromium.Start(t, chromedp.Flag("host-resolver-rules", "MAP mallory.example 127.0.0.2"))
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>mallory</title><body>mallory`)
	})
	other := httptest.NewServer(page)
	defer other.Close()

	// A name that leads to its owner's server first, and then to the proxy.
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.2"+port)
	if err != nil {
		t.Fatal(err)
	}
	var rebound atomic.Bool
	first := httptest.NewUnstartedServer(page)
	first.Config.SetKeepAlivesEnabled(false)
	first.Start()
	defer first.Close()
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			to := strings.TrimPrefix(first.URL, "http://")
			if rebound.Load() {
				to = p.addr
			}
			go relay(conn, to)
		}
	}()

	try := func(from, base string, rebinds bool) {
		t.Helper()
		browser.Do(t, chromedp.Navigate(from))
		rebound.Store(rebinds)
		script := fmt.Sprintf(attack, base, p.secret, rebinds)
		if told := chromium.Get(t, browser, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise)); told != "" {
			t.Errorf("from %s: %s", from, told)
		}
	}
	p.Tenant.Reset()
	try(strings.Replace(other.URL, "127.0.0.1", "localhost", 1), "http://"+p.addr, false)
	try("http://mallory.example"+port+"/", "http://mallory.example"+port, true)
	browser.Do(t, chromedp.Navigate("http://loopkey:"+p.secret+"@"+p.addr+"/x"))
	for _, r := range p.last() {
		t.Errorf("the server is sent %s %s", r.Method, r.URL)
	}
	if denied, tokens := p.server.Denied(), p.Tenant.Requests("token"); denied != 0 || tokens != 0 {
		t.Errorf("%d requests without a token, %d renewals", denied, tokens)
	}
	if r, body := p.ask(t, with("GET /x")); r.StatusCode != http.StatusOK {
		t.Errorf("a program gets %d: %s", r.StatusCode, body)
	}
}

// relay passes on what comes on a connection, to a server and back.
func relay(conn net.Conn, to string) {
	defer conn.Close()
	server, err := net.Dial("tcp", to) //nolint:noctx // both end with the test
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, conn) }()
	_, _ = io.Copy(conn, server)
}
