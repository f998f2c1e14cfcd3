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

// The pauses between two requests for keys that signatures by unknown keys cause. They keep tokens with made-up key
// IDs, which anyone can send, from causing a request each.
const (
	refetchPause = 30 * time.Second
	// renewalPause is the pause for the signatures that came from the token endpoint with a renewal. It is short because
	// the only refresh token that still works may have come with them.
	renewalPause = 5 * time.Second
)

// A keySet verifies signatures with the provider's keys, for go-oidc.
type keySet struct {
	p          *Provider
	m          *metadata
	algorithms []string
	age        freshness // how old the keys may be
	err        error     // why the last signature was not verified, for go-oidc keeps only the text
}

// VerifySignature returns the payload of a JWS that one of the provider's keys signed.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) (payload []byte, err error) {
	payload, k.err = k.verify(ctx, jwt)
	return payload, k.err
}

func (k *keySet) verify(ctx context.Context, jwt string) ([]byte, error) {
	// A JWT's payload is encoded (RFC 7797, section 7), and no extension that "crit" could demand is known here.
	if h := joseMembers(jwt); h["b64"] != nil || h["crit"] != nil {
		return nil, malformed("the token's header has b64 or crit, which no signature that is believed here has")
	}
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
	// The key may be newer than the known ones, and may bear the ID of an older one.
	if keys, _, err = k.p.keys(ctx, k.m, k.age, fetched); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(jws, fitting(keys, header)); ok {
		return payload, nil
	}
	k.p.noteUnknownKey(k.age)
	return nil, &UntrustedError{Check: ErrSignature, detail: "no key of the provider made the token's signature"}
}

// noteUnknownKey keeps, for other processes too, that keys were fetched anew and none of them fits.
func (p *Provider) noteUnknownKey(f freshness) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, now := p.cache(), p.now()
	if within(c.UnknownKey, now, refetchPause) && (f != forSession || within(c.UnknownRenewed, now, renewalPause)) {
		return
	}
	c.UnknownKey = now
	if f == forSession {
		c.UnknownRenewed = now
	}
	p.store()
}

// verifyWith returns the payload of jws, and whether one of the keys made its signature.
func verifyWith(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	for _, key := range keys {
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// fitting returns the keys that may have made a signature with this header.
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
			// At least 2048 bits (RFC 7518, section 3.3), and no more than can be verified in a moment.
			ok = ok && public.N.BitLen() >= 2048 && public.N.BitLen() <= 16384
		case *ecdsa.PublicKey: // each algorithm has one curve: RFC 7518, section 3.4
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

// keys returns the provider's signing keys, and when they were fetched. It fetches them if the cached ones are not
// fresh.
//
// after is when the keys were fetched that did not verify the caller's signature; zero: none were tried. Keys of that
// time are fetched again, because keys may rotate right after they were fetched; but not if this process has only just
// tried that, or if it brought nothing within the pause.
func (p *Provider) keys(
	ctx context.Context, m *metadata, f freshness, after time.Time,
) ([]jose.JSONWebKey, time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.cache()
	now := p.now()
	limit := min(max(c.Keys.MaxAge, leastFresh), mostFresh)
	if f == forSession {
		limit = mostFresh
	}
	fresh := c.Keys.Raw != nil && within(c.Keys.Fetched, now, limit)
	// Anyone can send a logout token with a made-up key ID. That must not keep a renewal from rotated keys, so only what
	// came from the token endpoint itself makes a renewal wait, and not for long.
	paused := within(c.UnknownKey, now, refetchPause)
	if f == forSession {
		paused = within(c.UnknownRenewed, now, renewalPause)
	}
	underWay := p.fetching.now != nil
	if !after.IsZero() && (underWay || !within(p.keysTried, now, refetchPause) && !paused) {
		fresh = false
	}
	if fresh {
		if keys, err := parseKeys(c.Keys.Raw); err == nil {
			return keys, c.Keys.Fetched, nil
		}
	}
	if !underWay {
		p.keysTried = now
	}
	keys, err := p.fetchKeys(ctx, m)
	if refused := new(RefusedError); errors.As(err, &refused) && isGone(refused.Status) {
		if newer := p.rediscover(ctx); newer != nil && newer.JWKSURI != m.JWKSURI { // they have moved
			keys, err = p.fetchKeys(ctx, newer)
		}
	}
	stale := c.Keys.Raw != nil && within(c.Keys.Fetched, p.now(), mostStale)
	if errors.Is(err, ErrUnreachable) && f == forSession && after.IsZero() && stale {
		if old, parseErr := parseKeys(c.Keys.Raw); parseErr == nil {
			return old, c.Keys.Fetched, nil
		}
	}
	return keys, c.Keys.Fetched, err
}

// fetchKeys fetches the keys and keeps them, or waits for another caller that does. The caller holds the mutex, which
// is released meanwhile.
func (p *Provider) fetchKeys(ctx context.Context, m *metadata) ([]jose.JSONWebKey, error) {
	return p.fetching.do(ctx, &p.mu, func() ([]jose.JSONWebKey, error) { return p.requestKeys(ctx, m) })
}

// requestKeys fetches the keys and keeps them. The caller does not hold the mutex.
func (p *Provider) requestKeys(ctx context.Context, m *metadata) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.JWKSURI, nil)
	if err != nil {
		return nil, malformed("the address of the provider's keys is no URL")
	}
	resp, err := p.send(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.status != http.StatusOK {
		return nil, &RefusedError{Status: resp.status, description: fmt.Sprintf(
			"the provider does not give out its keys: %s replied with HTTP %d", words.Printable(req.URL.Host), resp.status)}
	}
	keys, err := parseKeys(resp.body)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		detail := "the provider's key set holds no key that could have made a signature"
		return nil, &UntrustedError{Check: ErrSignature, detail: detail}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cache().Keys = cached{Raw: resp.body, Fetched: resp.at, MaxAge: maxAge(resp.header)}
	p.store()
	return keys, nil
}

// mostKeys is how many members of a key set are looked at.
const mostKeys = 100

// parseKeys decodes a key set (RFC 7517, section 5). It passes over keys that are broken, not for signing, not
// public, or of an unknown type.
func parseKeys(raw []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := document(raw, &set); err != nil || set.Keys == nil {
		return nil, malformed("the provider's key set is not the JSON that it should be")
	}
	var keys []jose.JSONWebKey
	for _, one := range set.Keys[:min(len(set.Keys), mostKeys)] {
		if key, ok := parseKey(one); ok {
			keys = append(keys, key)
		}
	}
	return slices.Clip(keys), nil
}
