package hostile

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// responds makes an endpoint respond to every request in this way.
func responds(endpoint string, status int, kind, body string) func(*world) {
	return func(w *world) { w.Respond(endpoint, status, kind, body) }
}

const asJSON = "application/json"

// Responses of the token endpoint to a code (RFC 6749, sections 5.1 and 5.2; OpenID Connect Core 1.0, section 3.1.3.3).
func TestTokenResponse(t *testing.T) {
	t.Parallel()
	lie := func(name string, value any, words string) trial {
		return trial{lies: Lies{Token: set(name, value)}, words: words, requests: map[string]int{Token: 1, UserInfo: 0}}
	}
	responded := func(status int, kind, body, words string) trial {
		return trial{more: responds(Token, status, kind, body), words: words, requests: map[string]int{Token: 1, Keys: 0}}
	}
	unreachable := func(status int, body string) trial {
		c := responded(status, asJSON, body, "can't be reached")
		c.code = 1
		return c
	}
	newWorlds(t).refuse(t, map[string]trial{
		"token_type_DPoP":      lie("token_type", "DPoP", "bound to a key: run loopkey login --dpop,"),
		"token_type_MAC":       lie("token_type", "mac", "token type"),
		"token_type_empty":     lie("token_type", "", "token type"),
		"token_type_missing":   {lies: Lies{Token: without("token_type")}, words: "token type"},
		"token_type_N_A":       lie("token_type", "N_A", "token type"),
		"access_token_missing": {lies: Lies{Token: without("access_token")}, words: "no access token"},
		"access_token_capitals": {
			lies:  Lies{Token: func(a map[string]any) { a["ACCESS_TOKEN"] = a["access_token"]; delete(a, "access_token") }},
			words: "no access token",
		},
		"access_token_empty":     lie("access_token", "", "no access token"),
		"access_token_a_list":    lie("access_token", []any{"a"}, "JSON"),
		"access_token_newline":   lie("access_token", "abc\r\nX-Injected: 1", "characters"),
		"access_token_gigantic":  lie("access_token", strings.Repeat("a", 65<<10), "too large"),
		"refresh_token_gigantic": lie("refresh_token", strings.Repeat("a", 65<<10), "too large"),
		// at_hash belongs to the issued access token
		"access_token_other":    lie("access_token", "another", "access token hash"),
		"id_token_missing":      {lies: Lies{Token: without("id_token")}, words: "no ID token"},
		"id_token_empty":        lie("id_token", "", "no ID token"),
		"id_token_null":         lie("id_token", nil, "no ID token"),
		"id_token_an_object":    lie("id_token", map[string]any{"sub": "ada"}, "JSON"),
		"expires_in_negative":   lie("expires_in", -60, "expires_in"),
		"expires_in_minus_word": lie("expires_in", "-60", "expires_in"),

		"invalid_grant": responded(
			400, asJSON, `{"error":"invalid_grant","error_description":"code was used"}`, "invalid_grant: code was used",
		),
		"invalid_client":         responded(401, asJSON, `{"error":"invalid_client"}`, "--client-secret-file"),
		"invalid_request":        responded(400, asJSON, `{"error":"invalid_request"}`, "invalid_request"),
		"unauthorized_client":    responded(400, asJSON, `{"error":"unauthorized_client"}`, "Grant Types"),
		"unsupported_grant_type": responded(400, asJSON, `{"error":"unsupported_grant_type"}`, "unsupported_grant_type"),
		"error_unknown": responded(
			400, asJSON, `{"error":"new_error","error_uri":"https://docs.example.com/"}`, "new_error",
		),
		"error_an_object": responded(
			400, asJSON, `{"error":{"code":"broken","message":"in pieces"}}`, "broken: in pieces",
		),
		"error_a_number":   responded(400, asJSON, `{"error":7}`, "replied with HTTP 400"),
		"error_a_list":     responded(400, asJSON, `[{"error":"invalid_request"}]`, "replied with HTTP 400"),
		"error_empty_body": responded(400, "", ``, "replied with HTTP 400"),
		"error_html":       responded(403, html, `<!doctype html><title>Blocked</title>`, "replied with HTTP 403"),
		"error_with_escapes": responded(
			400, asJSON, `{"error":"x","error_description":"\u001b[2Jgone\u202e"}`, "�[2Jgone�",
		),
		"error_in_a_200": responded(
			200, asJSON, `{"error":"bad_verification_code","error_description":"it is wrong"}`,
			"bad_verification_code: it is wrong",
		),
		"error_beside_tokens": lie("error", "invalid_request", "invalid_request"),
		"html":                responded(200, html, `<!doctype html>`, "JSON"),
		"empty":               responded(200, asJSON, ``, "JSON"),
		"a_list":              responded(200, asJSON, `[]`, "JSON"),
		"null":                responded(200, asJSON, `null`, "JSON"),
		"a_form": responded(
			200, "application/x-www-form-urlencoded", `access_token=a&token_type=bearer`, "JSON",
		),
		"half_an_object": responded(200, asJSON, `{"access_token":"a"`, "JSON"),
		"two_objects":    responded(200, asJSON, `{"access_token":"a"}{}`, "JSON"),
		"redirect": {
			more: redirects(Token), words: "a redirect, which is not followed", requests: map[string]int{Token: 1},
		},
		"temporarily_unavailable": unreachable(503, `{"error":"temporarily_unavailable"}`),
		"server_error":            unreachable(500, `{"error":"invalid_grant"}`), // a 5xx says nothing about the grant
	})
}

