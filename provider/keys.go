package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/words"
)

// refetchPause keeps garbage key IDs from becoming a storm of requests, and so does
// renewalPause where the answer may hold the one refresh token that still works.
const (
	refetchPause = 30 * time.Second
	renewalPause = 5 * time.Second
)

// A keySet verifies signatures with the provider's keys; go-oidc asks it.
type keySet struct {
	p          *Provider
	m          *metadata
	algorithms []string
	age        freshness // how old the keys may be
	err        error     // why the last signature was not verified
}

// VerifySignature returns the payload of a JWS whose signature one of the provider's keys made.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) (payload []byte, err error) {
	payload, k.err = k.verify(ctx, jwt)
	return payload, k.err
}

func (k *keySet) verify(ctx context.Context, jwt string) ([]byte, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range k.algorithms {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	jws, err := jose.ParseSignedCompact(jwt, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, algorithmError("token", algorithm(jwt), k.algorithms)
	}
	header := jws.Signatures[0].Protected
	keys, fetched, err := k.p.keys(ctx, k.m, k.age, time.Time{})
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(jws, fitting(keys, header)); ok {
		return payload, nil
	}
	// The key may be newer than what is known, under an old key ID too.
	if keys, _, err = k.p.keys(ctx, k.m, k.age, fetched); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(jws, fitting(keys, header)); ok {
		return payload, nil
	}
	k.p.noteUnknownKey(k.age)
	return nil, &UntrustedError{Check: ErrSignature, Detail: "no key of the provider made the token's signature"}
}

// noteUnknownKey remembers, for other processes too, that fetching the keys anew brought nothing.
func (p *Provider) noteUnknownKey(f freshness) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, now := p.cache(), p.now()
	if now.Sub(c.UnknownKey) < refetchPause && (f != forSession || now.Sub(c.UnknownRenewed) < renewalPause) {
		return
	}
	c.UnknownKey = now
	if f == forSession {
		c.UnknownRenewed = now
	}
	p.store()
}

func verifyWith(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	for _, key := range keys {
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// fitting are the keys that may have made a signature with this header.
func fitting(keys []jose.JSONWebKey, header jose.Header) []jose.JSONWebKey {
	var fit []jose.JSONWebKey
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID {
			continue
		}
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var ok bool
		switch public := key.Key.(type) {
		case *rsa.PublicKey:
			ok = strings.HasPrefix(header.Algorithm, "RS") || strings.HasPrefix(header.Algorithm, "PS")
			ok = ok && public.N.BitLen() >= 2048 && public.N.BitLen() <= 16384 // RFC 7518, section 3.3; and what a moment can verify
		case *ecdsa.PublicKey: // one curve an algorithm: RFC 7518, section 3.4
			bits, known := map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[header.Algorithm]
			ok = known && public.Curve.Params().BitSize == bits
		case ed25519.PublicKey:
			ok = header.Algorithm == "EdDSA"
		}
		if ok {
			fit = append(fit, key)
		}
	}
	return fit
}

// keys returns the provider's signing keys and when they were fetched: anew if the cache's
// are old or no newer than after. Keys may rotate right after they were fetched, so for the
// latter it asks at once; but where that brought nothing, or this process has only just
// fetched them, it does not ask again for refetchPause: unknown key IDs cause no storm.
func (p *Provider) keys(ctx context.Context, m *metadata, f freshness, after time.Time) ([]jose.JSONWebKey, time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.cache()
	age := p.now().Sub(c.Keys.Fetched)
	limit := max(c.Keys.MaxAge, leastFresh)
	if f == forSession {
		limit = mostFresh
	}
	fresh := c.Keys.Raw != nil && age >= 0 && age < limit
	// Anyone can send a logout token with a garbage key ID. That must not keep a renewal from its rotated keys: for it,
	// only what the token endpoint itself answered counts, and not for long.
	waited := p.now().Sub(c.UnknownKey) >= refetchPause
	if f == forSession {
		waited = p.now().Sub(c.UnknownRenewed) >= renewalPause
	}
	if !after.IsZero() && p.now().Sub(p.keysTried) >= refetchPause && waited {
		fresh = false
	}
	if fresh {
		if keys, err := parseKeys(c.Keys.Raw); err == nil {
			return keys, c.Keys.Fetched, nil
		}
	}
	p.keysTried = p.now()
	keys, err := p.fetchKeys(ctx, m)
	if refused, ok := errors.AsType[*RefusedError](err); ok && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone) {
		if newer := p.rediscover(ctx); newer != nil && newer.JWKSURI != m.JWKSURI { // they have moved
			keys, err = p.fetchKeys(ctx, newer)
		}
	}
	if errors.Is(err, ErrUnreachable) && f == forSession && after.IsZero() && c.Keys.Raw != nil && age >= 0 && age < mostStale {
		if old, parseErr := parseKeys(c.Keys.Raw); parseErr == nil {
			return old, c.Keys.Fetched, nil
		}
	}
	return keys, c.Keys.Fetched, err
}

// fetchKeys asks for the keys and keeps them. The mutex is held.
func (p *Provider) fetchKeys(ctx context.Context, m *metadata) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.JWKSURI, nil)
	if err != nil {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the address of the provider's keys is no URL"}
	}
	a, err := p.do(ctx, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, &RefusedError{Status: a.status, Description: fmt.Sprintf("the provider does not give out its keys: %s answered %d", words.Printable(req.URL.Host), a.status)}
	}
	keys, err := parseKeys(a.body)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, &UntrustedError{Check: ErrSignature, Detail: "the provider's key set holds no key that could have made a signature"}
	}
	p.cache().Keys = cached{Raw: a.body, Fetched: a.at, MaxAge: maxAge(a.header)}
	p.store()
	return keys, nil
}

// parseKeys reads a JWK set (RFC 7517, section 5): keys that are broken, not for signing or of unknown kinds are passed over.
func parseKeys(raw []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := document(raw, &set); err != nil || set.Keys == nil {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the provider's key set is not the JSON that it should be"}
	}
	var keys []jose.JSONWebKey
	for _, one := range set.Keys[:min(len(set.Keys), 100)] {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		keys = append(keys, key)
	}
	return slices.Clip(keys), nil
}
