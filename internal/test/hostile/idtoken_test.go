package hostile

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

const clientSecret = "the-secret-of-the-client-which-is-longer-than-256-bits"

// The claims and the signature of an ID token (OpenID Connect Core 1.0, sections 2 and 3.1.3.7).
func TestIDToken(t *testing.T) {
	t.Parallel()
	claim := func(name string, value any, words string) trial {
		return trial{
			lies: Lies{Claims: set(name, value)}, words: words, requests: map[string]int{Token: 1, UserInfo: 0, Revoke: 0},
		}
	}
	missing := func(name, words string) trial {
		return trial{
			lies: Lies{Claims: without(name)}, words: words, requests: map[string]int{Token: 1, UserInfo: 0, Revoke: 0},
		}
	}
	acr := []string{"login", "--acr-values", "mfa"}
	newWorlds(t).refuse(t, map[string]trial{
		"iss_wrong":   claim("iss", "https://mallory.example.com", "issuer"),
		"iss_missing": missing("iss", "issuer"),
		"iss_with_slash": {
			lies: Lies{Claims: func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }}, words: "issuer",
		},
		"iss_in_capitals": {
			lies: Lies{Claims: func(c map[string]any) { c["iss"] = strings.ToUpper(c["iss"].(string)) }}, words: "issuer",
		},
		"iss_a_list":       {lies: Lies{Claims: func(c map[string]any) { c["iss"] = []any{c["iss"]} }}, words: "issuer"},
		"aud_wrong":        claim("aud", "mallory", "audience"),
		"aud_missing":      missing("aud", "audience"),
		"aud_empty_list":   claim("aud", []any{}, "audience"),
		"aud_others":       claim("aud", []any{"mallory", "eve"}, "audience"),
		"aud_begins_alike": claim("aud", house.Client+"-2", "audience"),
		"aud_two_no_azp":   claim("aud", []any{house.Client, "mallory"}, "authorized party"),
		"azp_wrong":        claim("azp", "mallory", "authorized party"),
		"azp_empty":        claim("azp", "", "authorized party"),
		"aud_two_azp_wrong": {
			lies:  Lies{Claims: func(c map[string]any) { c["aud"], c["azp"] = []any{house.Client, "mallory"}, "mallory" }},
			words: "authorized party",
		},
		"nonce_wrong":   claim("nonce", "another", "nonce"),
		"nonce_missing": missing("nonce", "nonce"),
		"nonce_empty":   claim("nonce", "", "nonce"),
		"nonce_a_list":  {lies: Lies{Claims: func(c map[string]any) { c["nonce"] = []any{c["nonce"]} }}, words: "claims"},
		"exp_past":      {lies: Lies{Claims: at("exp", 10*time.Minute)}, words: "expired"},
		"exp_missing":   missing("exp", "expir"),
		"exp_a_word":    claim("exp", "tomorrow", "expir"),
		"iat_missing":   missing("iat", "issued"),
		"iat_future":    {lies: Lies{Claims: at("iat", -time.Hour)}, words: "in the future"},
		"iat_yesterday": {lies: Lies{Claims: at("iat", 25*time.Hour)}, words: "issued"},
		"nbf_future":    {lies: Lies{Claims: at("nbf", -time.Hour)}, words: "in the future"},
		"sub_missing":   missing("sub", "subject"),
		"sub_empty":     claim("sub", "", "subject"),
		"sub_a_number":  claim("sub", 7, "form"),
		"sub_too_long":  claim("sub", strings.Repeat("a", 256), "subject"),
		"at_hash_wrong": claim("at_hash", forge.RS256().AccessTokenHash("another access token"), "access token hash"),
		"auth_time_missing": {
			lies: Lies{Claims: without("auth_time")}, args: []string{"login", "--max-age", "60"}, words: "--prompt login",
		},
		"auth_time_old": {
			lies: Lies{Claims: at("auth_time", time.Hour)}, args: []string{"login", "--max-age", "60"}, words: "--prompt login",
		},
		"auth_time_of_tomorrow": {
			lies: Lies{Claims: at("auth_time", -24*time.Hour)}, args: []string{"login", "--max-age", "60"},
			words: "yet to come",
		},
		"acr_missing": {args: acr, words: "--acr-values"},
		"acr_another": {lies: Lies{Claims: set("acr", "pwd")}, args: acr, words: `"pwd"`},
		"acr_a_list":  {lies: Lies{Claims: set("acr", []any{"mfa"})}, args: acr, words: "--acr-values"},
		"acr_both":    {lies: Lies{Claims: set("acr", "mfa hw")}, args: acr, words: "--acr-values"},
		"acr_escapes": {lies: Lies{Claims: set("acr", "mfa\x1b[2J")}, args: acr, words: "--acr-values"},
		"amr_of_another_acr": {
			lies: Lies{Claims: set("amr", []any{"mfa"})}, args: acr, words: "--acr-values",
		},

		"sig_wrong": {lies: Lies{Sign: func(header, claims map[string]any) string {
			raw := forge.RS256().Sign(header, claims)
			return raw[:len(raw)-8] + strings.Map(otherLetter, raw[len(raw)-8:])
		}}, words: "signature", requests: map[string]int{Keys: 1}},
		"sig_of_other_claims": {lies: Lies{Sign: func(header, claims map[string]any) string {
			raw := forge.RS256().Sign(header, claims)
			claims["sub"] = "mallory"
			return forge.Encode(header) + "." + forge.Encode(claims) + raw[strings.LastIndex(raw, "."):]
		}}, words: "signature"},
		"sig_missing": {lies: Lies{Sign: forge.Unsigned}, words: "signature"},
		"sig_by_another_key": {
			lies: Lies{Sign: forge.OtherRS256().Sign}, words: "signature", requests: map[string]int{Keys: 1},
		},
		"alg_none": {lies: Lies{Header: set("alg", "none"), Sign: forge.Unsigned}, words: "algorithm"},
		"alg_none_no_kid": {
			lies:  Lies{Header: func(h map[string]any) { h["alg"] = "none"; delete(h, "kid") }, Sign: forge.Unsigned},
			words: "algorithm",
		},
		"alg_None": {lies: Lies{Header: set("alg", "None"), Sign: forge.Unsigned}, words: "algorithm"},
		"alg_none_advertised": {lies: Lies{Header: set("alg", "none"), Sign: forge.Unsigned,
			Discovery: set("id_token_signing_alg_values_supported", []string{"RS256", "none"})}, words: "algorithm"},
		"alg_missing": {lies: Lies{Header: without("alg")}, words: "algorithm"},
		"alg_not_advertised": {
			more: func(w *world) { w.Rotate(forge.PS256(), forge.PS256()) },
			lies: Lies{Discovery: set("id_token_signing_alg_values_supported", []string{"RS256"})}, words: "algorithm",
		},
		"HS256_public_key": {
			lies: Lies{Header: set("alg", "HS256"), Sign: forge.HS256(forge.RS256().PEM()).Sign}, words: "algorithm",
		},
		"HS256_key_is_published": {
			lies: Lies{
				Header: set("alg", "HS256"), Sign: forge.HS256("k").Sign,
				Keys: func(set map[string]any) {
					set["keys"] = append(set["keys"].([]any), map[string]any{"kty": "oct", "kid": "rsa-1", "k": "aw"})
				},
				Discovery: set("id_token_signing_alg_values_supported", []string{"RS256", "HS256"}),
			},
			words: "algorithm",
		},
		"crit_unknown": {
			lies: Lies{Header: func(h map[string]any) { h["crit"], h["new"] = []any{"new"}, true }}, words: "sign",
		},
		"payload_not_encoded": {lies: Lies{ // a JWS (RFC 7797) that is no JWT, by the provider's own key
			Header: func(h map[string]any) { h["crit"], h["b64"] = []any{"b64"}, false }, Sign: signUnencoded,
		}, words: "b64"},
		"payload_encoded_and_said_so": {lies: Lies{
			Header: func(h map[string]any) { h["crit"], h["b64"] = []any{"b64"}, true },
		}, words: "b64"},
		"b64_without_crit": {lies: Lies{Header: set("b64", false)}, words: "b64"},
		"key_in_the_token": {lies: Lies{
			Header: func(h map[string]any) { h["jwk"] = forge.OtherRS256().Public() }, Sign: forge.OtherRS256().Sign,
		},
			words: "signature"},
		"key_in_the_token_no_kid": {lies: Lies{
			Header: func(h map[string]any) { h["jwk"] = forge.OtherRS256().Public(); delete(h, "kid") },
			Sign:   forge.OtherRS256().Sign,
		},
			words: "signature"},
		"encrypted": {lies: Lies{Token: set("id_token", "e30.AA.AA.AA.AA")}, words: "no signed JWT"},
		"not_a_jwt": {lies: Lies{Token: set("id_token", "opaque")}, words: "no signed JWT"},
		"claims_no_object": {
			lies:  Lies{Sign: func(header, _ map[string]any) string { return forge.Encode(header) + ".W10.AA" }},
			words: "JSON object",
		},
		"too_large": {lies: Lies{Claims: set("padding", strings.Repeat("a", 70<<10))}, words: "too large"},
	})
}

