package session

import (
	"errors"
	"net/http"
	"sync"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/provider"
)

// ErrBound says that the session's access tokens are bound to its key (DPoP, RFC 9449), and that the caller did not say
// by Request.Proves that it sends a proof of the key with each. As a bearer token such a token is of no use.
var ErrBound = errors.New("its access tokens are bound to a key (DPoP), so they can't be used as bearer tokens")

// boundVersion is the version of a stored session whose tokens are bound to a key. A loopkey that knows no such session
// reads no record of this version. So it neither hands out a token as a bearer token nor renews without a proof, which
// a provider may take for theft.
const boundVersion = 2

// bind takes the key that the tokens of a login are bound to into the session.
func (st *state) bind(prover *provider.Prover) {
	if prover != nil {
		st.Version, st.prover = boundVersion, prover
		st.ProofKey, st.ProofNonce = prover.Key().Reveal(), prover.Nonce()
	}
}

// restoreProver makes the prover of a session that was read.
func (s *Session) restoreProver(st *state) error {
	if st.Version != boundVersion {
		return nil
	}
	prover, err := s.cfg.Provider.RestoreProver(provider.NewSecret(st.ProofKey), st.ProofNonce)
	if err != nil {
		return err
	}
	st.prover = s.proving.same(st.ProofKey, prover)
	return nil
}

// A proving keeps the prover of a session between two reads of it, for the nonces of servers that it has seen.
type proving struct {
	mu     sync.Mutex
	key    string
	prover *provider.Prover
}

// same returns the prover that is kept for the key, or keeps the given one.
func (p *proving) same(key string, prover *provider.Prover) *provider.Prover {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key != key {
		p.key, p.prover = key, prover
	} else if prover.Nonce() != "" {
		p.prover.Remember(prover.Nonce())
	}
	return p.prover
}

// checkBound returns ErrBound where a caller that makes no proofs asks for a token that needs one.
func (s *Session) checkBound(st *state, r Request) error {
	if st.prover != nil && !r.Proves {
		return s.named(ErrBound)
	}
	return nil
}

// proverExtra is the name under which an oauth2.Token for an authorizing transport has its prover.
const proverExtra = "prover"

// An authorizing transport sends the access token of a source with each request, and the proof that it needs.
type authorizing struct {
	source oauth2.TokenSource
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. A request that a server refuses for lack of its nonce in the proof is sent
// once more, unless its body can't be.
func (a *authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, prover, err := a.send(r)
	if err != nil || !prover.Challenged(resp) || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return resp, err
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return resp, nil //nolint:nilerr // the server's own response says what is wrong
		}
	}
	_ = resp.Body.Close()
	resp, prover, err = a.send(again)
	if err == nil {
		prover.Challenged(resp)
	}
	return resp, err
}

// send sends a request once, and closes its body whatever happens.
func (a *authorizing) send(r *http.Request) (*http.Response, *provider.Prover, error) {
	fail := func(err error) (*http.Response, *provider.Prover, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, nil, err
	}
	token, err := a.source.Token()
	if err != nil {
		return fail(err)
	}
	prover, _ := token.Extra(proverExtra).(*provider.Prover)
	out := r.Clone(r.Context())
	if err := prover.Authorize(out, provider.NewSecret(token.AccessToken)); err != nil {
		return fail(err)
	}
	resp, err := a.base.RoundTrip(out)
	return resp, prover, err //nolint:wrapcheck // the words are the transport's
}
