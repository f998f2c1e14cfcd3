package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// renewLimit bounds the refresh request, saveLimit the storing of its answer, which may be the
// only copy of a rotated refresh token.
const (
	renewLimit = 45 * time.Second
	saveLimit  = 20 * time.Second
	// How long whoever waits for the token has patience with a keystore that refuses, and with one that does not answer.
	refusedPatience = 3 * time.Second
	silentPatience  = 9 * time.Second
)

// ReasonNotStoredYet is the reason of a keystore.UnavailableError where a renewed session is not stored yet: for some
// seconds more it is tried.
const ReasonNotStoredYet keystore.Reason = "not_stored_yet"

// A renewal is one use of the refresh token.
type renewal struct {
	request Request
	asked   time.Time         // when the caller came
	seen    time.Time         // when the session had last changed by then
	enough  func(*state) bool // the session, read under the lock, already has what was asked for
	idToken bool              // an ID token is wanted, not an access token
}

// renew gets what is asked for by the refresh token, under the lock that all
// processes share. Whoever comes second finds what the first one stored, or what
// went wrong for it.
func (s *Session) renew(ctx context.Context, r renewal) error {
	lock, err := s.lock.tryAcquire(ctx)
	if err != nil {
		return err
	}
	if lock == nil {
		// Many may wait for one renewal: they read together, and only who still lacks a token takes the lock alone.
		if done, err := s.await(ctx, r); done || err != nil {
			return err
		}
		if lock, err = s.lock.acquire(ctx); err != nil {
			return err
		}
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil || r.enough(st) {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := st.renewable(s.cfg.Now()); err != nil {
		return s.named(err)
	}
	audience := st.audienceOr(r.request.Audience)
	if !s.cfg.MayAskAudiences && !slices.Contains(st.Granted, audience) {
		return &AudienceError{Audience: audience}
	}
	if err := s.afterAttempt(st, r.asked); err != nil {
		return err
	}
	if st, err = s.make(ctx, lock, st, Request{Audience: audience, Scope: normalScope(r.request.Scope)}); err != nil {
		return err
	}
	if r.enough(st) || r.idToken {
		return nil
	}
	if t := st.find(r.request); t != nil && since(t.Obtained, r.asked, s.cfg.Now()) {
		return s.named(errors.New("the provider's new access token had expired when it came: is this clock right?"))
	}
	return s.named(errors.New("the session was replaced while it was being renewed: ask again"))
}

// await waits until it is nobody's turn, and reports whether the session has by then what was
// asked for. It looks too whenever the session changes: the process whose turn it is may have
// been stopped after that.
func (s *Session) await(ctx context.Context, r renewal) (done bool, err error) {
	seen := r.seen
	for {
		idle, err := s.lock.idle(ctx, seen)
		if err != nil && !errors.Is(err, errChanged) {
			return false, err
		}
		seen = s.lock.touched()
		st, loadErr := s.load(ctx)
		if idle != nil {
			_ = idle.Close()
		}
		if loadErr != nil || r.enough(st) || idle != nil {
			return loadErr == nil && r.enough(st), loadErr
		}
	}
}

// make renews the session, in a process of its own where there can be one, and
// returns the session as it is then. The lock is held.
func (s *Session) make(ctx context.Context, lock *held, st *state, r Request) (*state, error) {
	if s.cfg.Apart != nil {
		lock.handOver()
		renewed, err := s.renewApart(ctx, st, r)
		if !errors.Is(err, ErrNotApart) {
			return renewed, err
		}
		if lock.work, err = s.lock.acquireWork(ctx); err != nil {
			return nil, err
		}
	}
	// From here on an interruption must not win: the provider may already have taken the old refresh token back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	return st, s.refresh(ctx, st, r, func(error) {})
}

// refresh makes one refresh request and stores its answer in the session and in st. The work is
// ours. It calls slow if the keystore does not take the answer soon, and goes on.
func (s *Session) refresh(ctx context.Context, st *state, r Request, slow func(error)) error {
	if store, ok := s.cfg.Store.(keystore.Reserver); ok { // the answer may be the only copy of a rotated refresh token
		release, err := store.Reserve(ctx, s.name)
		if err != nil {
			return s.explain(err)
		}
		defer release()
	}
	s.noteAttempt(st, nil, false)
	tokens, err := s.cfg.Provider.Refresh(ctx, provider.RefreshRequest{
		RefreshToken: provider.NewSecret(st.RefreshToken),
		Scope:        r.Scope,
		Audience:     r.Audience,
		Subject:      st.Subject,
		Nonce:        st.Nonce,
		AuthTime:     st.AuthTime,
		Organization: st.Organization,
		Unproven:     st.Unproven,
	})
	switch {
	case errors.Is(err, provider.ErrInvalidGrant):
		s.forgetAttempt()
		return s.refused(ctx, st)
	case err != nil:
		err = s.named(err)
		if tokens != nil {
			if lost := s.keepRotated(ctx, st, tokens, slow); lost != nil {
				return errors.Join(err, lost) // the attempt stays noted as one whose answer was lost
			}
		}
		s.noteAttempt(st, err, tokens == nil && provider.MaybeSent(err))
		return err
	}
	if tokens.Scope == "" {
		tokens.Scope = st.scopeOf(r)
	}
	obtained := s.cfg.Now()
	st.apply(tokens, r, obtained)
	st.Renewed = obtained
	if err := s.saveSurely(ctx, st, slow); err != nil {
		return err
	}
	s.forgetAttempt()
	if missing := missingScope(r.Scope, tokens.Scope); missing != "" {
		return &ScopeError{Missing: missing, Granted: tokens.Scope}
	}
	return nil
}

// keepRotated stores the refresh token of an answer whose access token is not handed
// out, for the old one may be used up. Nothing else of that answer is kept.
func (s *Session) keepRotated(ctx context.Context, st *state, t *provider.Tokens, slow func(error)) error {
	if t.RefreshToken.IsZero() {
		return nil
	}
	st.RefreshToken, st.RefreshExpiry, st.Unproven = t.RefreshToken.Reveal(), t.RefreshExpiry, t.Unproven
	return s.saveSurely(ctx, st, slow)
}

// saveSurely tries as long as saveLimit allows, which begins now: what it stores may be the only
// copy of a rotated refresh token, and a keychain may just have been locked, or be busy.
func (s *Session) saveSurely(ctx context.Context, st *state, slow func(error)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer cancel()
	began := time.Now()
	silent := s.explain(&keystore.UnavailableError{Why: "it does not answer", Reason: ReasonNotStoredYet})
	patience := time.AfterFunc(silentPatience, func() { slow(silent) })
	defer patience.Stop()
	for pause := 500 * time.Millisecond; ; pause *= 2 { // each may show the person a dialog
		err := s.save(ctx, st)
		if !errors.Is(err, keystore.ErrUnavailable) {
			return err
		}
		if time.Since(began) > refusedPatience {
			slow(err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// refused ends the session's renewing, unless the refused token is no longer the
// stored one: then somebody else's answer came first, and nothing has ended.
func (s *Session) refused(ctx context.Context, asked *state) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.RefreshToken != asked.RefreshToken {
		*asked = *st
		return nil
	}
	st.RefreshToken, st.RefreshRefused = "", true
	if err := s.save(ctx, st); err != nil {
		return err
	}
	return s.named(ErrRefreshRefused)
}

func (s *Session) named(err error) error { return fmt.Errorf("profile %q: %w", s.cfg.Profile, err) }

// scopeOf is what an answer without scope means: as asked (RFC 6749, section 5.1).
func (st *state) scopeOf(r Request) string {
	if r.Scope != "" {
		return normalScope(r.Scope)
	}
	return st.Scope
}

// missingScope returns the values of asked that granted lacks.
func missingScope(asked, granted string) string {
	have := strings.Fields(granted)
	missing := slices.DeleteFunc(strings.Fields(asked), func(value string) bool { return slices.Contains(have, value) })
	return strings.Join(missing, " ")
}
