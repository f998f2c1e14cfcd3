package hostile

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// Responses to a refresh request (OpenID Connect Core 1.0, section 12.2; RFC 6749, section 6). After each lie the
// session is as it was, except for a rotated refresh token.
func TestRenewal(t *testing.T) {
	t.Parallel()
	renew := []string{"token", "--force-refresh"}
	once := map[string]int{Token: 1, Authorize: 0, UserInfo: 0, Revoke: 0}
	claims := func(change func(map[string]any), words string) trial {
		return trial{lies: Lies{Claims: change}, args: renew, words: words, requests: once}
	}
	tokens := func(change func(map[string]any), words string) trial {
		return trial{lies: Lies{Token: change}, args: renew, words: words, requests: once}
	}
	responded := func(status int, kind, body, words string) trial {
		return trial{more: responds(Token, status, kind, body), args: renew, words: words, requests: once}
	}
	unreachable := func(status int, body string) trial {
		c := responded(status, asJSON, body, "can't be reached")
		c.code = 1
		return c
	}
	factor := func(body string) trial {
		c := responded(403, asJSON, body, "opens the browser for it")
		c.code = 3
		return c
	}
	newWorlds(t).refuse(t, map[string]trial{
		"mfa_required": factor(`{"error":"mfa_required","error_description":"\u001b[2J","mfa_token":"` +
			strings.Repeat("x", 1<<16) + `"}`),
		"mfa_required_without_a_token": factor(`{"error":"mfa_required"}`),

		"sub_wrong":       claims(set("sub", "mallory"), "subject"),
		"sub_missing":     claims(without("sub"), "subject"),
		"iss_wrong":       claims(set("iss", "https://mallory.example.com"), "issuer"),
		"iss_missing":     claims(without("iss"), "issuer"),
		"aud_wrong":       claims(set("aud", "mallory"), "audience"),
		"aud_missing":     claims(without("aud"), "audience"),
		"aud_two_no_azp":  claims(set("aud", []any{house.Client, "mallory"}), "authorized party"),
		"azp_wrong":       claims(set("azp", "mallory"), "authorized party"),
		"nonce_other":     claims(set("nonce", "of another login"), "another login"),
		"auth_time_other": claims(at("auth_time", time.Hour), "authentication time"),
		"auth_time_issue": claims(func(c map[string]any) { // later than the login even if that was in this second
			later := time.Now().Add(10 * time.Second).Unix()
			c["iat"], c["auth_time"] = later, later
		}, "authentication time"),
		"auth_time_future": claims(at("auth_time", -time.Hour), "authentication time"),
		"exp_past":         claims(at("exp", 10*time.Minute), "expired"),
		"iat_missing":      claims(without("iat"), "issued"),
		"iat_future":       claims(at("iat", -time.Hour), "in the future"),
		"at_hash_wrong":    claims(set("at_hash", forge.RS256().AccessTokenHash("another")), "access token hash"),
		"sig_wrong":        {lies: Lies{Sign: forge.OtherRS256().Sign}, args: renew, words: "signature", requests: once},
		"alg_none": {
			lies: Lies{Header: set("alg", "none"), Sign: forge.Unsigned}, args: renew, words: "algorithm", requests: once,
		},
		"HS256_public_key": {
			lies: Lies{Header: set("alg", "HS256"), Sign: forge.HS256(forge.RS256().PEM()).Sign}, args: renew,
			words: "algorithm", requests: once,
		},
		"kid_unknown": {
			lies: Lies{Header: set("kid", "garbage")}, args: renew, words: "signature",
			requests: map[string]int{Token: 1, Keys: 1},
		},
		"id_token_not_a_jwt": tokens(set("id_token", "opaque"), "no signed JWT"),
		"id_token_asked_for": {
			lies: Lies{Claims: set("sub", "mallory")}, args: []string{"token", "--id-token", "--force-refresh"},
			words: "subject", requests: once,
		},

		"token_type_DPoP":      tokens(set("token_type", "DPoP"), "bound to a key: run loopkey login --dpop,"),
		"token_type_missing":   tokens(without("token_type"), "token type"),
		"access_token_missing": tokens(without("access_token"), "no access token"),
		"access_token_newline": tokens(set("access_token", "a\nb"), "characters"),
		"expires_in_negative":  tokens(set("expires_in", -1), "expires_in"),
		"refresh_token_a_list": tokens(set("refresh_token", []any{"a"}), "JSON"),

		"invalid_client":      responded(401, asJSON, `{"error":"invalid_client"}`, "invalid_client"),
		"invalid_request":     responded(400, asJSON, `{"error":"invalid_request"}`, "invalid_request"),
		"invalid_scope":       responded(400, asJSON, `{"error":"invalid_scope"}`, "--scope"),
		"unauthorized_client": responded(403, asJSON, `{"error":"unauthorized_client"}`, "Grant Types"),
		"error_an_object": responded(
			400, asJSON, `{"error":{"code":"broken","message":"in pieces"}}`, "broken: in pieces",
		),
		"error_empty_body": responded(400, "", ``, "replied with HTTP 400"),
		"error_html":       responded(403, html, `<title>Blocked</title>`, "replied with HTTP 403"),
		"html":             responded(200, html, `<title>Login</title>`, "JSON"),
		"empty":            responded(200, asJSON, ``, "JSON"),
		"redirect":         {more: redirects(Token), args: renew, words: "not followed", requests: once},
		"server_error":     unreachable(500, `{"error":"invalid_grant"}`),
		"unavailable":      unreachable(503, ``),
	})
}

