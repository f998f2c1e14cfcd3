package webui_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Any server on localhost can add a cookie of our name, which shadows ours on some of our paths.
func TestShadowedCookie(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mine := func() string {
		t.Helper()
		known, _ := s.login(t, "/")
		u, err := url.Parse(s.base)
		if err != nil {
			t.Fatal(err)
		}
		return known.Jar.Cookies(u)[0].String()
	}
	first := mine()
	cookie := mine() // a new login is a new session, for which the first browser is a stranger
	name, _, _ := strings.Cut(cookie, "=")
	status := func(cookies string) int {
		t.Helper()
		got, _, _ := ask(t, &http.Client{}, http.MethodGet, s.base+"/protected", nil, "Cookie", cookies)
		return got
	}
	for cookies, want := range map[string]int{
		cookie: 200, name + "=planted; " + cookie: 200, cookie + "; " + name + "=planted": 200,
		cookie + "; " + cookie: 200, name + "=; " + cookie + "; " + first: 200,
		name + "=planted": 401, first: 401, name + "=planted; " + name + "=too": 401, "": 401,
	} {
		if got := status(cookies); got != want {
			t.Errorf("%q: %d, not %d", cookies, got, want)
		}
	}
	oneTime, _ := s.server.OneTimeURL()
	_, _, header := ask(t, newClient(nil), http.MethodGet, oneTime, nil)
	other, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
	if got := status(other); got != 200 {
		t.Errorf("a second browser that is known: %d", got)
	}
	if got := status(cookie + "; " + other); got != 401 {
		t.Errorf("two that are known: %d", got)
	}
}