func redirects(endpoint string) func(*world) {
	return func(w *world) {
		target := w.URL(endpoint)
		w.On(endpoint, func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("Location", target)
			rw.WriteHeader(http.StatusTemporaryRedirect)
			return true
		})
	}
}

func TestTokenResponseAccepted(t *testing.T) {
	t.Parallel()
	one := map[string]int{Token: 1}
	all := newWorlds(t)
	lie := func(name string, value any) trial { return trial{lies: Lies{Token: set(name, value)}, requests: one} }
	all.accept(t, map[string]trial{
		"token_type_bearer":     lie("token_type", "bearer"),
		"token_type_BEARER":     lie("token_type", "BEARER"),
		"unknown_members":       lie("new", map[string]any{"a": nil}),
		"refresh_token_missing": {lies: Lies{Token: without("refresh_token")}, words: "No refresh token came", requests: one},
		"another_content_type": {more: func(w *world) {
			w.On(Token, func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Type", "text/plain")
				return false
			})
		}, requests: one},
	})

	// expires_in in other forms. Where it can't be understood, the expiry is unknown, and the token is used for some
	// minutes.
	hour := func(left time.Duration) bool { return left > 58*time.Minute && left <= time.Hour }
	unknown := func(left time.Duration) bool { return left == 0 }
	for name, c := range house.Some(map[string]struct {
		lie  func(map[string]any)
		good func(left time.Duration) bool
	}{
		"expires_in_missing":    {without("expires_in"), unknown},
		"expires_in_null":       {set("expires_in", nil), unknown},
		"expires_in_zero":       {set("expires_in", 0), unknown},
		"expires_in_a_string":   {set("expires_in", "3600"), hour},
		"expires_in_a_fraction": {set("expires_in", 3599.9), hour},
		"expires_in_a_word":     {set("expires_in", "soon"), unknown},
		"expires_in_an_object":  {set("expires_in", map[string]any{}), unknown},
		"expires_in_huge":       {set("expires_in", 1e300), func(left time.Duration) bool { return left > 24*time.Hour }},
		"expires_in_later_than_exp": {func(a map[string]any) {
			a["expires_in"] = 14 * 24 * 3600
			a["access_token"] = forge.RS256().Sign(map[string]any{"alg": "RS256"}, map[string]any{"exp": ago(-time.Hour)})
		}, hour},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			w.forget(t)
			m := w.machine(t)
			w.Lie(Lies{Token: c.lie, Claims: without("at_hash")})
			if r := m.run(t, "login"); r.Code != 0 {
				t.Fatalf("exit %d: %s", r.Code, r.Stderr)
			}
			r := m.run(t, "token", "-o", "json")
			var token struct {
				ExpiresAt time.Time `json:"expires_at"`
			}
			if err := json.Unmarshal([]byte(r.Stdout), &token); err != nil || r.Code != 0 {
				t.Fatalf("exit %d: %v: %s", r.Code, err, r.Stderr)
			}
			left := time.Duration(0)
			if !token.ExpiresAt.IsZero() {
				left = time.Until(token.ExpiresAt)
			}
			if !c.good(left) {
				t.Errorf("it is said to live for %s", left)
			}
		})
	}
}

