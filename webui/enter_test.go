package webui_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
)

// The form of a one-time URL that may stand in an argument list works for this user's connections alone, and neither
// form can be made to work as the other.
func TestOwnURL(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	oneTime, entered := s.server.OneTimeURL()
	_, other := s.server.OneTimeURL()
	own := handoff.OwnURL(oneTime)
	if strings.Contains(own, oneTime[strings.Index(oneTime, "=")+1:]) {
		t.Fatalf("%s shows the secret of %s", own, oneTime)
	}
	for _, wrong := range []string{
		strings.Replace(own, "?own=", "?once=", 1), strings.Replace(oneTime, "?once=", "?own=", 1), own + "x",
	} {
		if status, _, header := ask(t, newClient(nil), http.MethodGet, wrong, nil); status != 403 ||
			len(header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s gets %d", wrong, status)
		}
	}
	// From where nobody knows.
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, own, nil)
	s.server.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || len(w.Header().Values("Set-Cookie")) > 0 {
		t.Errorf("a connection of no known user gets %d", w.Code)
	}
	if !localhost.TellsPeers {
		return
	}
	select {
	case <-entered:
		t.Error("nobody has entered")
	default:
	}
	if status, _, _ := ask(t, newClient(nil), http.MethodGet, own, nil); status != http.StatusSeeOther {
		t.Errorf("%s gets %d", own, status)
	}
	<-entered
	select {
	case <-other:
		t.Error("nobody has opened the other link")
	default:
	}
	for _, used := range []string{own, oneTime} {
		if status, _, _ := ask(t, newClient(nil), http.MethodGet, used, nil); status != 403 {
			t.Errorf("%s once more gets %d", used, status)
		}
	}
}
