package provider

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/test/forge"
)

const fakeClient = "the client"

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A fake is a provider made by hand: it says whatever a test wants it to say, and counts who asks.
type fake struct {
	*httptest.Server
	mu       sync.Mutex
	metadata map[string]any
	keys     any // the key set, as JSON
	handle   map[string]http.HandlerFunc
	asked    map[string]int
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{handle: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.metadata = map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
		"userinfo_endpoint": f.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"},
	}
	f.keys = forge.KeySet(forge.RS256().Public())
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path]++
	handle, metadata, keys := f.handle[r.URL.Path], maps.Clone(f.metadata), f.keys
	f.mu.Unlock()
	w.Header().Set("Cache-Control", "public, max-age=15") // Auth0's own
	switch {
	case handle != nil:
		handle(w, r)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(metadata)
	case r.URL.Path == "/keys":
		_ = json.NewEncoder(w).Encode(keys)
	default:
		http.NotFound(w, r)
	}
}

// on answers a path with a status and a body: text as it is, the rest as JSON.
func (f *fake) on(path string, status int, body any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if text, ok := body.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}
}

func (f *fake) set(name string, value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.metadata[name] = value
}

// hook lets a test answer a path by itself.
func (f *fake) hook(path string, handle http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handle[path] = handle
}

// requests is how often a path was asked for since the last count.
func (f *fake) requests(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *fake) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = map[string]int{}
}

// count compares what was asked since the last count.
func (f *fake) count(t testing.TB, what string, want map[string]int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if got := f.asked; !maps.Equal(got, want) {
		t.Errorf("%s: requests %v, want %v", what, got, want)
	}
	f.asked = map[string]int{}
}

// client is a new process's view of the fake.
func (f *fake) client(t testing.TB, change ...func(*Config)) *Provider {
	t.Helper()
	cfg := Config{Issuer: f.URL, ClientID: fakeClient}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fake) claims(change ...func(map[string]any)) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": f.URL, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 3600, "nonce": "n"}
	for _, one := range change {
		one(c)
	}
	return c
}

// answer is a good token answer with an opaque access token.
func (f *fake) answer(change ...func(map[string]any)) map[string]any {
	a := map[string]any{
		"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "second",
		"id_token": forge.RS256().Token(f.claims()),
	}
	for _, one := range change {
		one(a)
	}
	return a
}

// bare returns a public key that says neither what it is for nor by which algorithm it signs.
func bare(k forge.Key) map[string]any {
	jwk := k.Public()
	delete(jwk, "alg")
	delete(jwk, "use")
	return jwk
}

// published returns a public key with other members than its own.
func published(k forge.Key, members map[string]any) map[string]any {
	jwk := k.Public()
	maps.Copy(jwk, members)
	return jwk
}

// verify verifies an ID token as a login that sent the nonce n would.
func verify(ctx context.Context, p *Provider, raw string, want idTokenExpectation) error {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return err
	}
	_, _, err = p.verifyIDToken(ctx, m, raw, want)
	return err
}

