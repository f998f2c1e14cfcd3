package agent

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// mostHanded is how many tokens are remembered: after a renewal a caller may go on with the one before for as long as
// that lives, and callers may ask for scopes as they like.
const mostHanded = 64

// handed are the tokens bound to a key that the agent has given to callers, by their hashes. It makes proofs for these
// alone: a caller who has a token from elsewhere gets none.
type handed struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]handedToken
}

type handedToken struct {
	audience string
	key      [sha256.Size]byte // the hash of the private key
	expiry   time.Time
}

func digest(s provider.Secret) [sha256.Size]byte { return sha256.Sum256([]byte(s.Reveal())) }

// add remembers a token that is given to a caller. One without an expiry is good as long as the session holds it.
func (h *handed) add(audience string, t session.AccessToken) {
	if t.Prover == nil || t.Expiry.IsZero() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := clock.Now()
	maps.DeleteFunc(h.tokens, func(_ [sha256.Size]byte, old handedToken) bool { return !old.expiry.After(now) })
	if h.tokens == nil {
		h.tokens = map[[sha256.Size]byte]handedToken{}
	}
	if len(h.tokens) >= mostHanded { // before the new one is among them: that one is in use
		first := slices.MinFunc(slices.Collect(maps.Keys(h.tokens)), func(a, b [sha256.Size]byte) int {
			return cmp.Or(h.tokens[a].expiry.Compare(h.tokens[b].expiry), slices.Compare(a[:], b[:]))
		})
		delete(h.tokens, first)
	}
	h.tokens[digest(t.Token)] = handedToken{audience, digest(t.Prover.Key()), t.Expiry}
}

// has reports whether a token was given to a caller for the audience, lives, and is bound to the prover's key.
func (h *handed) has(audience string, token provider.Secret, prover *provider.Prover) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.tokens[digest(token)]
	return ok && t.audience == audience && t.expiry.After(clock.Now()) && t.key == digest(prover.Key())
}

// forget takes out a token that a server refused.
func (h *handed) forget(token provider.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tokens, digest(token))
}
