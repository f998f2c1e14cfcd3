package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// A proofSeen is what a server reads in a proof.
type proofSeen struct {
	JTI, HTM, HTU, Nonce, ATH string
	IAT                       int64
	thumbprint                string
}

// readProof verifies the proof of a request with the key in it.
func readProof(t testing.TB, r *http.Request) proofSeen {
	t.Helper()
	var seen proofSeen
	signed, err := jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Errorf("the proof: %v", err)
		return seen
	}
	h := signed.Signatures[0].Protected
	if h.ExtraHeaders["typ"] != "dpop+jwt" || h.JSONWebKey == nil || !h.JSONWebKey.IsPublic() {
		t.Errorf("the proof's header: %+v", h)
		return seen
	}
	payload, err := signed.Verify(h.JSONWebKey)
	if err != nil || json.Unmarshal(payload, &seen) != nil {
		t.Errorf("the proof: %v", err)
	}
	sum, _ := h.JSONWebKey.Thumbprint(5) // SHA-256
	seen.thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	return seen
}

// bound returns a provider that offers DPoP, and a client that wants it.
func bound(t testing.TB) (*fake, *Provider, *Prover) {
	t.Helper()
	f := newFake(t)
	f.set("dpop_signing_alg_values_supported", []string{"RS256", "ES256"})
	p := f.client(t, func(c *Config) { c.DPoP = true })
	prover, err := p.NewProver(t.Context())
	if err != nil || prover == nil {
		t.Fatal(prover, err)
	}
	return f, p, prover
}

func renewBound(t testing.TB, p *Provider, prover *Prover) (*Tokens, error) {
	t.Helper()
	return p.Refresh(t.Context(), RefreshRequest{
		RefreshToken: NewSecret("the refresh token"), Subject: "ada", Prover: prover,
	})
}

// The provider compares the time of a proof with its own clock, so a computer's that is wrong does no harm.
func TestProofTime(t *testing.T) {
	t.Parallel()
	f, _, prover := bound(t)
	p := f.client(t, func(c *Config) {
		c.DPoP, c.Now = true, func() time.Time { return time.Now().Add(-3 * time.Hour) }
	})
	if _, err := p.Support(t.Context()); err != nil { // its response has the provider's time
		t.Fatal(err)
	}
	prover, err := p.RestoreProver(prover.Key(), "")
	if err != nil {
		t.Fatal(err)
	}
	request, err := ProofRequest(t.Context(), http.MethodGet, f.URL+"/x")
	if err != nil {
		t.Fatal(err)
	}
	proof, err := prover.Proof(request, NewSecret("token"), "")
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Header: http.Header{"Dpop": {proof.Reveal()}}}
	if off := time.Since(time.Unix(readProof(t, r).IAT, 0)); off.Abs() > time.Hour {
		t.Errorf("the proof is %s old", off)
	}
}

// TestProofs: each request to the token endpoint has a fresh proof of the session's key, also one that is sent again
// because the provider asked to wait. A key that was stored makes proofs of the same key.
func TestProofs(t *testing.T) {
	t.Parallel()
	f, _, prover := bound(t)
	f.set("token_endpoint", f.URL+"/token?tenant=1")
	good := f.tokens(func(a map[string]any) { a["token_type"] = "dpop" })
	var mu sync.Mutex
	var all []proofSeen
	f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if all = append(all, readProof(t, r)); len(all) == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(good)
	})
	p := f.client(t, func(c *Config) { c.DPoP = true })
	tokens, err := renewBound(t, p, prover)
	if err != nil || tokens.TokenType != "DPoP" || tokens.Prover != prover {
		t.Fatal(tokens, err)
	}
	again, err := p.RestoreProver(prover.Key(), prover.Nonce())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := renewBound(t, p, again); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%d requests", len(all))
	}
	ids := map[string]bool{}
	for _, seen := range all {
		ids[seen.JTI] = true
		if age := time.Since(time.Unix(seen.IAT, 0)); age < -time.Minute || age > time.Minute {
			t.Errorf("iat is %v ago", age)
		}
		if seen.HTM != "POST" || seen.HTU != f.URL+"/token" || seen.Nonce != "" || seen.ATH != "" ||
			seen.thumbprint != prover.thumbprint() {
			t.Errorf("a proof %+v", seen)
		}
	}
	if len(ids) != 3 {
		t.Error("a proof was used twice")
	}
}