// Which key may have made a signature, and which may not.
func TestKeys(t *testing.T) {
	t.Parallel()
	rsa1 := forge.RS256().Public()
	rsa2 := forge.OtherRS256().Public()
	small := forge.Key{Algorithm: "RS256", ID: "rsa-1", Private: must(rsa.GenerateKey(rand.Reader, 1536))} // RFC 7518, section 3.3, wants 2048
	spki := string(must(x509.MarshalPKIXPublicKey(forge.RS256().Private.Public())))
	for name, c := range map[string]struct {
		algorithms []string
		keys       map[string]any
		token      func(claims map[string]any) string
		want       error
	}{
		"one key, its ID": {nil, forge.KeySet(rsa1), func(c map[string]any) string { return forge.RS256().Token(c) }, nil},
		"one key, no ID":  {nil, forge.KeySet(rsa1), func(c map[string]any) string { return forge.RS256().Named("").Token(c) }, nil},
		"several keys, no ID": {nil, forge.KeySet(rsa2, forge.ES256().Public(), rsa1),
			func(c map[string]any) string { return forge.RS256().Named("").Token(c) }, nil},
		"two keys of one ID": {nil, forge.KeySet(forge.OtherRS256().Named("rsa-1").Public(), rsa1),
			func(c map[string]any) string { return forge.RS256().Token(c) }, nil},
		"another's key under a known ID": {nil, forge.KeySet(rsa1), func(c map[string]any) string { return forge.OtherRS256().Named("rsa-1").Token(c) }, ErrSignature},
		"another's key, no ID":           {nil, forge.KeySet(rsa1), func(c map[string]any) string { return forge.OtherRS256().Named("").Token(c) }, ErrSignature},
		"a key that came with the token": {nil, forge.KeySet(rsa1), func(c map[string]any) string {
			return forge.OtherRS256().Sign(map[string]any{"alg": "RS256", "jwk": forge.OtherRS256().Public()}, c)
		}, ErrSignature},
		"broken and unrelated keys beside it": {nil, forge.KeySet(
			map[string]any{"kty": "RSA", "kid": "r1"}, map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "r1"}, map[string]any{"kty": "new"},
			"no key", 7, nil, map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, rsa1,
		), func(c map[string]any) string { return forge.RS256().Token(c) }, nil},
		"a key for encryption": {nil, forge.KeySet(published(forge.RS256(), map[string]any{"use": "enc"})),
			func(c map[string]any) string { return forge.RS256().Token(c) }, ErrSignature},
		"a key of another algorithm": {[]string{"RS256", "PS256"}, forge.KeySet(forge.PS256().Public()),
			func(c map[string]any) string { return forge.RS256().Token(c) }, ErrSignature},
		"a key that is too small": {nil, forge.KeySet(small.Public()), func(c map[string]any) string { return small.Token(c) }, ErrSignature},
		"no keys":                 {nil, forge.KeySet(), func(c map[string]any) string { return forge.RS256().Token(c) }, ErrMalformed},
		"no set":                  {nil, map[string]any{}, func(c map[string]any) string { return forge.RS256().Token(c) }, ErrMalformed},
		"HMAC with the public key": {nil, forge.KeySet(rsa1), func(c map[string]any) string {
			return forge.HS256(forge.RS256().PEM()).Token(c)
		}, ErrAlgorithm},
		"HMAC, and advertised beside RS256": {[]string{"RS256", "HS256", "none"}, forge.KeySet(rsa1),
			func(c map[string]any) string { return forge.HS256(spki).Token(c) }, ErrAlgorithm},
		"none advertised beside RS256": {[]string{"RS256", "none"}, forge.KeySet(rsa1), func(c map[string]any) string {
			return forge.Unsigned(map[string]any{"alg": "none"}, c)
		}, ErrAlgorithm},
		"only HMAC advertised": {[]string{"HS256"}, forge.KeySet(rsa1), func(c map[string]any) string { return forge.HS256(spki).Named("").Token(c) }, ErrAlgorithm},
		"nothing advertised: RS256": {[]string{}, forge.KeySet(bare(forge.ES256())),
			func(c map[string]any) string { return forge.ES256().Token(c) }, ErrAlgorithm},
		"PS256": {[]string{"PS256"}, forge.KeySet(bare(forge.RS256().Named("k"))), func(c map[string]any) string { return forge.RS256().As("PS256").Named("k").Token(c) }, nil},
		"RS512": {[]string{"RS512"}, forge.KeySet(bare(forge.RS256().Named("k"))), func(c map[string]any) string { return forge.RS256().As("RS512").Named("k").Token(c) }, nil},
		"ES256": {[]string{"ES256"}, forge.KeySet(bare(forge.ES256().Named("k"))), func(c map[string]any) string { return forge.ES256().Named("k").Token(c) }, nil},
		"ES384": {[]string{"ES384"}, forge.KeySet(bare(forge.ES384().Named("k"))), func(c map[string]any) string { return forge.ES384().Named("k").Token(c) }, nil},
		"ES512": {[]string{"ES512"}, forge.KeySet(bare(forge.ES512().Named("k"))), func(c map[string]any) string { return forge.ES512().Named("k").Token(c) }, nil},
		"EdDSA": {[]string{"EdDSA"}, forge.KeySet(bare(forge.EdDSA().Named("k"))), func(c map[string]any) string { return forge.EdDSA().Named("k").Token(c) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.keys = c.keys
			if c.algorithms != nil {
				f.set("id_token_signing_alg_values_supported", c.algorithms)
			}
			err := verify(t.Context(), f.client(t), c.token(f.claims()), idTokenExpectation{nonce: "n"})
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (!errors.Is(err, ErrUntrusted) || strings.Contains(err.Error(), "eyJ")) {
				t.Errorf("not untrusted, or it holds a token: %v", err)
			}
		})
	}
	t.Run("curve", func(t *testing.T) {
		t.Parallel()
		if len(fitting([]jose.JSONWebKey{{Key: forge.ES384().Private.Public()}}, jose.Header{Algorithm: "ES256"})) != 0 {
			t.Error("ES256 with a key of P-384")
		}
	})
}

