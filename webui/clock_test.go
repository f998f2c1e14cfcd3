package webui_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// A clock that was hours ahead is set right. What was noted before counts as none: a login is not newer than what the
// provider says of it now, a keystore that could not be asked is asked again, a one-time URL is used no longer.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ahead.Store(int64(2 * time.Hour))
	client, _ := s.login(t, "/")
	oneTime, _ := s.server.OneTimeURL()
	info, err := s.session.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	logout := func(subject string) int {
		token, err := s.tenant.LogoutToken("tests", subject, info.Claims.Text("sid"), nil)
		if err != nil {
			t.Fatal(err)
		}
		form := url.Values{"logout_token": {token}}
		status, _, _ := ask(t, newClient(nil), http.MethodPost, s.base+"/auth/backchannel-logout", form)
		return status
	}
	s.store.locked.Store(true)
	logout("charles") // the server reads the session, in vain
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/profile", nil); status != http.StatusServiceUnavailable {
		t.Fatalf("a locked keystore: %d", status)
	}
	s.store.locked.Store(false)
	s.ahead.Store(0)
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/profile", nil); status != http.StatusOK {
		t.Errorf("the keystore is not asked again: %d", status)
	}
	if status, _, _ := ask(t, newClient(nil), http.MethodGet, oneTime, nil); status != http.StatusForbidden {
		t.Errorf("the one-time URL gets %d", status)
	}
	status := logout("ada")
	if _, err := s.session.Info(t.Context()); status != http.StatusOK || err == nil {
		t.Errorf("the logout of the provider gets %d, and the session is there: %t", status, err == nil)
	}
}