// A renewed ID token is compared with that of the login, even if the one in between lacked the claim.
func TestRenewalAfterARenewal(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	for name, c := range map[string]struct {
		change func(map[string]any)
		words  string
	}{
		"nonce_other":     {set("nonce", "of another login"), "belongs to another login"},
		"auth_time_other": {at("auth_time", time.Hour), "another authentication"},
		"sub_other":       {set("sub", "mallory"), "another person"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			w.Lie(Lies{Claims: func(c map[string]any) { delete(c, "nonce"); delete(c, "auth_time") }})
			if r := m.run(t, "token", "--force-refresh"); r.Code != 0 {
				t.Fatalf("exit %d: %s", r.Code, r.Stderr)
			}
			w.was = w.stored(t)
			w.Lie(Lies{Claims: c.change})
			house.Refused(t, m.run(t, "token", "--force-refresh"), 4, c.words)
			w.unharmedButRotated(t)
		})
	}
}

// Unusual responses that are valid. The next renewal works too.
func TestRenewalAccepted(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	for name, l := range house.Some(map[string]Lies{
		"no_new_refresh_token": {Token: without("refresh_token")},
		"no_id_token":          {Token: without("id_token")},
		"no_scope":             {Token: without("scope")},
		"scope_narrower":       {Token: set("scope", "openid")},
		"expires_in_missing":   {Token: without("expires_in")},
		"token_type_bearer":    {Token: set("token_type", "bearer")},
		"auth_time_missing":    {Claims: without("auth_time")},
		"auth_time_later":      {Claims: at("auth_time", -5*time.Second)},
		"at_hash_missing":      {Claims: without("at_hash")},
		"aud_a_list":           {Claims: set("aud", []any{house.Client})},
		"nonce_missing":        {Claims: without("nonce")},
		"iat_of_the_first":     {Claims: at("iat", 0)},
		"fewer_claims":         {Claims: func(c map[string]any) { delete(c, "name"); delete(c, "email"); delete(c, "sid") }},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			w.Lie(l)
			var seen []string
			for range 2 {
				r := m.run(t, "token", "--force-refresh")
				token := strings.TrimSpace(r.Stdout)
				if r.Code != 0 || r.Stderr != "" || slices.Contains(seen, token) || !slices.Contains(w.Secrets(), token) {
					t.Fatalf("exit %d, stdout %q: %s", r.Code, r.Stdout, r.Stderr)
				}
				seen = append(seen, token)
			}
			w.count(t, map[string]int{Token: 2, UserInfo: 0})
			if name != "scope_narrower" {
				return
			}
			var token struct{ Scope string }
			if err := json.Unmarshal([]byte(m.run(t, "token", "-o", "json").Stdout), &token); err != nil ||
				token.Scope != "openid" {
				t.Errorf("the scope is said to be %q (%v)", token.Scope, err)
			}
		})
	}
}