// What the tenant can't be made to say.
func TestForgedClaims(t *testing.T) {
	t.Parallel()
	old := time.Now().Add(-25 * time.Hour).Unix()
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   idTokenExpectation
		err    error
	}{
		"issued yesterday":                  {func(c map[string]any) { c["iat"] = old }, idTokenExpectation{nonce: "n"}, ErrIssuedAt},
		"issued yesterday, and renewed now": {func(c map[string]any) { c["iat"] = old }, idTokenExpectation{renewed: true}, nil},
		"not yet valid":                     {func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, idTokenExpectation{nonce: "n"}, ErrIssuedAt},
		"valid never":                       {func(c map[string]any) { c["nbf"] = 1e300 }, idTokenExpectation{nonce: "n"}, ErrIssuedAt},
		"valid from a word on":              {func(c map[string]any) { c["nbf"] = "now" }, idTokenExpectation{nonce: "n"}, ErrUntrusted},
		"valid since ever":                  {func(c map[string]any) { c["nbf"] = 0 }, idTokenExpectation{nonce: "n"}, nil},
		"expiry a word":                     {func(c map[string]any) { c["exp"] = "tomorrow" }, idTokenExpectation{nonce: "n"}, ErrExpired},
		"expiry negative":                   {func(c map[string]any) { c["exp"] = -1 }, idTokenExpectation{nonce: "n"}, ErrExpired},
		"issued-at a word":                  {func(c map[string]any) { c["iat"] = "now" }, idTokenExpectation{nonce: "n"}, ErrUntrusted},
		"subject a number":                  {func(c map[string]any) { c["sub"] = 7 }, idTokenExpectation{nonce: "n"}, ErrUntrusted},
		// encoding/json, and so go-oidc, takes "isſ" for iss, and the last of two.
		"ours by another spelling, after another's": {func(c map[string]any) { c["isſ"], c["iss"] = c["iss"], "https://mallory.example.com" }, idTokenExpectation{nonce: "n"}, ErrIssuer},
		"audience holds a number":                   {func(c map[string]any) { c["aud"] = []any{fakeClient, 7} }, idTokenExpectation{nonce: "n"}, ErrUntrusted},
		"max_age, no auth_time":                     {func(map[string]any) {}, idTokenExpectation{nonce: "n", maxAge: time.Minute}, ErrAuthTime},
		"max_age, too long ago":                     {func(c map[string]any) { c["auth_time"] = old }, idTokenExpectation{nonce: "n", maxAge: time.Minute}, ErrAuthTime},
		"max_age, just now":                         {func(c map[string]any) { c["auth_time"] = c["iat"] }, idTokenExpectation{nonce: "n", maxAge: time.Minute}, nil},
		"another authentication":                    {func(c map[string]any) { c["auth_time"] = old }, idTokenExpectation{renewed: true, authTime: time.Now()}, ErrAuthTime},
		"renewed, the nonce of another login":       {func(c map[string]any) { c["nonce"] = "another" }, idTokenExpectation{renewed: true, nonce: "n"}, ErrNonce},
		"renewed, the nonce a number":               {func(c map[string]any) { c["nonce"] = 7 }, idTokenExpectation{renewed: true, nonce: "n"}, ErrUntrusted},
		"renewed, the same nonce":                   {func(map[string]any) {}, idTokenExpectation{renewed: true, nonce: "n"}, nil},
		"renewed, no nonce":                         {func(c map[string]any) { delete(c, "nonce") }, idTokenExpectation{renewed: true, nonce: "n"}, nil},
		"a nonce that nobody sent":                  {func(map[string]any) {}, idTokenExpectation{}, ErrNonce},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			err := verify(t.Context(), f.client(t), forge.RS256().Token(f.claims(c.change)), c.want)
			if c.err == nil && err != nil || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
		})
	}
}