// TestProofNonce: a nonce that the provider asks for costs one more request, once. Each response may bring another.
func TestProofNonce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		give func(request int) []string // the nonces in the response
		want func(request int) string   // the nonce without which the request is refused
		code string                     // of refusals
		err  bool
		sent []int // requests for each of two renewals
	}{
		"none": {sent: []int{1, 1}},
		"kept": {
			give: func(int) []string { return []string{"n"} }, want: func(int) string { return "n" }, sent: []int{2, 1},
		},
		"a new one in each response": {
			give: func(n int) []string { return []string{fmt.Sprint("n", n)} },
			want: func(n int) string { return fmt.Sprint("n", n-1) }, sent: []int{2, 1},
		},
		"endless": {
			give: func(n int) []string { return []string{fmt.Sprint("n", n)} },
			want: func(int) string { return "never" }, err: true, sent: []int{2, 2},
		},
		"no nonce": {want: func(int) string { return "n" }, err: true, sent: []int{1, 1}},
		"two nonces": {
			give: func(int) []string { return []string{"n", "n"} }, want: func(int) string { return "n" }, err: true,
			sent: []int{1, 1},
		},
		"a space in it": {
			give: func(int) []string { return []string{"n n"} }, want: func(int) string { return "n n" }, err: true,
			sent: []int{1, 1},
		},
		"too long": {
			give: func(int) []string { return []string{strings.Repeat("n", 1<<10+1)} },
			want: func(int) string { return "n" }, err: true, sent: []int{1, 1},
		},
		"beside another error": {
			give: func(int) []string { return []string{"n"} }, want: func(int) string { return "m" },
			code: "invalid_dpop_proof", err: true, sent: []int{1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p, prover := bound(t)
			good := f.tokens(func(a map[string]any) { a["token_type"] = "DPoP" })
			var mu sync.Mutex
			n := 0
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				n++
				if c.give != nil {
					w.Header()["Dpop-Nonce"] = c.give(n)
				}
				code := c.code
				if code == "" {
					code = "use_dpop_nonce"
				}
				if c.want != nil && readProof(t, r).Nonce != c.want(n) {
					w.WriteHeader(http.StatusBadRequest)
					_ = json.NewEncoder(w).Encode(map[string]any{"error": code})
					return
				}
				_ = json.NewEncoder(w).Encode(good)
			})
			for i, want := range c.sent {
				f.reset()
				_, err := renewBound(t, p, prover)
				if (err != nil) != c.err || c.err && !errors.Is(err, ErrRefused) {
					t.Errorf("renewal %d: %v", i, err)
				}
				if reason := Diagnose(err).Reason; c.err && reason != ReasonProofNonce && reason != ReasonProofRefused {
					t.Errorf("renewal %d: reason %q", i, reason)
				}
				if got := f.requests("/token"); got != want {
					t.Errorf("renewal %d made %d requests, not %d", i, got, want)
				}
				again, err := p.RestoreProver(prover.Key(), prover.Nonce()) // as another process does
				if err != nil {
					t.Fatal(err)
				}
				prover = again
			}
		})
	}
}

