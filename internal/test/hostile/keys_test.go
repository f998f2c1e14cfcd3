package hostile

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// The provider's keys (OpenID Connect Core 1.0, section 10.1; RFC 7517).
func TestKeySets(t *testing.T) {
	t.Parallel()
	keys := func(change func(keys []any) []any) Lies {
		return Lies{Keys: func(set map[string]any) { set["keys"] = change(set["keys"].([]any)) }}
	}
	first := func(change func(key map[string]any)) Lies {
		return keys(func(all []any) []any { change(all[0].(map[string]any)); return all })
	}
	responded := func(status int, kind, body string) func(*world) {
		return func(w *world) { w.Respond(Keys, status, kind, body) }
	}
	noKid := func(l Lies) Lies {
		l.Header = without("kid")
		return l
	}
	newWorlds(t).refuse(t, map[string]trial{
		"none":                 {lies: keys(func([]any) []any { return []any{} }), words: "signature"},
		"no_set":               {lies: Lies{Keys: without("keys")}, words: "key set"},
		"null":                 {lies: Lies{Keys: set("keys", nil)}, words: "key set"},
		"an_object":            {lies: Lies{Keys: set("keys", map[string]any{})}, words: "key set"},
		"html":                 {more: responded(200, html, "<p>"), words: "key set"},
		"empty":                {more: responded(200, "application/json", ""), words: "key set"},
		"not_found":            {more: responded(404, html, "<p>no"), words: "keys"},
		"not_to_verify_with":   {lies: first(set("key_ops", []any{"encrypt"})), words: "signature"},
		"private":              {lies: first(set("d", "AQAB")), words: "signature"},
		"exponent_of_one":      {lies: first(set("e", "AQ")), words: "signature"},
		"for_encryption_alone": {lies: first(set("use", "enc")), words: "signature"},
		"of_another_algorithm": {lies: first(set("alg", "PS256")), words: "signature"},
		"kid_unknown": {
			lies: Lies{Header: set("kid", "garbage")}, words: "signature", requests: map[string]int{Keys: 1},
		},
		"kid_unknown_and_key_unknown": {lies: Lies{
			Header: set("kid", "garbage"), Sign: forge.OtherRS256().Sign,
		}, words: "signature",
			requests: map[string]int{Keys: 1}},
		"kid_missing_one_key_forged": {lies: noKid(Lies{Sign: forge.OtherRS256().Sign}), words: "signature"},
		"kid_missing_several_keys_forged": {more: func(w *world) {
			w.Rotate(forge.RS256(), forge.PS256().Named("a"), forge.ES256(), forge.RS256())
		},
			lies: noKid(Lies{Sign: forge.OtherRS256().Sign}), words: "signature"},
		"kid_of_another_key": {
			more: func(w *world) { w.Rotate(forge.RS256(), forge.RS256(), forge.OtherRS256()) },
			lies: Lies{Header: set("kid", "rsa-2")}, words: "signature",
		},
		"kid_a_path": {
			lies: Lies{Header: set("kid", "../../../../dev/null"), Sign: forge.HS256("").Sign}, words: "signature",
		},
		"kid_a_list": {lies: Lies{Header: set("kid", []any{"rsa-1"})}, words: "header"},
	})
}

func TestKeySetsAccepted(t *testing.T) {
	t.Parallel()
	one := map[string]int{Keys: 1, Token: 1}
	first := func(change func(key map[string]any)) Lies {
		return Lies{Keys: func(set map[string]any) { change(set["keys"].([]any)[0].(map[string]any)) }}
	}
	broken := []any{
		map[string]any{"kty": "RSA", "kid": "rsa-1"}, map[string]any{"kty": "oct", "k": "aw", "kid": "rsa-1"},
		map[string]any{"kty": "new"}, "no key", 7, nil, []any{},
		map[string]any{
			"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "e",
		}, map[string]any{"kty": "RSA", "n": "!", "e": "AQAB", "kid": "r"},
		map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": 7},
	}
	newWorlds(t).accept(t, map[string]trial{
		"kid_missing_one_key": {lies: Lies{Header: without("kid")}, requests: one},
		"kid_missing_in_both": {
			more: func(w *world) { w.Rotate(forge.RS256().Named(""), forge.RS256().Named("")) },
			lies: Lies{Header: without("kid")}, requests: one,
		},
		"kid_missing_several_keys": {more: func(w *world) {
			w.Rotate(forge.RS256(), forge.OtherRS256(), forge.ES256(), forge.EdDSA(), forge.RS256())
		},
			lies: Lies{Header: without("kid")}, requests: one},
		"unrelated_keys": {more: func(w *world) {
			w.Rotate(forge.RS256(), forge.ES256(), forge.OtherRS256(), forge.EdDSA(), forge.RS256())
		}, requests: one},
		"broken_keys": {lies: Lies{Keys: func(set map[string]any) {
			set["keys"] = append(append([]any{}, broken...), set["keys"].([]any)...)
		}}, requests: one},
		"two_of_one_kid": {
			more: func(w *world) { w.Rotate(forge.RS256(), forge.OtherRS256().Named("rsa-1"), forge.RS256()) }, requests: one,
		},
		"no_alg_no_use": {lies: Lies{Keys: func(set map[string]any) {
			key := set["keys"].([]any)[0].(map[string]any)
			delete(key, "alg")
			delete(key, "use")
		}}, requests: one},
		"what_the_signature_does_not_need": {lies: first(func(key map[string]any) {
			key["x5t"] = "5D:AF:10:9B:7C:C8:00"
			key["x5t#S256"], key["x5u"], key["ext"], key["iat"] = "nothing", 7, "true", "2026"
			key["x5c"] = []any{"-----BEGIN CERTIFICATE-----\nMIIC\n"}
			key["e"] = key["e"].(string) + "="
			key["key_ops"] = []any{"verify"}
		}), requests: one},
		"jwk_set_content_type": {more: func(w *world) {
			w.On(Keys, func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Type", "application/jwk-set+json")
				return false
			})
		}, requests: one},
	})
}

