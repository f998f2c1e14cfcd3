package hostile

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/loopkey/loopkey/internal/test/chromium"
	"github.com/loopkey/loopkey/internal/test/house"
)

// A page on another port, in the browser that is logged in, can read and frame nothing of ours, and ends nothing. The
// browser sends our cookies with all of its requests, since cookies know no port.
func TestNeighbourInChromium(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Must("login")
	oneTime := h.Serve()
	neighbour := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>neighbour</title>
			<form id=f method=post action="%s/auth/logout" target=inner></form><iframe name=inner></iframe>`, h.Base)
	}))
	defer neighbour.Close()
	attack := `(async () => {
		const base = ` + fmt.Sprintf("%q", h.Base) + `, told = [];
		const tried = what => new Promise(done => { what(done); setTimeout(() => done("in vain"), 3000); });
		for (const path of ["/", "/profile", "/protected", "/auth/picture", "/auth/events", "/auth/logout", "/auth/login",
			"/auth/callback?error=x&state=y"]) {
			for (const options of [{}, {method: "POST"}, {method: "POST", headers: {"X-Custom": "1"}}, {method: "DELETE"}]) {
				try {
					const r = await fetch(base + path, {credentials: "include", ...options});
					told.push(options.method + path + " is read: " + r.status);
				} catch { }
			}
			try {
				const r = await fetch(base + path, {credentials: "include", mode: "no-cors"});
				if (r.status || await r.text()) told.push(path + " is read blindly");
			} catch { }
		}
		const stream = new EventSource(base + "/auth/events", {withCredentials: true});
		const events = await tried(done => {
			stream.onopen = () => done("open");
			stream.onerror = () => done("error");
		});
		if (events === "open") told.push("the events are heard");
		stream.close();
		for (const tag of ["script", "img", "link"]) {
			const e = document.createElement(tag);
			if (tag === "link") {
				e.rel = "stylesheet";
				e.href = base + "/protected";
			} else {
				e.src = base + (tag === "img" ? "/auth/picture" : "/protected");
			}
			const outcome = await tried(done => {
				e.onload = () => done("loaded");
				e.onerror = () => done("error");
				document.head.append(e);
			});
			if (outcome === "loaded") told.push(tag + " is loaded");
		}
		for (const path of ["/", "/profile", "/protected", "/auth/login", "/auth/logout"]) {
			const frame = document.createElement("iframe");
			frame.src = base + path;
			await tried(done => { frame.onload = () => done(""); document.body.append(frame); });
			try {
				if (frame.contentDocument.body.textContent.includes("Ada")) told.push(path + " is read in a frame");
			} catch { }
			if (frame.contentWindow.length > 0) told.push(path + " has frames");
		}
		await tried(done => {
			document.getElementsByName("inner")[0].onload = () => done("");
			document.getElementById("f").submit();
		});
		const own = await (await fetch(location.href)).text();
		if (!own.includes("neighbour")) told.push("nothing is read at all: was anything tried?");
		document.cookie = "loopkey_` + h.Base[strings.LastIndex(h.Base, ":")+1:] + `=forged; path=/auth";
		return told.join("; ");
	})()`
	browser.Do(t, chromedp.Navigate(oneTime), chromedp.WaitVisible(chromedp.CSS("header .who")))
	browser.Do(t, chromedp.Navigate(strings.Replace(neighbour.URL, "127.0.0.1", "localhost", 1)))
	if told := chromium.Get(t, browser, chromedp.Evaluate[string](attack, chromedp.EvalAwaitPromise)); told != "" {
		t.Error(told)
	}
	browser.Do(t, chromedp.Navigate(h.Base+"/profile"), chromedp.WaitVisible(chromedp.CSS("header .who")))
	h.Must("token", "--force-refresh")
}