// TestUnboundTokens: a proof asks for a token that is bound to its key. No other is taken.
func TestUnboundTokens(t *testing.T) {
	t.Parallel()
	f, p, prover := bound(t)
	foreign, err := p.NewProver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	jwt := func(cnf any) string {
		claims := map[string]any{"sub": "ada", "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
		if cnf != nil {
			claims["cnf"] = cnf
		}
		return forge.RS256().Token(claims)
	}
	for name, c := range map[string]struct {
		kind, token string
		prover      *Prover
		want        error
	}{
		"opaque":             {"DPoP", "opaque", prover, nil},
		"bound":              {"DPoP", jwt(map[string]any{"jkt": prover.thumbprint()}), prover, nil},
		"a JWT that is mute": {"DPoP", jwt(nil), prover, nil},
		"bearer":             {"Bearer", "opaque", prover, ErrTokenType},
		"no type":            {"", "opaque", prover, ErrTokenType},
		"another key":        {"DPoP", jwt(map[string]any{"jkt": foreign.thumbprint()}), prover, ErrKeyBinding},
		"a certificate":      {"DPoP", jwt(map[string]any{"x5t#S256": "abc"}), prover, ErrTokenType},
		"cnf is no object":   {"DPoP", jwt("jkt"), prover, ErrKeyBinding},
		"not asked for":      {"DPoP", "opaque", nil, ErrTokenType},
	} {
		f.on("/token", 200, f.tokens(func(a map[string]any) {
			a["token_type"], a["access_token"] = c.kind, c.token
		}))
		tokens, err := renewBound(t, p, c.prover)
		if !errors.Is(err, c.want) || err == nil && tokens.TokenType != "DPoP" {
			t.Errorf("%s: %v, %v", name, tokens, err)
		}
		if c.want != nil && (tokens == nil || tokens.RefreshToken.Reveal() != "second" || !tokens.AccessToken.IsZero()) {
			t.Errorf("%s: the refresh token that came is lost, or more was kept", name)
		}
	}
}

// TestNoDPoP: a provider that does not say that it knows DPoP gets no login.
func TestNoDPoP(t *testing.T) {
	t.Parallel()
	for _, offered := range []any{nil, []string{}, []string{"RS256", "none"}} {
		f := newFake(t)
		if offered != nil {
			f.set("dpop_signing_alg_values_supported", offered)
		}
		p := f.client(t, func(c *Config) { c.DPoP = true })
		if prover, err := p.NewProver(t.Context()); prover != nil || Diagnose(err).Reason != ReasonNoDPoP {
			t.Errorf("%v: %v, %v", offered, prover, err)
		}
		if _, err := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("code")}); !errors.Is(err, ErrConfig) {
			t.Errorf("a code without a prover: %v", err)
		}
		if prover, err := f.client(t).NewProver(t.Context()); prover != nil || err != nil {
			t.Errorf("without Config.DPoP: %v, %v", prover, err)
		}
	}
}

// TestRemoteProver: one without a key is no prover of a login or a renewal, and the provider is not asked.
func TestRemoteProver(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.set("dpop_signing_alg_values_supported", []string{"ES256"})
	asked := false
	f.hook("/token", func(http.ResponseWriter, *http.Request) { asked = true })
	p := f.client(t, func(c *Config) { c.DPoP = true })
	remote := RemoteProver(func(*http.Request, Secret, string) (Secret, error) { return NewSecret("proof"), nil })
	_, login := p.AuthorizationURL(t.Context(), AuthorizationRequest{Prover: remote})
	_, exchange := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("code"), Prover: remote})
	_, renewal := p.Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("r"), Prover: remote})
	for what, err := range map[string]error{"login": login, "exchange": exchange, "renewal": renewal} {
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "use NewProver or RestoreProver") || MaybeSent(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if asked {
		t.Error("the provider was asked")
	}
}