// The keys are fetched again, once, when a token names a key that is not cached. Cached keys are not fetched again.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	// Each case runs with what the cases before it have cached.
	steps := func(t *testing.T, login bool) {
		p := Start(t)
		h := house.New(t, p.Issuer())
		use := func(what string, keys int) {
			t.Helper()
			p.Reset()
			if login {
				h.Must("login")
			} else {
				h.Must("token", "--force-refresh")
			}
			if got := p.Requests(Keys); got != keys {
				t.Errorf("%s: the keys were fetched %d times, not %d", what, got, keys)
			}
		}
		h.Must("login")
		use("keys that are cached", 0)
		p.Rotate(forge.OtherRS256(), forge.RS256(), forge.OtherRS256())
		use("a new key beside the old one", 1)
		use("and again", 0)
		p.Rotate(forge.RS256(), forge.OtherRS256(), forge.RS256())
		use("the old one once more", 0)
		p.Rotate(forge.RS256().Named("rsa-3"), forge.RS256().Named("rsa-3"))
		use("a new key in place of all", 1)
		use("and again", 0)
	}
	t.Run("before_a_login", func(t *testing.T) {
		t.Parallel()
		steps(t, true)
	})
	t.Run("before_a_renewal", func(t *testing.T) {
		t.Parallel()
		steps(t, false)
	})
	t.Run("just_before_signing", func(t *testing.T) { // the key changes between code and token
		t.Parallel()
		p := Start(t)
		h := house.New(t, p.Issuer())
		h.Must("login")
		p.Reset()
		p.On(Token, func(http.ResponseWriter, *http.Request) bool {
			p.Rotate(forge.OtherRS256(), forge.OtherRS256())
			return false
		})
		h.Must("login")
		if got := p.Requests(Keys); got != 1 {
			t.Errorf("the keys were fetched %d times", got)
		}
	})
}

// Tokens with made-up key IDs make loopkey fetch the keys once, over many runs and over many processes at once.
func TestKeyStorm(t *testing.T) {
	t.Parallel()
	t.Run("logins_one_after_another", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Reset()
		for i := range 8 {
			w.Lie(Lies{Header: set("kid", "garbage-"+strconv.Itoa(i))})
			house.Refused(t, w.house.Run("login"), 4, "signature")
		}
		w.count(t, map[string]int{Keys: 1, Token: 8})
		w.unharmed(t)
	})
	t.Run("logout_tokens", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.house.Serve()
		w.Reset()
		w.Lie(Lies{Header: set("kid", "garbage")})
		for range 50 {
			if status := w.backChannel(t, w.LogoutToken(nil)); status != http.StatusBadRequest {
				t.Fatalf("garbage got %d", status)
			}
		}
		if got := w.Requests(Keys); got > 1 {
			t.Errorf("the keys were fetched %d times", got)
		}
		w.unharmed(t)
		// After that a renewal still gets rotated keys.
		w.Reset()
		w.Lie(Lies{})
		w.Rotate(forge.OtherRS256(), forge.OtherRS256())
		w.house.Must("token", "--force-refresh")
		w.count(t, map[string]int{Keys: 1, Token: 1})
		w.Confess()
		if status := w.backChannel(t, w.LogoutToken(nil)); status != http.StatusOK {
			t.Errorf("after the garbage the provider's own logout responds %d", status)
		}
	})
	t.Run("processes_at_once", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Reset()
		w.Lie(Lies{Header: set("kid", "garbage")})
		results, began := make(chan house.Result), time.Now()
		const processes = 12
		for range processes {
			go func() { results <- w.house.Run("token", "--force-refresh") }()
		}
		for range processes {
			house.Refused(t, <-results, 4, "signature")
		}
		// One fetch in five seconds: the keys may really have rotated.
		if keys, most := w.Requests(Keys), 1+int(time.Since(began)/(5*time.Second)); keys < 1 || keys > most {
			t.Errorf("the keys were fetched %d times for %d answers", keys, w.Requests(Token))
		}
		w.unharmedButRotated(t)
	})
}

// The keys are cached: a login after a login fetches none.
func TestKeysAreCached(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Must("login")
	p.Reset()
	h.Must("login")
	h.Must("token", "--force-refresh")
	for range 5 {
		h.Must("token")
	}
	if keys, discovery := p.Requests(Keys), p.Requests(Discovery); keys != 0 || discovery != 0 {
		t.Errorf("keys fetched %d times, discovery %d", keys, discovery)
	}
}