func otherLetter(r rune) rune {
	if r == 'A' {
		return 'B'
	}
	return 'A'
}

// An ID token that is signed with the client secret is refused.
func TestIDTokenOfConfidentialClient(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.Demand(clientSecret)
	h := house.New(t, p.Issuer(), "LOOPKEY_CLIENT_SECRET="+clientSecret)
	h.Must("login")
	token := h.Must("token")
	hs256 := Lies{Header: set("alg", "HS256"), Sign: forge.HS256(clientSecret).Sign}
	for name, l := range map[string]Lies{
		"HS256_client_secret": hs256,
		"HS256_client_secret_advertised": {
			Header: hs256.Header, Sign: hs256.Sign,
			Discovery: set("id_token_signing_alg_values_supported", []string{"HS256", "RS256"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.Lie(l)
			r := h.Run("login")
			house.Refused(t, r, 4, "algorithm")
			if strings.Contains(r.Stderr, clientSecret) {
				t.Error("the client secret is told")
			}
			p.Lie(Lies{})
			if h.Must("token") != token {
				t.Error("the session is not as it was before")
			}
		})
	}
}

// Unusual ID tokens that are valid.
func TestIDTokenAccepted(t *testing.T) {
	t.Parallel()
	one := map[string]int{Token: 1, Keys: 1, Discovery: 1}
	signedWith := func(key forge.Key) trial {
		return trial{more: func(w *world) { w.Rotate(key, key) }, requests: one}
	}
	newWorlds(t).accept(t, map[string]trial{
		"RS256":      signedWith(forge.RS256()),
		"PS256":      signedWith(forge.PS256()),
		"ES256":      signedWith(forge.ES256()),
		"EdDSA":      signedWith(forge.EdDSA()),
		"aud_a_list": {lies: Lies{Claims: set("aud", []any{house.Client})}, requests: one},
		"aud_two_with_azp": {
			lies: Lies{Claims: func(c map[string]any) {
				c["aud"], c["azp"] = []any{"https://api", house.Client}, house.Client
			}},
			requests: one,
		},
		"azp_right":       {lies: Lies{Claims: set("azp", house.Client)}, requests: one},
		"iat_a_bit_ahead": {lies: Lies{Claims: at("iat", -30*time.Second)}, requests: one},
		"exp_a_bit_past":  {lies: Lies{Claims: at("exp", 30*time.Second)}, requests: one},
		"exp_a_fraction": {
			lies: Lies{Claims: func(c map[string]any) { c["exp"] = float64(c["exp"].(int64)) + 0.5 }}, requests: one,
		},
		"at_hash_missing": {lies: Lies{Claims: without("at_hash")}, requests: one},
		"unknown_claims":  {lies: Lies{Claims: set("new", map[string]any{"a": []any{nil, 1.5}})}, requests: one},
		"distributed_claims": {lies: Lies{Claims: func(c map[string]any) {
			c["_claim_names"] = map[string]any{"salary": "bank"}
			c["_claim_sources"] = map[string]any{
				"bank": map[string]any{"endpoint": c["iss"].(string) + "/userinfo", "access_token": "x"},
			}
		}}, requests: map[string]int{Token: 1, UserInfo: 0}}, // never fetched
		"key_by_url": {lies: Lies{Header: set("jku", "http://127.0.0.1:1/keys")}, requests: one}, // never looked at
		"acr_one_of_two": {lies: Lies{Claims: set("acr", "hw")}, args: []string{"login", "--acr-values", " mfa  hw "},
			after: func(t *testing.T, w *world) {
				if q := w.Queries()[len(w.Queries())-1]; q.Get("acr_values") != "mfa hw" || q.Has("claims") {
					t.Errorf("the login asked for %v", q)
				}
			}},
		"acr_essential": { // to a provider that takes the parameter claims
			lies: Lies{Discovery: set("claims_parameter_supported", true), Claims: set("acr", "mfa")},
			args: []string{"login", "--acr-values", "mfa hw"}, after: func(t *testing.T, w *world) {
				const want = `{"id_token":{"acr":{"essential":true,"values":["mfa","hw"]}}}`
				if got := w.Queries()[len(w.Queries())-1].Get("claims"); got != want {
					t.Errorf("claims is %q", got)
				}
			},
		},
		"acr_a_wish": {args: []string{"login", "--param", "acr_values=mfa"}},
		"acr_of_Auth0": { // which tells of several factors by amr
			lies: Lies{Claims: set("amr", []any{"pwd", "mfa"})},
			args: []string{"login", "--acr-values", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"},
		},
		"max_age_kept": {args: []string{"login", "--max-age", "60"}, after: func(t *testing.T, w *world) {
			if got := w.Queries()[len(w.Queries())-1].Get("max_age"); got != "60" {
				t.Errorf("max_age was sent as %q", got)
			}
		}},
	})
}

// signUnencoded signs the payload as RFC 7797 has it: the signature is over the claims as they are.
func signUnencoded(header, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256([]byte(forge.Encode(header) + "." + string(payload)))
	signature, err := forge.RS256().Private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return forge.Encode(header) + "." + forge.Encode(claims) + "." + base64.RawURLEncoding.EncodeToString(signature)
}
