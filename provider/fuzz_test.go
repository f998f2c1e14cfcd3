package provider

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/test/forge"
)

const fuzzIssuer = "https://provider.example.com"

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// The key and the clock are the same in every process, so that what one fuzzing process found means the same to
// another.
var fuzzKey = forge.Key{
	Algorithm: "EdDSA", ID: "e1", Private: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
}

func fuzzClock() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }

// known returns a provider that has discovery and keys in its cache, and can send no request.
func known(tb testing.TB) *Provider {
	tb.Helper()
	nobody := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no request is sent") })
	p, err := New(Config{
		Issuer: fuzzIssuer, ClientID: fakeClient, Now: fuzzClock, HTTPClient: &http.Client{Transport: nobody},
	})
	if err != nil {
		tb.Fatal(err)
	}
	discovery := must(json.Marshal(map[string]any{
		"issuer": fuzzIssuer, "authorization_endpoint": "https://x/a", "token_endpoint": "https://x/t",
		"jwks_uri": "https://x/k", "authorization_response_iss_parameter_supported": true,
		"id_token_signing_alg_values_supported": []string{"EdDSA", "RS256"},
	}))
	keys := must(json.Marshal(forge.KeySet(fuzzKey.Public())))
	p.cached = &diskCache{
		Issuer:     fuzzIssuer,
		Discovery:  cached{Raw: discovery, Fetched: fuzzClock(), MaxAge: mostFresh},
		Keys:       cached{Raw: keys, Fetched: fuzzClock(), MaxAge: mostFresh},
		UnknownKey: fuzzClock(), // as after a first made-up key ID: then the keys are not fetched again at once
	}
	p.keysTried = fuzzClock()
	return p
}

// knownClaims returns the claims of an honest token of the known provider, with more.
func knownClaims(more map[string]any) map[string]any {
	now := fuzzClock().Unix()
	c := map[string]any{"iss": fuzzIssuer, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 3600}
	maps.Copy(c, more)
	return c
}

// FuzzDiscovery: discovery that is believed names the configured issuer, and only https endpoints.
func FuzzDiscovery(f *testing.F) {
	p := known(f)
	f.Add([]byte(p.cached.Discovery.Raw))
	f.Add([]byte(`{"issuer":"` + fuzzIssuer + `","authorization_endpoint":"http://x",` +
		`"token_endpoint":"https://u@x","jwks_uri":"//x"}`))
	f.Add([]byte(`{"Issuer":"` + fuzzIssuer + `","issuer":null,"id_token_signing_alg_values_supported":["none","HS256"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := p.parseMetadata(raw)
		if err != nil {
			if !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
			return
		}
		if m.Issuer != fuzzIssuer || len(m.algorithms()) == 0 {
			t.Errorf("believed: %+v", m)
		}
		for _, endpoint := range []string{
			m.AuthorizationEndpoint, m.TokenEndpoint, m.JWKSURI, m.UserInfoEndpoint, m.RevocationEndpoint,
			m.EndSessionEndpoint, m.DeviceEndpoint, m.PAREndpoint,
		} {
			if endpoint == "" {
				continue
			}
			if u, err := url.Parse(endpoint); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
				t.Errorf("endpoint %q", endpoint)
			}
		}
		for _, alg := range m.algorithms() {
			if alg == "none" || strings.HasPrefix(alg, "HS") {
				t.Errorf("algorithm %s", alg)
			}
		}
	})
}

// FuzzKeys: no key set makes a secret, private or weak key verify anything, or verifies a token without a signature.
func FuzzKeys(f *testing.F) {
	p := known(f)
	f.Add([]byte(p.cached.Keys.Raw))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},7,null,{}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":""}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := parseKeys(raw)
		if err != nil {
			if !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
			return
		}
		for _, key := range keys {
			if !key.Valid() || !key.IsPublic() || key.Use == "enc" {
				t.Errorf("key %+v", key)
			}
		}
		for _, alg := range append(asymmetric, "none", "HS256", "") {
			for _, key := range fitting(keys, jose.Header{Algorithm: alg}) {
				if alg == "none" || alg == "HS256" || alg == "" {
					t.Errorf("%s has a key: %+v", alg, key)
				}
			}
		}
	})
}

// FuzzTokenAnswer: a token response that passes holds a Bearer token that can be put in a header, and an expiry no
// later than that of the token.
func FuzzTokenAnswer(f *testing.F) {
	p := known(f)
	for _, seed := range []string{
		`{"access_token":"a","token_type":"bearer","expires_in":3600,"refresh_token":"r","scope":"openid"}`,
		`{"access_token":"a\n","token_type":"Bearer","expires_in":-1}`,
		`{"access_token":"a.e30.b","token_type":"Bearer","expires_in":"1e9","scope":["a"]}`,
		`{"access_token":"a","access_token":"b","Access_Token":"c","token_type":"DPoP","refresh_expires_in":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var a tokenResponse
		if object(raw, &a) != nil {
			return
		}
		tokens, claims, err := p.tokens(&a, "https://api")
		if err != nil {
			if !errors.Is(err, ErrUntrusted) || tokens != nil {
				t.Errorf("%v, %v", tokens, err)
			}
			return
		}
		for _, token := range []Secret{tokens.AccessToken, tokens.RefreshToken} {
			value := token.Reveal()
			odd := strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
			if odd || len(value) > maxToken {
				t.Errorf("token %q", value)
			}
		}
		if tokens.TokenType != "Bearer" || tokens.AccessToken.IsZero() {
			t.Errorf("%+v", tokens)
		}
		if exp := claims.Time("exp"); !exp.IsZero() && (tokens.Expiry.IsZero() || tokens.Expiry.After(exp)) {
			t.Errorf("expiry %v, though the token says %v", tokens.Expiry, exp)
		}
	})
}

// FuzzCallback: a code comes out of a callback only if it is the only one, the response is from the configured
// issuer, and there is no error. No text that can steer a terminal comes out.
func FuzzCallback(f *testing.F) {
	p := known(f)
	for _, seed := range []string{
		"code=c&iss=https%3A%2F%2Fprovider.example.com&state=s", "code=c", "code=a&code=b&iss=x",
		"error=access_denied&error_description=%1b[31m&iss=https%3A%2F%2Fprovider.example.com",
		"error=&code=c&iss=https%3A%2F%2Fprovider.example.com", "%zz", "iss&iss",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		code, err := p.CheckResponse(t.Context(), q)
		theCode := len(q["code"]) == 1 && code.Reveal() == q.Get("code") && !code.IsZero()
		fromUs := len(q["iss"]) == 1 && q.Get("iss") == fuzzIssuer
		if err == nil && (!theCode || !fromUs || q.Has("error")) {
			t.Errorf("a code out of %q", raw)
		}
		if err != nil {
			if !code.IsZero() || !errors.Is(err, ErrUntrusted) && !errors.Is(err, ErrRefused) {
				t.Errorf("%v", err)
			}
			for _, r := range err.Error() {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
					t.Errorf("%U in %q", r, err)
				}
			}
		}
	})
}

