package hostile

import (
	"net/http"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

const html = "text/html; charset=utf-8"

// The provider's metadata (OpenID Connect Discovery 1.0, sections 3 and 4.3).
func TestDiscovery(t *testing.T) {
	t.Parallel()
	lie := func(name string, value any, words string) trial {
		return trial{
			lies: Lies{Discovery: set(name, value)}, words: words,
			requests: map[string]int{Discovery: 1, Authorize: 0, Token: 0},
		}
	}
	responded := func(status int, kind, body, words string) trial {
		return trial{
			more: func(w *world) { w.Respond(Discovery, status, kind, body) }, words: words,
			requests: map[string]int{Discovery: 1, Authorize: 0},
		}
	}
	newWorlds(t).refuse(t, map[string]trial{
		"issuer_wrong":   lie("issuer", "https://mallory.example.com", `calls itself "https://mallory.example.com"`),
		"issuer_empty":   lie("issuer", "", "issuer"),
		"issuer_missing": {lies: Lies{Discovery: without("issuer")}, words: "issuer"},
		"issuer_a_list":  lie("issuer", []any{"x"}, "discovery"),
		"issuer_with_slash": {
			lies:  Lies{Discovery: func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" }},
			words: "use --issuer http://127.0.0.1:",
		},
		"issuer_of_another_port": {lies: Lies{Discovery: func(d map[string]any) { d["issuer"] = "http://127.0.0.1:1" }},
			words: "issuer"},
		"issuer_under_another_name": {lies: Lies{Discovery: func(d map[string]any) {
			d["issuer"] = strings.Replace(d["issuer"].(string), "127.0.0.1", "localhost", 1)
		}}, words: "issuer"},
		"authorization_endpoint_missing": {
			lies: Lies{Discovery: without("authorization_endpoint")}, words: "authorization_endpoint",
		},
		"token_endpoint_missing":        {lies: Lies{Discovery: without("token_endpoint")}, words: "token_endpoint"},
		"jwks_uri_missing":              {lies: Lies{Discovery: without("jwks_uri")}, words: "jwks_uri"},
		"authorization_endpoint_script": lie("authorization_endpoint", "javascript:alert(1)", "authorization_endpoint"),
		"authorization_endpoint_file":   lie("authorization_endpoint", "file:///etc/passwd", "authorization_endpoint"),
		"authorization_endpoint_option": lie("authorization_endpoint", "--new-window", "authorization_endpoint"),
		"token_endpoint_plain_http":     lie("token_endpoint", "http://tokens.example.com/", "token_endpoint"),
		"token_endpoint_with_user":      lie("token_endpoint", "https://user:pass@tokens.example.com/", "token_endpoint"),
		"token_endpoint_relative":       lie("token_endpoint", "/token", "token_endpoint"),
		"jwks_uri_plain_http":           lie("jwks_uri", "http://keys.example.com/", "jwks_uri"),
		"userinfo_endpoint_plain_http":  lie("userinfo_endpoint", "http://me.example.com/", "userinfo_endpoint"),
		"end_session_endpoint_script":   lie("end_session_endpoint", "javascript:alert(1)", "end_session_endpoint"),
		"algorithms_HMAC_alone":         lie("id_token_signing_alg_values_supported", []string{"HS256"}, "asymmetric"),
		"algorithms_none_alone":         lie("id_token_signing_alg_values_supported", []string{"none"}, "asymmetric"),
		"not_found":                     responded(http.StatusNotFound, html, "<p>no", "check --issuer"),
		"html":                          responded(http.StatusOK, html, "<!doctype html>", "discovery"),
		"empty":                         responded(http.StatusOK, "application/json", "", "discovery"),
		"a_list":                        responded(http.StatusOK, "application/json", "[]", "discovery"),
		"null":                          responded(http.StatusOK, "application/json", "null", "discovery"),
		"two_documents":                 responded(http.StatusOK, "application/json", "{}{}", "discovery"),
	})
}

func TestDiscoveryAccepted(t *testing.T) {
	t.Parallel()
	one := map[string]int{Discovery: 1, Token: 1}
	newWorlds(t).accept(t, map[string]trial{
		"another_content_type": {more: func(w *world) {
			w.On(Discovery, func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Type", "text/plain")
				return false
			})
		}, requests: one},
		"no_algorithms_means_RS256": {lies: Lies{Discovery: without("id_token_signing_alg_values_supported")}, requests: one},
		"unknown_members":           {lies: Lies{Discovery: set("new", map[string]any{"a": nil})}, requests: one},
		"no_optional_endpoint": {lies: Lies{Discovery: func(d map[string]any) {
			for _, name := range []string{
				"userinfo_endpoint", "revocation_endpoint", "end_session_endpoint", "device_authorization_endpoint",
				"pushed_authorization_request_endpoint",
			} {
				delete(d, name)
			}
		}}, requests: one},
		"optional_members_of_other_types": {lies: Lies{Discovery: func(d map[string]any) {
			d["scopes_supported"], d["require_pushed_authorization_requests"] = "openid profile email offline_access", "false"
			d["authorization_response_iss_parameter_supported"], d["revocation_endpoint"] = "true", false
			d["userinfo_signing_alg_values_supported"] = map[string]any{}
			d["token_endpoint_auth_methods_supported"] = []any{7, "none"}
		}}, requests: one},
		"byte_order_mark": {more: func(w *world) {
			w.On(Discovery, func(rw http.ResponseWriter, _ *http.Request) bool {
				_, _ = rw.Write([]byte("\ufeff"))
				return false
			})
		}, requests: one},
		"names_of_another_case": {lies: Lies{Discovery: func(d map[string]any) {
			d["Token_Endpoint"], d["JWKS_URI"], d["\u017fcopes"] = "http://127.0.0.1:1/token", "http://127.0.0.1:1/keys", 7
		}}, requests: one},
		"query_in_the_endpoint": {lies: Lies{Discovery: func(d map[string]any) {
			d["authorization_endpoint"] = d["authorization_endpoint"].(string) + "?tenant=a%26b"
		}}, after: func(t *testing.T, w *world) {
			if got := w.Queries()[len(w.Queries())-1].Get("tenant"); got != "a&b" {
				t.Errorf("the endpoint's own query came as %q", got)
			}
		}},
		// loopkey uses S256 in any case (RFC 7636, section 4.2), and the provider here checks that.
		"plain_challenges_alone": {
			lies: Lies{Discovery: set("code_challenge_methods_supported", []string{"plain"})}, requests: one,
		},
	})
}

// An issuer is compared to the letter, including a slash at its end.
func TestIssuers(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"bare": "", "slash": "/", "path": "/realms/one", "path_and_slash": "/realms/one/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := StartAt(t, path)
			h := house.New(t, p.Issuer())
			h.Must("login")
			h.Must("token", "--force-refresh")
			other := strings.TrimSuffix(p.Issuer(), "/")
			if other == p.Issuer() {
				other += "/"
			}
			h.Configure(other)
			house.Refused(t, h.Run("login"), 4, "issuer", "use --issuer "+p.Issuer())
			h.Configure(p.Issuer())
			h.Must("token")
		})
	}
}