// at_hash is half of the hash that the signature's algorithm uses; EdDSA's is SHA-512.
func TestAccessTokenHash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  forge.Key
		hash crypto.Hash
	}{
		{forge.RS256(), crypto.SHA256},
		{forge.RS256().As("PS384"), crypto.SHA384},
		{forge.ES384(), crypto.SHA384},
		{forge.RS256().As("RS512"), crypto.SHA512},
		{forge.EdDSA(), crypto.SHA512},
	} {
		f := newFake(t)
		f.keys = forge.KeySet(bare(c.key))
		f.set("id_token_signing_alg_values_supported", []string{c.key.Algorithm})
		h := c.hash.New()
		h.Write([]byte("the access token"))
		sum := h.Sum(nil)
		raw := c.key.Token(f.claims(func(claims map[string]any) {
			claims["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
		}))
		p := f.client(t)
		if err := verify(t.Context(), p, raw, idTokenExpectation{nonce: "n", accessToken: NewSecret("the access token")}); err != nil {
			t.Errorf("%s: %v", c.key.Algorithm, err)
		}
		if err := verify(t.Context(), p, raw, idTokenExpectation{nonce: "n", accessToken: NewSecret("another")}); !errors.Is(err, ErrAccessTokenHash) {
			t.Errorf("%s: another access token: %v", c.key.Algorithm, err)
		}
	}
}

// Unknown key IDs cost one request, then none for a while, over all processes that share the cache.
func TestUnknownKeyIDs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "cache")
	var offset time.Duration
	client := func() *Provider {
		return f.client(t, func(c *Config) { c.CacheDir, c.Now = dir, func() time.Time { return time.Now().Add(offset) } })
	}
	good := forge.RS256().Token(f.claims())
	if err := verify(t.Context(), client(), good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Fatal(err)
	}
	f.count(t, "the first", map[string]int{"/.well-known/openid-configuration": 1, "/keys": 1})
	storm := func(p func() *Provider) {
		for range 5 {
			if err := verify(t.Context(), p(), forge.OtherRS256().Named("garbage").Token(f.claims()), idTokenExpectation{nonce: "n"}); !errors.Is(err, ErrSignature) {
				t.Errorf("got %v", err)
			}
		}
	}
	storm(client)
	f.count(t, "garbage at once", map[string]int{"/keys": 1})
	offset = time.Minute
	storm(client)
	f.count(t, "garbage a minute later", map[string]int{"/keys": 1})
	// Keys that can't be fetched are not asked for again and again either.
	f.on("/keys", 503, "")
	offset = 2 * time.Minute
	one := client()
	for range 5 {
		if err := verify(t.Context(), one, forge.OtherRS256().Named("garbage").Token(f.claims()), idTokenExpectation{nonce: "n"}); err == nil {
			t.Error("garbage was believed")
		}
	}
	f.count(t, "garbage while there are no keys", map[string]int{"/keys": 1})
	if err := verify(t.Context(), one, good, idTokenExpectation{nonce: "n"}); err != nil {
		t.Errorf("the key that is known: %v", err)
	}
}