// TestAuthorize: a resource server gets the token with a proof for its very URL, with a hash of the token and with the
// nonce that this server gave.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	f, _, prover := bound(t)
	const token = "an access token"
	sum := sha256.Sum256([]byte(token))
	server := newFake(t)
	server.hook("/a/b c", func(w http.ResponseWriter, r *http.Request) {
		seen := readProof(t, r)
		if r.Header.Get("Authorization") != "DPoP "+token || seen.HTM != "PUT" || seen.HTU != server.URL+"/a%2Fb%20c" ||
			seen.ATH != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("%v %+v", r.Header, seen)
		}
		w.Header().Set("DPoP-Nonce", "of-the-server")
		if seen.Nonce != "of-the-server" {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	send := func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/a%2Fb%20c?q=1#part", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := prover.Authorize(req, NewSecret(token)); err != nil {
			t.Fatal(err)
		}
		resp, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		again := prover.Challenged(resp)
		if again == (resp.StatusCode == http.StatusOK) {
			t.Errorf("HTTP %d, again: %v", resp.StatusCode, again)
		}
		return again
	}
	if !send() || send() || send() {
		t.Error("the nonce is asked for once")
	}
	if prover.Nonce() != "" {
		t.Error("a resource server's nonce is not the provider's")
	}
	request, err := ProofRequest(t.Context(), "PUT", server.URL+"/a%2Fb%20c?q=1")
	if err != nil {
		t.Fatal(err)
	}
	proof, err := prover.Proof(request, NewSecret(token), "given")
	if err != nil {
		t.Fatal(err)
	}
	seen := readProof(t, &http.Request{Header: http.Header{"Dpop": {proof.Reveal()}}})
	if seen.Nonce != "given" || seen.HTU != server.URL+"/a%2Fb%20c" {
		t.Errorf("%+v", seen)
	}
	for target, method := range map[string]string{
		"api.example.com": "GET", "ftp://a/": "GET", "https://ada@a/": "GET", "https:a": "GET", "https://a/": "get",
		"https://b/": "", "https://c/": "GET /\r\n",
	} {
		if _, err := ProofRequest(t.Context(), method, target); !errors.Is(err, ErrProofRequest) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if _, err := prover.Proof(request, NewSecret(token), "no\nnonce"); !errors.Is(err, ErrProofRequest) {
		t.Errorf("a nonce with a newline: %v", err)
	}
	for target, want := range map[string]bool{
		f.URL + "/token": true, f.URL + "/x/../%74oken?a": true, strings.Replace(f.URL, "http", "HTTP", 1) + "//token/": true,
		f.URL + "/userinfo": false, server.URL + "/token": false,
	} {
		request, err := ProofRequest(t.Context(), "POST", target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := prover.Proof(request, NewSecret(token), ""); errors.Is(err, ErrProofRequest) != want {
			t.Errorf("a proof for %s, with a token: %v", target, err)
		}
	}
	root := &http.Request{Method: "GET", Host: "other.example", URL: &url.URL{Scheme: "https", Host: "a.example"}}
	if got := ProofTarget(root); got != "https://other.example/" {
		t.Error(got)
	}
	for i := range 2 * mostNonceOrigin { // of many servers, not all nonces are kept; the provider's is
		prover.keepNonce("", "own")
		prover.keepNonce(fmt.Sprint("https://", i, ".example"), "n")
	}
	if len(prover.nonces) > mostNonceOrigin || prover.Nonce() != "own" {
		t.Errorf("%d nonces", len(prover.nonces))
	}
}

// TestProverIsSecret: no formatting shows the key.
func TestProverIsSecret(t *testing.T) {
	t.Parallel()
	_, _, prover := bound(t)
	raw, err := base64.RawURLEncoding.DecodeString(prover.Key().Reveal())
	if err != nil || len(raw) != 32 {
		t.Fatal(err, len(raw))
	}
	encoded, err := json.Marshal(map[string]any{"p": prover})
	if err != nil {
		t.Fatal(err)
	}
	shown := string(encoded) + fmt.Sprintf("%v %+v %#v %s", prover, prover, Tokens{Prover: prover}, prover.Key())
	for _, secret := range []string{prover.Key().Reveal(), fmt.Sprintf("%x", raw), new(big.Int).SetBytes(raw).String()} {
		if strings.Contains(shown, secret) {
			t.Error("the key is shown")
		}
	}
}
