package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// signers returns a key of each kind, by an algorithm that is its own.
func signers() map[string]crypto.Signer {
	return map[string]crypto.Signer{
		"RS256": forge.RS256().Private, "ES256": forge.ES256().Private,
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"EdDSA": ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	}
}

func withKey(key ClientKey) func(*Config) {
	return func(cfg *Config) { cfg.ClientKey = func(context.Context) (ClientKey, error) { return key, nil } }
}

// opened returns the header and the claims of a JWT, whose signature go-jose verifies.
func opened(t *testing.T, raw string, key crypto.Signer) (jose.Header, map[string]any) {
	t.Helper()
	all := []jose.SignatureAlgorithm{"RS256", "PS256", "RS512", "ES256", "ES384", "ES512", "EdDSA"}
	jws, err := jose.ParseSignedCompact(raw, all)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return jws.Signatures[0].Protected, claims
}

// Every request of a client with a key has an assertion of its own, also one that is repeated.
func TestClientAssertion(t *testing.T) {
	t.Parallel()
	for algorithm, key := range signers() {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			good, used := f.tokens(), map[any]bool{}
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				_, _, basic := r.BasicAuth()
				if basic || r.PostFormValue("client_secret") != "" || r.PostFormValue("client_id") != fakeClient ||
					r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("form %v", r.PostForm)
				}
				header, claims := opened(t, r.PostFormValue("client_assertion"), key)
				if header.Algorithm != algorithm || header.KeyID != "k1" || header.ExtraHeaders[jose.HeaderType] != nil {
					t.Errorf("header %+v", header)
				}
				now, iat, exp := float64(time.Now().Unix()), claims["iat"].(float64), claims["exp"].(float64)
				if claims["iss"] != fakeClient || claims["sub"] != fakeClient || claims["aud"] != f.URL ||
					iat < now-5 || iat > now+5 || exp <= iat || exp > iat+60 {
					t.Errorf("claims %v", claims)
				}
				if used[claims["jti"]] || claims["jti"] == "" {
					t.Error("an assertion is sent twice")
				}
				used[claims["jti"]] = true
				if len(used) == 1 {
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				_ = json.NewEncoder(w).Encode(good)
			})
			p := f.client(t, withKey(ClientKey{Signer: key, ID: "k1"}))
			for range 2 {
				if _, err := renew(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			if len(used) != 3 {
				t.Errorf("%d requests, not 3", len(used))
			}
		})
	}
}

// The algorithm is one that fits the key and that the provider accepts, or nothing is signed.
func TestAssertionAlgorithm(t *testing.T) {
	t.Parallel()
	keys := signers()
	rsa512 := ClientKey{Signer: keys["RS256"], Algorithm: "RS512"}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key      ClientKey
		accepted []string
		want     string
		reason   Reason
	}{
		"nothing said":          {ClientKey{Signer: keys["RS256"]}, nil, "RS256", ""},
		"both":                  {ClientKey{Signer: keys["RS256"]}, []string{"PS256", "RS256"}, "RS256", ""},
		"PS256 alone":           {ClientKey{Signer: keys["RS256"]}, []string{"ES256", "PS256"}, "PS256", ""},
		"chosen":                {rsa512, []string{"RS256", "RS512"}, "RS512", ""},
		"chosen, not accepted":  {rsa512, []string{"RS256"}, "", ReasonKeyAlgorithm},
		"chosen, does not fit":  {ClientKey{Signer: keys["ES256"], Algorithm: "RS256"}, nil, "", ReasonKeyKind},
		"none fits":             {ClientKey{Signer: keys["ES256"]}, []string{"RS256", "none"}, "", ReasonKeyAlgorithm},
		"none and HMAC offered": {ClientKey{Signer: keys["RS256"]}, []string{"none", "HS256"}, "", ReasonKeyAlgorithm},
		"none chosen":           {ClientKey{Signer: keys["RS256"], Algorithm: "none"}, []string{"none"}, "", ReasonKeyKind},
		"1024 bits":             {ClientKey{Signer: weak}, nil, "", ReasonKeyKind},
		"no key":                {ClientKey{}, nil, "", ReasonKeyKind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if c.accepted != nil {
				f.set("token_endpoint_auth_signing_alg_values_supported", c.accepted)
			}
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				if header, _ := opened(t, r.PostFormValue("client_assertion"), c.key.Signer); header.Algorithm != c.want {
					t.Errorf("signed with %s", header.Algorithm)
				}
				http.Error(w, "", http.StatusBadRequest)
			})
			_, err := renew(t.Context(), f.client(t, withKey(c.key)))
			if c.reason == "" {
				if !errors.Is(err, ErrRefused) {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrConfig) || Diagnose(err).Reason != c.reason || f.requests("/token") != 0 {
				t.Errorf("%v (%s), %d requests", err, Diagnose(err).Reason, f.requests("/token"))
			}
		})
	}
}