// A logout token comes from anyone who can reach the port, so each refusal has its name.
func TestForgedLogoutTokens(t *testing.T) {
	t.Parallel()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	for name, c := range map[string]struct {
		change func(map[string]any)
		typ    string
		key    forge.Key
		want   error
	}{
		"good":             {func(map[string]any) {}, "logout+jwt", forge.RS256(), nil},
		"good, plain":      {func(map[string]any) {}, "JWT", forge.RS256(), nil},
		"an access token":  {func(map[string]any) {}, "at+jwt", forge.RS256(), ErrTokenType},
		"an ID token":      {func(c map[string]any) { delete(c, "events"); c["nonce"] = "n" }, "JWT", forge.RS256(), ErrNonce},
		"empty nonce":      {func(c map[string]any) { c["nonce"] = "" }, "JWT", forge.RS256(), ErrNonce},
		"another's key":    {func(map[string]any) {}, "logout+jwt", forge.OtherRS256().Named("rsa-1"), ErrSignature},
		"another issuer":   {func(c map[string]any) { c["iss"] = "https://mallory.example.com" }, "logout+jwt", forge.RS256(), ErrIssuer},
		"another client":   {func(c map[string]any) { c["aud"] = "mallory" }, "logout+jwt", forge.RS256(), ErrAudience},
		"expired":          {func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrExpired},
		"no expiry":        {func(c map[string]any) { delete(c, "exp") }, "logout+jwt", forge.RS256(), ErrExpired},
		"old":              {func(c map[string]any) { c["iat"] = time.Now().Add(-time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrIssuedAt},
		"not yet good":     {func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrIssuedAt},
		"no issued-at":     {func(c map[string]any) { delete(c, "iat") }, "logout+jwt", forge.RS256(), ErrIssuedAt},
		"another event":    {func(c map[string]any) { c["events"] = map[string]any{"x": map[string]any{}} }, "logout+jwt", forge.RS256(), ErrMalformed},
		"event is a list":  {func(c map[string]any) { c["events"] = map[string]any{event: []any{}} }, "logout+jwt", forge.RS256(), ErrMalformed},
		"nobody":           {func(c map[string]any) { delete(c, "sub") }, "logout+jwt", forge.RS256(), ErrSubject},
		"by session alone": {func(c map[string]any) { delete(c, "sub"); c["sid"] = "s" }, "logout+jwt", forge.RS256(), nil},
		"no ID":            {func(c map[string]any) { delete(c, "jti") }, "logout+jwt", forge.RS256(), ErrMalformed},
		"ID is a number":   {func(c map[string]any) { c["jti"] = 1 }, "logout+jwt", forge.RS256(), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			claims := f.claims(func(claims map[string]any) {
				delete(claims, "nonce")
				claims["jti"], claims["events"] = "1", map[string]any{event: map[string]any{}}
			}, c.change)
			token, err := f.client(t).VerifyLogoutToken(t.Context(), c.key.Sign(map[string]any{"alg": "RS256", "kid": "rsa-1", "typ": c.typ}, claims))
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (token.ID != "1" || token.Subject == "" && token.SessionID == "") {
				t.Errorf("got %+v", token)
			}
			if err != nil && !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
		})
	}
}

// UserInfo is asked for what the scopes promise and the ID token lacks, and believed only about the same person.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	jwtBody := func(f *fake, change ...func(map[string]any)) string {
		return forge.RS256().Token(f.claims(append(change, func(c map[string]any) { c["name"] = "Ada" })...))
	}
	for name, c := range map[string]struct {
		idToken   map[string]any // claims beside the usual
		audience  string
		kind      string
		status    int
		body      func(f *fake) string
		want      error
		requests  int
		gotByName string
	}{
		"JSON":                    {nil, "", "application/json", 200, func(*fake) string { return `{"sub":"ada","name":"Ada","nonce":"x"}` }, nil, 1, "Ada"},
		"JWT":                     {nil, "", "application/jwt; charset=utf-8", 200, func(f *fake) string { return jwtBody(f) }, nil, 1, "Ada"},
		"JWT of another client":   {nil, "", "application/jwt", 200, func(f *fake) string { return jwtBody(f, func(c map[string]any) { c["aud"] = "x" }) }, ErrAudience, 1, ""},
		"JWT of another issuer":   {nil, "", "application/jwt", 200, func(f *fake) string { return jwtBody(f, func(c map[string]any) { c["iss"] = "x" }) }, ErrIssuer, 1, ""},
		"JWT with another's key":  {nil, "", "application/jwt", 200, func(f *fake) string { return forge.OtherRS256().Named("rsa-1").Token(f.claims()) }, ErrSignature, 1, ""},
		"another person":          {nil, "", "application/json", 200, func(*fake) string { return `{"sub":"charles","name":"Charles"}` }, ErrSubject, 1, ""},
		"nobody":                  {nil, "", "application/json", 200, func(*fake) string { return `{"name":"Ada"}` }, ErrSubject, 1, ""},
		"no JSON":                 {nil, "", "text/html", 200, func(*fake) string { return `<p>` }, ErrMalformed, 1, ""},
		"null":                    {nil, "", "application/json", 200, func(*fake) string { return `null` }, ErrMalformed, 1, ""},
		"refused":                 {nil, "", "application/json", 401, func(*fake) string { return `` }, nil, 1, ""},
		"broken":                  {nil, "", "application/json", 500, func(*fake) string { return `` }, nil, 1, ""},
		"not needed":              {map[string]any{"name": "Ada L", "email": "a@example.com"}, "", "", 200, func(*fake) string { return `` }, nil, 0, ""},
		"a token for another API": {nil, "https://api.example.com", "", 200, func(*fake) string { return `` }, nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.on("/token", 200, f.answer(func(a map[string]any) {
				a["id_token"] = forge.RS256().Token(f.claims(func(claims map[string]any) { maps.Copy(claims, c.idToken) }))
			}))
			body := c.body(f)
			f.hook("/userinfo", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer opaque" {
					t.Errorf("Authorization %q", r.Header.Get("Authorization"))
				}
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(body))
			})
			tokens, err := f.client(t).Exchange(t.Context(), CodeExchange{Code: NewSecret("c"), Nonce: "n", Scope: "openid profile email", Audience: c.audience})
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && tokens.UserInfo.Text("name") != c.gotByName {
				t.Errorf("UserInfo is %v", tokens.UserInfo)
			}
			if err == nil && tokens.UserInfo.Text("nonce") != "" {
				t.Error("UserInfo overrides the ID token")
			}
			if got := f.requests("/userinfo"); got != c.requests {
				t.Errorf("%d requests", got)
			}
		})
	}
}

