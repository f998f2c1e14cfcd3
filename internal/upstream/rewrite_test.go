package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestCookies(t *testing.T) {
	t.Parallel()
	server := guarded(t, Config{URL: app(t, func(w http.ResponseWriter, r *http.Request) {
		for _, cookie := range []string{
			"loopkey_3000=evil", " LOOPKEY_3000=evil; Path=/", "=loopkey_3000=evil", "theirs=ok; Path=/",
			"loopkey_3000_login=; Max-Age=0",
		} {
			w.Header().Add("Set-Cookie", cookie)
		}
		w.Header().Set("Clear-Site-Data", `"cookies", "storage"`)
		w.Header().Set("Loopkey-Upstream", "down")
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		echo(w, r)
	}).URL})
	headers := http.Header{"Cookie": {
		"a=1; loopkey_3000=secret; b=\"2; loopkey_3000_login=x", "=loopkey_3000=y;c=3", "Loopkey_9=z",
	}}
	res, body := send(t, server.URL+"/x", headers)
	var got echoed
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if cookies := got.Headers.Values("Cookie"); len(cookies) != 1 || cookies[0] != `a=1; b="2; c=3` {
		t.Errorf("the app got %q", cookies)
	}
	if cookies := res.Header.Values("Set-Cookie"); !slices.Equal(cookies, []string{"theirs=ok; Path=/"}) {
		t.Errorf("the app set %q", cookies)
	}
	if clears := res.Header.Values("Clear-Site-Data"); !slices.Equal(clears, []string{`"storage"`}) {
		t.Errorf("the app clears %q", clears)
	}
	if res.Header.Get(downHeader) != "" || res.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("%v", res.Header)
	}
	if got := sendEcho(t, server.URL, http.Header{"Cookie": {"loopkey_3000=secret"}}); got.Headers["Cookie"] != nil {
		t.Errorf("%q", got.Headers["Cookie"])
	}

	// An informational response before it carries none either.
	conn := dial(t, server.URL)
	_, _ = fmt.Fprintf(conn, "GET /early HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", conn.RemoteAddr())
	all, err := io.ReadAll(conn)
	sets := strings.Contains(strings.ToLower(string(all)), "loopkey_3000") && strings.Contains(string(all), "evil")
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 103") || sets {
		t.Errorf("%v\n%s", err, all)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	backend := app(t, func(w http.ResponseWriter, r *http.Request) {
		self := "http://" + r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		w.Header().Set("Location", strings.ReplaceAll(r.URL.Query().Get("to"), "SELF", self))
		w.WriteHeader(http.StatusFound)
	})
	server := guarded(t, Config{URL: backend.URL})
	for to, want := range map[string]string{
		"SELF/a%2Fb?c=d#e": "/a%2Fb?c=d#e", "SELF": "/", "SELF//evil.example": "/evil.example",
		`SELF/\evil.example`: "/%5Cevil.example", "/a": "/a", "https://example.com/": "https://example.com/",
	} {
		res, _ := send(t, server.URL+"/?to="+url.QueryEscape(to), nil)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}