// An assertion is for the issuer. It is for the token endpoint only where that is wanted and the issuer's host has it.
func TestAssertionAudience(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		issuer, endpoint string
		toEndpoint       bool
		want             string // "": refused
	}{
		"issuer":                 {"https://a.example", "https://b.example/token", false, "https://a.example"},
		"endpoint":               {"https://a.example/x", "https://a.example/token", true, "https://a.example/token"},
		"endpoint of another":    {"https://a.example", "https://b.example/token", true, ""},
		"endpoint, other port":   {"https://a.example", "https://a.example:8443/token", true, ""},
		"Okta":                   {"https://a.okta.com", "https://a.okta.com/v1/token", false, "https://a.okta.com/v1/token"},
		"Okta's, of another":     {"https://a.okta.com", "https://b.okta.com/oauth2/v1/token", false, ""},
		"a name that ends alike": {"https://a.notokta.com", "https://a.notokta.com/token", false, "https://a.notokta.com"},
	} {
		p, err := New(Config{Issuer: c.issuer, ClientID: fakeClient, AssertionToEndpoint: c.toEndpoint})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.assertionAudience(&metadata{named: c.endpoint})
		if got != c.want || (err == nil) == (c.want == "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// A provider that did not know the client's key is told apart from one that wants a secret, and is shown no assertion.
func TestAssertionRefused(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"error": "invalid_client", "error_description": "bad assertion " + r.PostFormValue("client_assertion"),
		})
	})
	_, err := renew(t.Context(), f.client(t, withKey(ClientKey{Signer: signers()["ES256"]})))
	if Diagnose(err).Reason != ReasonClientKeyRefused || !strings.Contains(err.Error(), "bad assertion [secret]") {
		t.Errorf("%v (%s)", err, Diagnose(err).Reason)
	}
	f.count(t, "invalid_client", map[string]int{"/.well-known/openid-configuration": 1, "/token": 1})
	for name, c := range map[string]struct {
		offered []string
		want    Reason
	}{
		"not offered":     {[]string{"client_secret_basic", "none"}, ReasonMethodNotOffered},
		"offered":         {[]string{"client_secret_basic", "private_key_jwt"}, ReasonClientKeyRefused},
		"nothing is said": {[]string{}, ReasonClientKeyRefused},
	} {
		f.set("token_endpoint_auth_methods_supported", c.offered)
		_, err := renew(t.Context(), f.client(t, withKey(ClientKey{Signer: signers()["ES256"]})))
		if got := Diagnose(err).Reason; got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A signed request holds all parameters in its request object, and only those that OpenID Connect wants beside it.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set("require_signed_request_object", true)
	f.set("request_object_signing_alg_values_supported", []string{"PS256"})
	key := signers()["RS256"]
	request := AuthorizationRequest{
		RedirectURI: "http://localhost:3000/auth/callback", State: "s", Nonce: "n", CodeChallenge: "c",
		Scope: "openid email", Audience: "https://one", Audiences: []string{"https://two"},
		Extra: url.Values{
			"max_age": {"60"}, "claims": {`{"id_token":{"acr":null}}`}, "iss": {"mallory"}, "prompt": {"login"},
		},
	}
	raw, err := f.client(t, withKey(ClientKey{Signer: key})).AuthorizationURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	u := must(url.Parse(raw))
	q := u.Query()
	header, claims := opened(t, q.Get("request"), key)
	if header.Algorithm != "PS256" || header.ExtraHeaders[jose.HeaderType] != "oauth-authz-req+jwt" {
		t.Errorf("header %+v", header)
	}
	for name, want := range map[string]any{
		"iss": fakeClient, "aud": f.URL, "client_id": fakeClient, "response_type": "code", "state": "s", "nonce": "n",
		"redirect_uri": request.RedirectURI, "code_challenge": "c", "code_challenge_method": "S256", "prompt": "login",
		"scope": "openid email", "max_age": 60.0,
	} {
		if claims[name] != want {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
	resources, _ := claims["resource"].([]any)
	if _, isObject := claims["claims"].(map[string]any); !isObject || len(resources) != 2 || claims["sub"] != nil ||
		claims["exp"].(float64) > claims["iat"].(float64)+300 {
		t.Errorf("claims %v", claims)
	}
	beside := []string{}
	for name := range q {
		beside = append(beside, name)
	}
	slices.Sort(beside)
	if !slices.Equal(beside, []string{"client_id", "request", "response_type", "scope"}) {
		t.Errorf("beside the object: %v", beside)
	}
	// Without a key nothing is sent in clear.
	_, err = f.client(t).AuthorizationURL(t.Context(), request)
	if !errors.Is(err, ErrConfig) || Diagnose(err).Reason != ReasonRequestsUnsigned {
		t.Errorf("without a key: %v", err)
	}
}

// A request that is to be pushed is not sent through the browser where the provider has no endpoint for it.
func TestPushWanted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	wanted := func(cfg *Config) { cfg.Push = true }
	_, err := f.client(t, wanted).AuthorizationURL(t.Context(), AuthorizationRequest{})
	if !errors.Is(err, ErrConfig) || Diagnose(err).Reason != ReasonNoPush {
		t.Errorf("no endpoint: %v", err)
	}
	f.set("pushed_authorization_request_endpoint", f.URL+"/par")
	for uri, ok := range map[string]bool{
		"urn:ietf:params:oauth:request_uri:1": true, "urn:example:bwc4JK": true, f.URL + "/requests/1": true,
		"https://mallory.example/request.jwt": false, "http://127.0.0.1:1/request": false, "javascript:alert(1)": false,
		"urn:": false, "/relative": false, "urn:a b": false, "data:,x": false,
		"urn:x:" + strings.Repeat("a", 512): false, strings.Replace(f.URL, "://", "://u@", 1): false,
	} {
		f.on("/par", http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
		target, err := f.client(t, wanted).AuthorizationURL(t.Context(), AuthorizationRequest{})
		if ok != (err == nil) || !ok && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", uri, err)
		}
		if err == nil && must(url.Parse(target)).Query().Get("request_uri") != uri {
			t.Errorf("%q: %s", uri, target)
		}
	}
}