// After invalid_grant, in whatever form, there are no more refresh requests, and the access token is used until it
// expires.
func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	for name, c := range house.Some(map[string]struct {
		status int
		body   string
	}{
		"invalid_grant":           {400, `{"error":"invalid_grant","error_description":"expired"}`},
		"invalid_grant_403":       {403, `{"error":"invalid_grant"}`}, // Auth0's
		"invalid_grant_401":       {401, `{"error":"invalid_grant"}`},
		"invalid_grant_in_a_200":  {200, `{"error":"invalid_grant"}`},
		"invalid_grant_an_object": {400, `{"error":{"code":"invalid_grant","message":"expired"}}`},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			good := m.run(t, "token").Stdout
			w.Respond(Token, c.status, asJSON, c.body)
			house.Refused(t, m.run(t, "token", "--force-refresh"), 3, "no longer accepts its refresh token", "run loopkey login")
			w.Confess()
			house.Refused(t, m.run(t, "token", "--force-refresh"), 3, "no longer accepts its refresh token")
			w.count(t, map[string]int{Token: 1})
			if r := m.run(t, "token"); r.Code != 0 || r.Stdout != good {
				t.Errorf("the access token that still lives is not handed out: exit %d: %s", r.Code, r.Stderr)
			}
			if r := m.run(t, "login"); r.Code != 0 {
				t.Fatalf("a new login: %s", r.Stderr)
			}
			if r := m.run(t, "token", "--force-refresh"); r.Code != 0 {
				t.Errorf("after a new login: exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
}

// Where a scope that was asked for by name was not granted, no token is handed out.
func TestScopeNotGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.house.Must("token")
	w.Lie(Lies{Token: set("scope", "openid profile")})
	house.Refused(t, w.house.Run("token", "--scope", "openid admin"), 4, `did not grant scope "admin"`)
	w.Lie(Lies{})
	if w.house.Must("token") != good {
		t.Error("the token of the login is not handed out any more")
	}
	w.house.Must("token", "--force-refresh")
}

// An access token for another API than was asked for is not handed out, after a login or a renewal. The new refresh
// token is stored all the same, because the old one may be used up.
func TestTokenForAnotherAPI(t *testing.T) {
	t.Parallel()
	const api = "https://api.example.com/"
	accessFor := func(audience any) Lies {
		return Lies{Claims: without("at_hash"), Token: func(a map[string]any) {
			a["access_token"] = forge.RS256().Sign(
				map[string]any{"alg": "RS256"}, map[string]any{"aud": audience, "exp": ago(-time.Hour)},
			)
		}}
	}
	w := newWorld(t, "LOOPKEY_AUDIENCE="+api)
	good := w.house.Must("token")
	for name, audience := range map[string]any{
		"another": "https://default.example.com/", "others": []any{"a", "b"}, "begins_alike": api + "v2",
	} {
		t.Run("login_"+name, func(t *testing.T) {
			w.Lie(accessFor(audience))
			house.Refused(t, w.house.Run("login"), 4, "audience", "not for "+api)
			w.unharmed(t)
		})
		t.Run("renewal_"+name, func(t *testing.T) {
			w.Lie(accessFor(audience))
			house.Refused(t, w.house.Run("token", "--force-refresh"), 4, "audience", "not for "+api)
			if w.house.Must("token") != good {
				t.Error("the token from before is not handed out")
			}
			now := w.stored(t)
			if !bytes.Equal(now.Head, w.was.Head) || bytes.Equal(now.Body, w.was.Body) {
				t.Error("the new refresh token, and it alone, should be kept")
			}
			w.was = now
		})
	}
	t.Run("for_another_audience", func(t *testing.T) { // at Auth0, with the one refresh token
		const other = "https://other.example.com/"
		w := worldOf(t, StartAt(t, "/"))
		at := []string{"--domain", strings.TrimSuffix(w.Issuer(), "/"), "--audience"}
		w.house.Must("login", at[0], at[1])
		w.Lie(accessFor(api))
		house.Refused(t, w.house.Run(append([]string{"token"}, append(at, other)...)...), 4, "audience", "not for "+other)
		w.Lie(accessFor(other))
		w.Reset()
		got := w.house.Must(append([]string{"token"}, append(at, other)...)...)
		if forge.Claims(strings.TrimSpace(got))["aud"] != other || w.Requests(Token) != 1 { // nothing of the lie is kept
			t.Errorf("after %d requests: %s", w.Requests(Token), got)
		}
	})
	t.Run("of_another_domain", func(t *testing.T) { // of the same tenant, by the profile
		p := StartAt(t, "/")
		h := house.New(t, p.Issuer())
		h.Configure(p.Issuer(), `other_domains = "login.brand.example"`)
		p.Lie(Lies{Claims: set("iss", "https://login.brand.example/")})
		house.Refused(t, h.Run("login"), 4, "issuer")
	})
	t.Run("the_right_one", func(t *testing.T) {
		w.Lie(accessFor([]any{"https://default.example.com/", api}))
		w.On(Token, func(_ http.ResponseWriter, r *http.Request) bool {
			if got := r.PostFormValue("resource"); got != api { // RFC 8707
				t.Errorf("resource is %q", got)
			}
			return false
		})
		w.house.Must("token", "--force-refresh")
	})
}
