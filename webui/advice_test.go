package webui_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/webui"
)

// Pages say what to do in the words of the program that they are part of, and nothing where it has none.
func TestAdviceOnPages(t *testing.T) {
	t.Parallel()
	s := newScene(t, func(_ *scene, cfg *webui.Config) {
		cfg.Hint = "Try `demo <b>` too."
		cfg.Advice = func(err error) string {
			switch {
			case err == nil:
				t.Error("advice is asked for about no error")
			case errors.Is(err, webui.ErrUnknownBrowser):
				return "logged in? `demo open` knows"
			case errors.Is(err, webui.ErrLinkUsed):
				return "run demo open"
			}
			return ""
		}
	})
	silent := newScene(t)
	known, _ := s.login(t, "/")
	stranger := newClient(nil)
	for name, c := range map[string]struct {
		client    *http.Client
		path      string
		says, not string
	}{
		"a stranger's start page": {stranger, "/", "Logged in? <code>demo open</code> knows.", "Try"},
		"the user's start page":   {known, "/", "Try <code>demo &lt;b&gt;</code> too.", "demo open"},
		"a used link":             {stranger, "/auth/enter?once=x", "Run demo open.", "Try"},
		"nowhere":                 {known, "/nowhere", "It may have been moved", "demo"},
	} {
		_, body, _ := ask(t, c.client, http.MethodGet, s.base+c.path, nil, "Accept", "text/html")
		if !strings.Contains(body, c.says) || strings.Contains(body, c.not) {
			t.Errorf("%s: %s", name, body)
		}
		_, body, _ = ask(t, stranger, http.MethodGet, silent.base+c.path, nil, "Accept", "text/html")
		if strings.Contains(body, "<code>") || strings.Contains(body, "demo") {
			t.Errorf("%s, without advice: %s", name, body)
		}
	}
}