// FuzzUserInfo: a signed UserInfo response is believed only with a signature by the provider's key.
func FuzzUserInfo(f *testing.F) {
	p := known(f)
	good := fuzzKey.Token(knownClaims(nil))
	f.Add("application/json", []byte(`{"sub":"ada","name":"Ada"}`))
	f.Add("application/jwt", []byte(good))
	f.Add("Application/JWT; charset=x", []byte(strings.Replace(good, "A", "B", 1)))
	f.Add("", []byte("null"))
	m := must(p.parseMetadata(p.cached.Discovery.Raw))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		resp := &response{status: 200, header: http.Header{"Content-Type": {kind}}, body: body}
		claims, err := p.userInfo(t.Context(), m, resp)
		if (claims == nil) == (err == nil) {
			t.Errorf("%v, %v", claims, err)
		}
		if iss, ok := claims["iss"]; ok && iss != fuzzIssuer {
			t.Errorf("issuer %v", iss)
		}
		isGood := strings.HasPrefix(strings.TrimSpace(string(body)), good[:strings.LastIndex(good, ".")])
		if kind == "application/jwt" && err == nil && !isGood {
			t.Errorf("%q was believed", body)
		}
	})
}

// FuzzLogoutToken: a logout token is believed only with a signature by the provider's key, and unchanged.
func FuzzLogoutToken(f *testing.F) {
	p := known(f)
	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	good := fuzzKey.Token(knownClaims(map[string]any{"jti": "1", "events": event}))
	for _, seed := range []string{
		good, good + "A", strings.Replace(good, ".", "..", 1), "a.e30.b", "", strings.ToLower(good),
		fuzzKey.Token(knownClaims(nil)),
	} {
		f.Add(seed)
	}
	signature := good[:strings.LastIndex(good, ".")]
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := p.VerifyLogoutToken(t.Context(), raw)
		if err != nil {
			if token != nil || !errors.Is(err, ErrUntrusted) && !errors.Is(err, ErrUnreachable) {
				t.Errorf("%v, %v", token, err)
			}
			return
		}
		if !strings.HasPrefix(raw, signature) || token.ID != "1" || token.Subject != "ada" {
			t.Errorf("%q was believed: %+v", raw, token)
		}
	})
}

