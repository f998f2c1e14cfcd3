package login_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/login"
)

// A short URL leads to the provider as long as its login waits, and to that login alone.
func TestShort(t *testing.T) {
	t.Parallel()
	f := newScene(t).flow(t, login.Config{})
	one, other := begin(t, f, login.Request{CLI: true}), begin(t, f, login.Request{CLI: true})
	lead := func(target string, header ...string) (status int, location string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimPrefix(target, base), nil)
		if len(header) == 2 {
			r.Header.Set(header[0], header[1])
		}
		w := httptest.NewRecorder()
		f.Short(w, r)
		return w.Code, w.Header().Get("Location")
	}
	for _, pending := range []*login.Pending{one, other, one} {
		if short := pending.Short(); len(short) > 100 || !strings.HasPrefix(short, base+login.ShortPath) {
			t.Errorf("%s is no short URL", short)
		}
		if status, location := lead(pending.Short()); status != http.StatusSeeOther || location != pending.URL {
			t.Errorf("%d, to %s", status, location)
		}
	}
	for name, wrong := range map[string]struct {
		target string
		header []string
		want   int
	}{
		"another name": {one.Short() + "x", nil, 404}, "no name": {base + login.ShortPath, nil, 404},
		"ahead": {one.Short(), []string{"Sec-Purpose", "prefetch"}, 503}, "an image": {
			one.Short(), []string{"Sec-Fetch-Dest", "image"}, 403,
		},
	} {
		if status, location := lead(wrong.target, wrong.header...); status != wrong.want || location != "" {
			t.Errorf("%s: %d, to %s", name, status, location)
		}
	}
	f.Drop(one)
	if status, location := lead(one.Short()); status != http.StatusNotFound || location != "" {
		t.Errorf("a login that does not wait: %d, to %s", status, location)
	}
}
