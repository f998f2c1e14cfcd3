package hostile

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/keystore"
)

// gone checks that the session is not stored any more.
func (w *world) gone(t testing.TB) {
	t.Helper()
	if _, err := w.house.Store.Load(context.Background(), w.name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the session is still stored (%v)", err)
	}
}

// Revocation (RFC 7009) and the end of the provider's session (OpenID Connect RP-Initiated Logout 1.0). However the
// provider responds, the stored session is deleted.
func TestLogout(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	for name, c := range house.Some(map[string]trial{
		"good":             {words: "refresh token revoked", requests: map[string]int{Revoke: 1, EndSession: 1}},
		"revoked_html_200": {more: responds(Revoke, 200, html, "<p>done"), words: "refresh token revoked"},
		"revoked_204":      {more: responds(Revoke, 204, "", ""), words: "refresh token revoked"},
		"no_revocation": {
			lies: Lies{Discovery: without("revocation_endpoint")}, words: "the provider has no revocation",
			requests: map[string]int{Revoke: 0},
		},
		"no_end_session": {
			lies: Lies{Discovery: without("end_session_endpoint")}, words: "keeps its own session",
			requests: map[string]int{EndSession: 0},
		},
		"revoke_400": {
			more: responds(Revoke, 400, asJSON, `{"error":"unsupported_token_type"}`), code: 1,
			words: "NOT revoked (the provider refused: unsupported_token_type)", requests: map[string]int{Revoke: 1},
		},
		"revoke_400_empty": {more: responds(Revoke, 400, "", ""), code: 1, words: "NOT revoked"},
		"revoke_401": {
			more: responds(Revoke, 401, asJSON, `{"error":"invalid_client"}`), code: 1,
			words: "NOT revoked (the provider refused: invalid_client",
		},
		"revoke_403_html": {more: responds(Revoke, 403, html, `<p>`), code: 1, words: "NOT revoked"},
		"revoke_404":      {more: responds(Revoke, 404, html, ``), code: 1, words: "NOT revoked"},
		"revoke_503":      {more: responds(Revoke, 503, html, ``), code: 1, words: "NOT revoked"},
		"revoke_redirect": {
			more: redirects(Revoke), code: 1, words: "NOT revoked", requests: map[string]int{Revoke: 1},
		},
		"revoke_error_in_a_200": {
			more: responds(Revoke, 200, asJSON, `{"error":"invalid_request"}`), code: 1, words: "NOT revoked",
		},
		"return_with_more": {lies: Lies{Return: func(q url.Values) { q.Set("more", "1"); q.Set("error", "none") }},
			words: "the provider's session ended", requests: map[string]int{EndSession: 1}},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			w.Lie(c.lies)
			if c.more != nil {
				c.more(w)
			}
			r := m.run(t, "logout")
			if r.Code != c.code || r.Stdout != "" || !strings.Contains(r.Stderr, c.words) ||
				!strings.Contains(r.Stderr, "deleted here") {
				t.Errorf("exit %d: %s", r.Code, r.Stderr)
			}
			w.count(t, c.requests)
			w.gone(t)
			if r := m.run(t, "status"); r.Code != 3 {
				t.Errorf("status: exit %d: %s", r.Code, r.Stderr)
			}
			if r := m.run(t, "logout"); r.Code != 0 {
				t.Errorf("a second logout: exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
}

// The return from the provider's logout must carry the state that was sent there.
func TestLogoutReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.house.Env = append(w.house.Env, "BROWSER=true") // it opens nothing: this test is the browser
	logout := w.house.Start("logout")
	_, end, _ := get(t, logout.Line(t, w.house.Base+"/auth/logout?once="))
	q := end.Query()
	if end.Host != strings.TrimPrefix(w.Issuer(), "http://") || q.Get("client_id") != house.Client ||
		q.Get("post_logout_redirect_uri") != w.house.Base ||
		len(q.Get("state")) < 22 || strings.Count(q.Get("id_token_hint"), ".") != 2 {
		t.Errorf("the end-session request is wrong: %s", end.Redacted())
	}
	_, back, _ := get(t, end.String())
	for name, change := range map[string]func(q url.Values){
		"state_missing": func(q url.Values) { q.Del("state") },
		"state_wrong":   func(q url.Values) { q.Set("state", rand.Text()) },
		"state_twice":   func(q url.Values) { q.Add("state", q.Get("state")) },
	} {
		t.Run(name, func(t *testing.T) {
			forged := *back
			q := forged.Query()
			change(q)
			forged.RawQuery = q.Encode()
			if status, _, page := get(t, forged.String()); status != http.StatusBadRequest ||
				!strings.Contains(page, "Nothing was changed") {
				t.Errorf("the response is %d: %s", status, page)
			}
		})
	}
	t.Run("the_real_one", func(t *testing.T) {
		if status, _, page := get(t, back.String()); status != http.StatusOK || !strings.Contains(page, "logged out") {
			t.Errorf("the response is %d: %s", status, page)
		}
		if line := logout.Line(t, "Logged out"); !strings.Contains(line, "the provider's session ended") {
			t.Errorf("it says %q", line)
		}
		w.gone(t)
	})
}

// Where no browser comes for the link of a logout, the terminal shows it once more.
func TestLogoutLinkAgain(t *testing.T) {
	t.Parallel()
	for _, served := range []string{"alone", "through_serve"} {
		t.Run(served, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			link := w.house.Base + "/auth/logout?once="
			if served == "through_serve" {
				w.house.Serve()
				link = w.house.Base + "/auth/ended?id="
			}
			w.house.Env = append(w.house.Env, "BROWSER=true") // it opens nothing: this test is the browser
			logout := w.house.Start("logout")
			once := logout.Line(t, link)
			logout.Line(t, "No browser has opened the link yet.")
			if again := logout.Line(t, link); again != once {
				t.Errorf("%s is shown after %s", again, once)
			}
			_, end, _ := get(t, once)
			_, back, _ := get(t, end.String())
			get(t, back.String())
			if line := logout.Line(t, "Logged out"); !strings.Contains(line, "the provider's session ended") {
				t.Errorf("it says %q", line)
			}
		})
	}
}

// A provider that returns no state costs no minute: the browser that was led there is known by a cookie. That its
// session ended is not said then.
func TestLogoutReturnWithoutState(t *testing.T) {
	t.Parallel()
	for _, served := range []string{"alone", "through_serve", "through_serve_with_an_app"} {
		t.Run(served, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Lie(Lies{Return: func(q url.Values) { q.Del("state") }})
			switch served {
			case "through_serve":
				w.house.Serve()
			case "through_serve_with_an_app":
				app := httptest.NewServer(http.NotFoundHandler())
				t.Cleanup(app.Close)
				w.house.Serve("--upstream", app.URL)
			}
			r := w.house.Run("logout")
			if r.Code != 0 || !strings.Contains(r.Stderr, "your browser came back from the provider's logout") ||
				strings.Contains(r.Stderr, "session ended") {
				t.Errorf("exit %d: %s", r.Code, r.Stderr)
			}
			w.count(t, map[string]int{Revoke: 1, EndSession: 1})
			w.gone(t)

			w.house.Must("login")
			w.house.Env = append(w.house.Env, "BROWSER=true") // it opens nothing: this test is the browser
			logout := w.house.Start("logout")
			browser, stranger := newBrowser(t), newBrowser(t)
			const back = "You are logged out here, and your browser is back from the provider."
			w.On(EndSession, func(http.ResponseWriter, *http.Request) bool {
				if status, body := stranger.get(t, w.house.Base+"/"); strings.Contains(body, back) {
					t.Errorf("another browser sees %d: %s", status, body)
				}
				return false
			})
			status, body := browser.get(t, logout.Line(t, w.house.Base+"/auth/"))
			if status != http.StatusOK || !strings.Contains(body, back) {
				t.Errorf("the browser that is back sees %d: %s", status, body)
			}
			if line := logout.Line(t, "Logged out"); !strings.Contains(line, "your browser came back") {
				t.Errorf("it says %q", line)
			}
		})
	}
}

// backChannel sends a logout token as the provider would, and returns the status.
func (w *world) backChannel(t testing.TB, token string) int {
	t.Helper()
	return w.post(t, "application/x-www-form-urlencoded", url.Values{"logout_token": {token}}.Encode())
}

func (w *world) post(t testing.TB, kind, body string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(
		ctx, http.MethodPost, w.house.Base+"/auth/backchannel-logout", strings.NewReader(body),
	)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Cache-Control"); got != "no-store" { // section 2.8
		t.Errorf("Cache-Control is %q", got)
	}
	return resp.StatusCode
}