// Client authentication (RFC 6749, section 2.3.1), at every endpoint that requires it.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	const secret = `s3cr$et+/with:odd"chars %41&=`
	for name, c := range map[string]struct {
		methods []string
		basic   bool
	}{
		"client_secret_basic": {[]string{"client_secret_post", "client_secret_basic"}, true},
		"client_secret_post":  {[]string{"client_secret_post"}, false},
		"not_told":            {nil, true},
		// Discovery lists what the provider supports. How this client is registered is learnt from a refusal, once.
		"post_alone_registered": {[]string{"client_secret_basic", "client_secret_post"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t)
			p.Demand(secret)
			p.Lie(Lies{Discovery: func(d map[string]any) {
				d["require_pushed_authorization_requests"] = true
				if d["token_endpoint_auth_methods_supported"] = c.methods; c.methods == nil {
					delete(d, "token_endpoint_auth_methods_supported")
				}
			}})
			var tried atomic.Bool
			for _, endpoint := range []string{Token, Revoke, Push, Device} {
				p.On(endpoint, func(w http.ResponseWriter, r *http.Request) bool {
					_, _, basic := r.BasicAuth()
					if basic && name == "post_alone_registered" && tried.CompareAndSwap(false, true) {
						refuse(w, http.StatusUnauthorized, "invalid_client", "not so")
						return true
					}
					if basic != c.basic {
						t.Errorf("%s: basic authentication: %v", endpoint, basic)
					}
					return false
				})
			}
			h := house.New(t, p.Issuer(), "LOOPKEY_CLIENT_SECRET="+secret)
			h.Must("login")
			h.Must("token", "--force-refresh")
			h.Must("logout")
			for endpoint, n := range map[string]int{Push: 1, Token: 2, Revoke: 1} {
				if endpoint == Push && tried.Load() {
					n = 2
				}
				if p.Requests(endpoint) != n {
					t.Errorf("%s was asked %d times", endpoint, p.Requests(endpoint))
				}
			}
			for _, q := range p.Queries() {
				if q.Get("client_secret") != "" && c.basic {
					t.Error("the client secret is in the authorization request")
				}
			}
		})
	}
}

