package login_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/tenant"
)

// A provider that refuses several audiences, or any parameter that comes twice, is asked for one, by the same browser.
// Where the request is pushed, the refusal comes before there is a URL. A refusal of that one is the end.
func TestAsksLess(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]tenant.Config{
		"sent": {OneResource: true}, "pushed": {OneResource: true, RequirePAR: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := sceneOf(t, cfg).flow(t, login.Config{})
			pending := begin(t, f, login.Request{CLI: true, Share: true, Wanted: login.Wanted{
				Audience: "https://a/", Audiences: []string{"https://b/"},
			}})
			end := respond(t, pending)
			if !cfg.RequirePAR {
				if got := parse(pending.URL)["resource"]; !slices.Equal(got, []string{"https://a/", "https://b/"}) {
					t.Errorf("asked for %q", got)
				}
				w := call(t, f, parse(end).Encode())
				if w.Code != http.StatusSeeOther {
					t.Fatalf("the refusal: %d", w.Code)
				}
				next := w.Header().Get("Location")
				if got := parse(next)["resource"]; !slices.Equal(got, []string{"https://a/"}) {
					t.Errorf("then asked for %q", got)
				}
				end = respond(t, &login.Pending{URL: next})
			}
			call(t, f, parse(end).Encode())
			tokens, err := pending.Wait(t.Context())
			if err != nil || tokens.Audience != "https://a/" || len(tokens.Audiences) != 0 {
				t.Errorf("got %v, %v", tokens, err)
			}
		})
	}
	f := newScene(t).flow(t, login.Config{})
	pending := begin(t, f, login.Request{CLI: true, Wanted: login.Wanted{Audiences: []string{"https://a/", "https://b/"}}})
	refusal := func(url string) string { // of a provider that takes no parameter twice
		return newQuery(url, "error", "invalid_request").Encode()
	}
	w := call(t, f, refusal(pending.URL))
	call(t, f, refusal(w.Header().Get("Location")))
	if _, err := pending.Wait(t.Context()); err == nil {
		t.Error("a login that was refused twice worked")
	}
}

// newQuery returns a response to an authorization request.
func newQuery(request, name, value string) url.Values {
	return url.Values{"state": parse(request)["state"], name: {value}}
}
