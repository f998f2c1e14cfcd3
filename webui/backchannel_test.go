package webui_test

import (
	"net/http"
	"net/url"
	"testing"
)

// A logout by the provider works once, and only with a token about this session.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	client, _ := s.login(t, "/")
	info, err := s.session.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sid := info.Claims.Text("sid")
	post := func(token string) int {
		t.Helper()
		form := url.Values{"logout_token": {token}}
		status, _, header := ask(t, &http.Client{}, http.MethodPost, s.base+"/auth/backchannel-logout", form)
		if header.Get("Cache-Control") != "no-store" {
			t.Error("the response may be cached")
		}
		return status
	}
	token := func(subject, sid string, change func(map[string]any)) string {
		t.Helper()
		raw, err := s.tenant.LogoutToken("tests", subject, sid, change)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, raw := range map[string]string{
		"nothing": "", "garbage": "x.y.z",
		"with a nonce":      token("ada", sid, func(c map[string]any) { c["nonce"] = "n" }),
		"of another client": token("ada", sid, func(c map[string]any) { c["aud"] = "other" }),
	} {
		if got := post(raw); got != 400 {
			t.Errorf("%s gets %d", name, got)
		}
	}
	// A token about somebody else or another session is true, and there is nothing to do.
	for _, raw := range []string{token("charles", "", nil), token("", "another session", nil)} {
		if got := post(raw); got != 200 {
			t.Errorf("about others: %d", got)
		}
	}
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 200 {
		t.Fatalf("the session ended too early: %d", status)
	}
	good := token("ada", sid, nil)
	if got := post(good); got != 200 {
		t.Errorf("a good one gets %d", got)
	}
	if got := post(good); got != 400 {
		t.Errorf("the same again gets %d", got)
	}
	if status, _, _ := ask(t, client, http.MethodGet, s.base+"/protected", nil); status != 401 {
		t.Errorf("the page still shows the user: %d", status)
	}
	if _, err := s.session.Info(t.Context()); err == nil {
		t.Error("the session is still there")
	}
}