// FuzzIDToken: an ID token is believed only with a signature by the provider's key, and unchanged.
func FuzzIDToken(f *testing.F) {
	p := known(f)
	m := must(p.parseMetadata(p.cached.Discovery.Raw))
	good := fuzzKey.Token(knownClaims(map[string]any{
		"nonce": "n", "aud": []string{fakeClient, "api"}, "azp": fakeClient, "auth_time": fuzzClock().Unix(),
	}))
	secret := string(fuzzKey.Private.Public().(ed25519.PublicKey))
	forged := []string{
		good, good + "A", strings.ToLower(good), strings.Replace(good, ".", "..", 1), "a.e30.b", "",
		fuzzKey.Token(knownClaims(map[string]any{"nonce": "m"})),
		forge.HS256(secret).Named("e1").Token(knownClaims(map[string]any{"nonce": "n"})),
		forge.Encode(map[string]any{"alg": "none"}) + good[strings.Index(good, "."):],
	}
	for _, seed := range forged {
		f.Add(seed)
	}
	signature := good[:strings.LastIndex(good, ".")]
	f.Fuzz(func(t *testing.T, raw string) {
		want := idTokenExpectation{nonce: "n", required: Requirement{MaxAge: time.Minute}}
		claims, expiry, err := p.verifyIDToken(t.Context(), m, raw, want)
		if err != nil {
			if claims != nil || !expiry.IsZero() || !errors.Is(err, ErrUntrusted) && !errors.Is(err, ErrUnreachable) {
				t.Errorf("%v, %v", claims, err)
			}
			return
		}
		if !strings.HasPrefix(raw, signature) || claims.Subject() != "ada" || !expiry.Equal(fuzzClock().Add(time.Hour)) {
			t.Errorf("%q was believed: %v", raw, claims)
		}
	})
}

// FuzzCache: whatever the cache holds, only discovery of the configured issuer and public keys are taken from it.
func FuzzCache(f *testing.F) {
	whole := must(json.Marshal(known(f).cached))
	for _, seed := range []string{
		string(whole), string(whole[:len(whole)/2]),
		strings.ReplaceAll(string(whole), fuzzIssuer, "https://mallory.example.com"),
		"{}", "null", `{"issuer":"` + fuzzIssuer + `","discovery":{"raw":7}}`,
	} {
		f.Add([]byte(seed))
	}
	dir := filepath.Join(f.TempDir(), "cache")
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := known(t)
		p.cfg.CacheDir, p.cached = dir, nil
		if err := errors.Join(private.Dir(dir), private.Replace(p.cachePath(), raw)); err != nil {
			t.Fatal(err)
		}
		m, err := p.metadata(t.Context(), forLogin)
		if err != nil {
			if !errors.Is(err, ErrUnreachable) { // discovery is fetched anew, in vain
				t.Errorf("%v", err)
			}
			return
		}
		if m.Issuer != fuzzIssuer || !strings.HasPrefix(m.TokenEndpoint, "https://") {
			t.Errorf("believed: %+v", m)
		}
		keys, _, _ := p.keys(t.Context(), m, forLogin, time.Time{})
		for _, key := range keys {
			if !key.Valid() || !key.IsPublic() {
				t.Errorf("key %+v", key)
			}
		}
	})
}

// BenchmarkVerifyIDToken measures the verification of an ID token with a cached RSA key.
func BenchmarkVerifyIDToken(b *testing.B) {
	p := known(b)
	m := must(p.parseMetadata(p.cached.Discovery.Raw))
	p.cached.Keys.Raw = must(json.Marshal(forge.KeySet(forge.RS256().Public()))) // what most providers sign with
	raw := forge.RS256().Token(knownClaims(map[string]any{"nonce": "n"}))
	for b.Loop() {
		if _, _, err := p.verifyIDToken(b.Context(), m, raw, idTokenExpectation{nonce: "n"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCacheLoad measures how a renewal learns its endpoints: it reads a file and parses discovery.
func BenchmarkCacheLoad(b *testing.B) {
	cfg := Config{Issuer: fuzzIssuer, ClientID: fakeClient, CacheDir: b.TempDir()}
	first := must(New(cfg))
	first.cached = known(b).cached
	first.store()
	for b.Loop() {
		if _, err := must(New(cfg)).metadata(b.Context(), forSession); err != nil {
			b.Fatal(err)
		}
	}
}