// Back-channel logout (OpenID Connect Back-Channel Logout 1.0, sections 2.4 to 2.8).
func TestBackChannel(t *testing.T) {
	t.Parallel()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	w := newWorld(t)
	w.house.Serve()
	for name, c := range map[string]struct {
		lies   Lies
		change func(map[string]any)
	}{
		"iss_wrong":      {change: set("iss", "https://mallory.example.com")},
		"iss_missing":    {change: without("iss")},
		"aud_wrong":      {change: set("aud", "mallory")},
		"aud_missing":    {change: without("aud")},
		"events_missing": {change: without("events")},
		"events_empty":   {change: set("events", map[string]any{})},
		"events_another": {
			change: set("events", map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}),
		},
		"events_a_list":       {change: set("events", []any{event})},
		"events_a_string":     {change: set("events", event)},
		"event_no_object":     {change: set("events", map[string]any{event: true})},
		"nonce_present":       {change: set("nonce", "n")},
		"nonce_empty":         {change: set("nonce", "")},
		"nonce_null":          {change: set("nonce", nil)},
		"sub_and_sid_missing": {change: func(c map[string]any) { delete(c, "sub"); delete(c, "sid") }},
		"sub_and_sid_empty":   {change: func(c map[string]any) { c["sub"], c["sid"] = "", "" }},
		"jti_missing":         {change: without("jti")},
		"iat_missing":         {change: without("iat")},
		"iat_old":             {change: at("iat", time.Hour)},
		"iat_future":          {change: at("iat", -time.Hour)},
		"exp_missing":         {change: without("exp")},
		"exp_past":            {change: at("exp", 10*time.Minute)},
		"alg_none":            {lies: Lies{Header: set("alg", "none"), Sign: forge.Unsigned}},
		"HS256_public_key":    {lies: Lies{Header: set("alg", "HS256"), Sign: forge.HS256(forge.RS256().PEM()).Sign}},
		"sig_wrong":           {lies: Lies{Sign: forge.OtherRS256().Sign}},
		"payload_unencoded": {lies: Lies{
			Header: func(h map[string]any) { h["crit"], h["b64"] = []any{"b64"}, false }, Sign: signUnencoded,
		}},
		"b64_without_crit":     {lies: Lies{Header: set("b64", true)}},
		"crit_unknown":         {lies: Lies{Header: func(h map[string]any) { h["crit"], h["new"] = []any{"new"}, true }}},
		"typ_of_another_token": {lies: Lies{Header: set("typ", "at+jwt")}},
		"an_id_token": {
			lies:   Lies{Header: set("typ", "JWT")},
			change: func(c map[string]any) { delete(c, "events"); delete(c, "jti"); c["nonce"] = "n" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.Lie(c.lies)
			if status := w.backChannel(t, w.LogoutToken(c.change)); status != http.StatusBadRequest {
				t.Errorf("the response is %d", status)
			}
			w.unharmed(t)
			w.Lie(Lies{})
		})
	}
	for name, c := range map[string]struct{ kind, body string }{
		"no_token":     {"application/x-www-form-urlencoded", "logout_token="},
		"no_parameter": {"application/x-www-form-urlencoded", ""},
		"two_tokens": {
			"application/x-www-form-urlencoded", "logout_token=" + w.LogoutToken(nil) + "&logout_token=" + w.LogoutToken(nil),
		},
		"as_json":         {asJSON, `{"logout_token":"` + w.LogoutToken(nil) + `"}`},
		"not_a_jwt":       {"application/x-www-form-urlencoded", "logout_token=x"},
		"in_pieces":       {"application/x-www-form-urlencoded", "logout_token=%zz"},
		"encrypted_token": {"application/x-www-form-urlencoded", "logout_token=e30.AA.AA.AA.AA"},
	} {
		t.Run(name, func(t *testing.T) {
			if status := w.post(t, c.kind, c.body); status != http.StatusBadRequest {
				t.Errorf("the response is %d", status)
			}
			w.unharmed(t)
		})
	}
	t.Run("in_the_query", func(t *testing.T) {
		status, _, _ := get(t, w.house.Base+"/auth/backchannel-logout?logout_token="+w.LogoutToken(nil))
		if status == http.StatusOK {
			t.Errorf("the response is %d", status)
		}
		w.unharmed(t)
	})
	// A session that does not exist counts as logged out (section 2.7). A logout token works once.
	for name, change := range map[string]func(map[string]any){
		"of_another_person":  func(c map[string]any) { c["sub"] = "charles"; delete(c, "sid") },
		"of_a_login_before":  at("iat", 3*time.Minute),
		"of_another_session": set("sid", "session-of-yesterday"),
		"of_a_session_alone": func(c map[string]any) { c["sid"] = "session-of-charles"; delete(c, "sub") },
	} {
		t.Run(name, func(t *testing.T) {
			token := w.LogoutToken(change)
			if status := w.backChannel(t, token); status != http.StatusOK {
				t.Errorf("the response is %d", status)
			}
			w.unharmed(t)
			if status := w.backChannel(t, token); status != http.StatusBadRequest {
				t.Errorf("the second time the response is %d", status)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		token := w.LogoutToken(nil)
		if status := w.backChannel(t, token); status != http.StatusOK {
			t.Errorf("the response is %d", status)
		}
		w.gone(t)
		house.Refused(t, w.house.Run("status"), 3, "nobody is logged in")
		w.house.Must("login")
		if status := w.backChannel(t, token); status != http.StatusBadRequest {
			t.Errorf("the second time the response is %d", status)
		}
		w.house.Must("status")
	})
	t.Run("good_by_session_alone", func(t *testing.T) {
		if status := w.backChannel(t, w.LogoutToken(without("sub"))); status != http.StatusOK {
			t.Errorf("the response is %d", status)
		}
		w.gone(t)
	})
	t.Run("good_by_subject_alone", func(t *testing.T) {
		w.house.Must("login")
		if status := w.backChannel(t, w.LogoutToken(without("sid"))); status != http.StatusOK {
			t.Errorf("the response is %d", status)
		}
		w.gone(t)
	})
}