// UserInfo is requested where the ID token lacks claims of the scopes, and believed only about the same subject (OpenID
// Connect Core 1.0, sections 5.3 and 5.4).
func TestUserInfo(t *testing.T) {
	t.Parallel()
	lacking := func(c map[string]any) { delete(c, "name"); delete(c, "email") }
	about := func(change func(claims map[string]any), words string) trial {
		return trial{
			lies: Lies{Claims: lacking, UserInfo: change}, words: words, requests: map[string]int{UserInfo: 1, Revoke: 0},
		}
	}
	// asJWT makes UserInfo a signed JWT.
	asJWT := func(sign func(header, claims map[string]any) string, header, claims func(map[string]any)) func(w *world) {
		return func(w *world) {
			h := map[string]any{"alg": "RS256", "kid": "rsa-1"}
			c := map[string]any{"iss": w.Issuer(), "aud": house.Client, "sub": "ada", "name": "Ada of UserInfo"}
			if header != nil {
				header(h)
			}
			if claims != nil {
				claims(c)
			}
			w.Respond(UserInfo, 200, "application/jwt", sign(h, c))
		}
	}
	jwt := func(sign func(header, claims map[string]any) string, header, claims func(map[string]any), words string) trial {
		return trial{
			lies: Lies{Claims: lacking}, more: asJWT(sign, header, claims), words: words, requests: map[string]int{UserInfo: 1},
		}
	}
	responded := func(status int, kind, body, words string) trial {
		return trial{
			lies: Lies{Claims: lacking}, more: responds(UserInfo, status, kind, body), words: words,
			requests: map[string]int{UserInfo: 1},
		}
	}
	// es256 publishes a second key, and discovery says how UserInfo is signed.
	es256 := func(c trial, told ...string) trial {
		answer := c.more
		c.lies.Discovery = set("userinfo_signing_alg_values_supported", told)
		c.more = func(w *world) {
			answer(w)
			w.Rotate(forge.RS256(), forge.RS256(), forge.ES256())
		}
		return c
	}
	sign := forge.RS256().Sign
	all := newWorlds(t)
	all.refuse(t, map[string]trial{
		"sub_wrong":           about(set("sub", "mallory"), "subject"),
		"sub_missing":         about(without("sub"), "subject"),
		"sub_empty":           about(set("sub", ""), "subject"),
		"sub_a_list":          about(set("sub", []any{"ada"}), "subject"),
		"sub_other_case":      about(set("sub", "Ada"), "subject"),
		"html":                responded(200, html, "<p>", "UserInfo"),
		"empty":               responded(200, asJSON, "", "UserInfo"),
		"a_list":              responded(200, asJSON, `[{"sub":"ada"}]`, "UserInfo"),
		"jwt_sub_wrong":       jwt(sign, nil, set("sub", "mallory"), "subject"),
		"jwt_iss_wrong":       jwt(sign, nil, set("iss", "https://mallory.example.com"), "issuer"),
		"jwt_aud_wrong":       jwt(sign, nil, set("aud", "mallory"), "audience"),
		"jwt_signature_wrong": jwt(forge.OtherRS256().Sign, nil, nil, "signature"),
		"jwt_alg_none":        jwt(forge.Unsigned, set("alg", "none"), nil, "algorithm"),
		"jwt_HS256":           jwt(forge.HS256(forge.RS256().PEM()).Sign, set("alg", "HS256"), nil, "algorithm"),
		"jwt_alg_not_told": es256(
			jwt(forge.ES256().Sign, func(h map[string]any) { h["alg"], h["kid"] = "ES256", "ec-1" }, nil, "algorithm"), "PS256",
		),
	})
	shown := func(name string) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			t.Helper()
			if r := w.machine(t).run(t, "status"); !strings.Contains(r.Stdout, name) {
				t.Errorf("status does not show %q: %s%s", name, r.Stdout, r.Stderr)
			}
		}
	}
	asked := map[string]int{UserInfo: 1, Token: 1}
	good := func(c trial, name string) trial {
		c.after, c.words = shown(name), ""
		return c
	}
	all.accept(t, map[string]trial{
		// The provider refuses an access token outside the Authorization header.
		"scope_claims": good(trial{lies: Lies{Claims: lacking}, requests: asked}, "Ada of UserInfo"),
		"jwt":          good(jwt(sign, nil, nil, ""), "Ada of UserInfo"),
		"jwt_ES256": good(
			es256(
				jwt(forge.ES256().Sign, func(h map[string]any) { h["alg"], h["kid"] = "ES256", "ec-1" }, nil, ""), "none", "HS256",
				"ES256",
			),
			"Ada of UserInfo",
		),
		"not_needed": {requests: map[string]int{UserInfo: 0}},
		"id_token_comes_first": good(
			trial{lies: Lies{Claims: without("email"), UserInfo: set("name", "Mallory")}, requests: asked}, "Ada Lovelace",
		),
		"refused":               good(responded(401, asJSON, ``, ""), "ada"),
		"broken":                good(responded(500, asJSON, ``, ""), "ada"),
		"redirect_not_followed": good(trial{lies: Lies{Claims: lacking}, more: redirects(UserInfo), requests: asked}, "ada"),
		"no_endpoint": good(
			trial{lies: Lies{Claims: lacking, Discovery: without("userinfo_endpoint")}, requests: map[string]int{UserInfo: 0}},
			"ada",
		),
		"session_claims_ignored": good(
			trial{lies: Lies{Claims: lacking, UserInfo: set("exp", 1)}, requests: asked}, "Ada of UserInfo",
		),
	})
}