func TestAuthorizationURL(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set("authorization_endpoint", f.URL+"/authorize?tenant=a&client_id=mallory")
	request := AuthorizationRequest{
		RedirectURI: "http://localhost:3000/auth/callback", State: "s", Nonce: "n", CodeChallenge: "ch", Scope: "openid", Audience: "https://api",
		Extra: url.Values{"state": {"mallory"}, "redirect_uri": {"https://mallory.example.com"}, "prompt": {"login"}, "response_type": {"token"}},
	}
	want := url.Values{
		"tenant": {"a"}, "client_id": {fakeClient}, "response_type": {"code"}, "redirect_uri": {request.RedirectURI}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"ch"}, "code_challenge_method": {"S256"}, "scope": {"openid"}, "resource": {"https://api"}, "prompt": {"login"},
	}
	raw, err := f.client(t).AuthorizationURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got := must(url.Parse(raw)).Query(); got.Encode() != want.Encode() {
		t.Errorf("got  %s\nwant %s", got.Encode(), want.Encode())
	}
	raw, err = f.client(t, func(c *Config) { c.Auth0 = true }).AuthorizationURL(t.Context(), request)
	if q := must(url.Parse(raw)).Query(); err != nil || q.Get("audience") != "https://api" || q.Has("resource") {
		t.Errorf("Auth0 is asked %s: %v", raw, err)
	}
	// Pushed, the browser carries a reference and nothing of the request.
	f.set("require_pushed_authorization_requests", true)
	f.set("pushed_authorization_request_endpoint", f.URL+"/par")
	f.on("/par", 201, map[string]any{"request_uri": "urn:1", "expires_in": 60})
	raw, err = f.client(t).AuthorizationURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := must(url.Parse(raw)).Query().Encode(), "client_id=the+client&request_uri=urn%3A1&tenant=a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.on("/par", 201, map[string]any{})
	if _, err = f.client(t).AuthorizationURL(t.Context(), request); !errors.Is(err, ErrMalformed) {
		t.Errorf("no request_uri: %v", err)
	}
}
