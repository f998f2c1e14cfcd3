package provider

import (
	"crypto"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestForgedClaims verifies ID tokens with one claim changed, of a login and of a renewal.
func TestForgedClaims(t *testing.T) {
	t.Parallel()
	aMinute := idTokenExpectation{nonce: "n", required: Requirement{MaxAge: time.Minute}}
	old := time.Now().Add(-25 * time.Hour).Unix()
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   idTokenExpectation
		err    error
	}{
		"issued yesterday": {
			func(c map[string]any) { c["iat"] = old }, idTokenExpectation{nonce: "n"}, ErrIssuedAt,
		},
		"issued yesterday, and renewed now": {
			func(c map[string]any) { c["iat"] = old }, idTokenExpectation{renewed: true}, nil,
		},
		"not yet valid": {
			func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, idTokenExpectation{nonce: "n"}, ErrIssuedAt,
		},
		"valid never": {
			func(c map[string]any) { c["nbf"] = 1e300 }, idTokenExpectation{nonce: "n"}, ErrIssuedAt,
		},
		"valid from a word on": {
			func(c map[string]any) { c["nbf"] = "now" }, idTokenExpectation{nonce: "n"}, ErrUntrusted,
		},
		"valid since ever": {func(c map[string]any) { c["nbf"] = 0 }, idTokenExpectation{nonce: "n"}, nil},
		"expiry a word": {
			func(c map[string]any) { c["exp"] = "tomorrow" }, idTokenExpectation{nonce: "n"}, ErrExpired,
		},
		"expiry negative": {
			func(c map[string]any) { c["exp"] = -1 }, idTokenExpectation{nonce: "n"}, ErrExpired,
		},
		"issued-at a word": {
			func(c map[string]any) { c["iat"] = "now" }, idTokenExpectation{nonce: "n"}, ErrUntrusted,
		},
		"subject a number": {
			func(c map[string]any) { c["sub"] = 7 }, idTokenExpectation{nonce: "n"}, ErrUntrusted,
		},
		// encoding/json, and so go-oidc, takes "isſ" for iss, and the last of two for the claim.
		"ours by another spelling, after another's": {
			func(c map[string]any) { c["isſ"], c["iss"] = c["iss"], "https://mallory.example.com" },
			idTokenExpectation{nonce: "n"}, ErrIssuer,
		},
		"audience holds a number": {
			func(c map[string]any) { c["aud"] = []any{fakeClient, 7} }, idTokenExpectation{nonce: "n"}, ErrUntrusted,
		},
		"max_age, no auth_time": {
			func(map[string]any) {}, aMinute, ErrAuthTime,
		},
		"max_age, too long ago": {
			func(c map[string]any) { c["auth_time"] = old }, aMinute, ErrAuthTime,
		},
		"max_age, just now": {
			func(c map[string]any) { c["auth_time"] = c["iat"] }, aMinute, nil,
		},
		"another authentication": {
			func(c map[string]any) { c["auth_time"] = old },
			idTokenExpectation{renewed: true, authTime: time.Now()}, ErrAuthTime,
		},
		"renewed, the nonce of another login": {
			func(c map[string]any) { c["nonce"] = "another" }, idTokenExpectation{renewed: true, nonce: "n"}, ErrNonce,
		},
		"renewed, the nonce a number": {
			func(c map[string]any) { c["nonce"] = 7 }, idTokenExpectation{renewed: true, nonce: "n"}, ErrUntrusted,
		},
		"renewed, the same nonce": {
			func(map[string]any) {}, idTokenExpectation{renewed: true, nonce: "n"}, nil,
		},
		"renewed, no nonce": {
			func(c map[string]any) { delete(c, "nonce") }, idTokenExpectation{renewed: true, nonce: "n"}, nil,
		},
		"a nonce that nobody sent": {func(map[string]any) {}, idTokenExpectation{}, ErrNonce},
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

// TestAccessTokenHash computes at_hash itself: half of the hash that the signature's algorithm uses, SHA-512 for EdDSA.
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
		want := idTokenExpectation{nonce: "n", accessToken: NewSecret("the access token")}
		if err := verify(t.Context(), p, raw, want); err != nil {
			t.Errorf("%s: %v", c.key.Algorithm, err)
		}
		want.accessToken = NewSecret("another")
		if err := verify(t.Context(), p, raw, want); !errors.Is(err, ErrAccessTokenHash) {
			t.Errorf("%s: another access token: %v", c.key.Algorithm, err)
		}
	}
}

// TestClocks tells a clock that is off from a token that is wrong, by the Date of the provider's responses.
func TestClocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offset time.Duration // of our clock
		want   error
		reason Reason
	}{
		"right":             {0, nil, ""},
		"a little behind":   {-30 * time.Second, nil, ""},
		"behind":            {-12 * time.Minute, ErrIssuedAt, ReasonClockBehind},
		"ahead":             {3 * time.Hour, ErrExpired, ReasonClockAhead},
		"ahead by two days": {48 * time.Hour, ErrExpired, ReasonClockAhead},
	} {
		f := newFake(t)
		p := f.clocked(t, "", c.offset)
		err := verify(t.Context(), p, forge.RS256().Token(f.claims()), idTokenExpectation{nonce: "n"})
		got := Diagnose(err)
		if !errors.Is(err, c.want) || c.want == nil && err != nil || got.Reason != c.reason {
			t.Errorf("%s: got %v (%+v)", name, err, got)
		}
		if c.reason != "" && (got.Skew+c.offset).Abs() > 5*time.Second { // a Date has whole seconds
			t.Errorf("%s: the skew is %s", name, got.Skew)
		}
	}
}
