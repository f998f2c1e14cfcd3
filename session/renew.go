package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

const (
	renewLimit = 45 * time.Second // of the refresh request
	saveLimit  = 20 * time.Second // of storing its response, which may be the only copy of a rotated refresh token
	// How long the caller is kept waiting while the keystore refuses to store, and while it does not answer.
	refusedPatience = 3 * time.Second
	silentPatience  = 9 * time.Second
)

// ReasonNotStoredYet says that a renewed session could not be stored yet; storing it is tried for some seconds more. It
// is the reason of a keystore.UnavailableError.
const ReasonNotStoredYet keystore.Reason = "not_stored_yet"

// A renewal is what a caller wants of the refresh token.
type renewal struct {
	request Request
	asked   time.Time         // when the caller came
	seen    time.Time         // when the session had last changed by then
	read    *state            // what the caller read since
	enough  func(*state) bool // reports whether a session read under the lock already has what the caller wants
	// vain returns why a renewal would not bring what the caller wants, by what earlier ones brought; nil if it may.
	vain    func(*state) error
	idToken bool // the caller wants an ID token, not an access token
	// What the request asks for had expired when the session was seen, so no other caller needs to read it.
	expired bool
	turn    *held // the caller's turn, if it has that already; the caller gives it back
}

// mostRounds is how often a renewal begins again because another process was faster.
const mostRounds = 3

// renew gets what the caller wants by the refresh token, in the one turn that all processes share. A caller that comes
// second finds what the first one stored, or what went wrong for it.
func (s *Session) renew(ctx context.Context, r renewal) error {
	lock := r.turn
	if lock == nil {
		var done bool
		var err error
		if lock, done, err = s.takeTurn(ctx, r); done || err != nil {
			return err
		}
		defer lock.release()
	}
	if r.expired {
		s.lock.noteExpired(r.request, r.seen, r.asked)
	}
	st, err := s.inTurn(ctx, lock, r)
	for range mostRounds {
		if err != nil || r.enough(st) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.vain(st); err != nil {
			return err
		}
		if err := st.renewable(s.cfg.Now()); err != nil {
			return s.named(err)
		}
		audience := st.audienceOr(r.request.Audience)
		if !s.cfg.MayAskAudiences && !slices.Contains(st.Granted, audience) {
			return &AudienceError{Audience: audience}
		}
		var changed bool
		request := Request{Audience: audience, Scope: normalScope(r.request.Scope)}
		st, changed, err = s.renewOnce(ctx, lock, st, request, r.asked)
		switch {
		case changed:
			continue
		case err != nil:
			return err
		case r.enough(st), r.idToken:
			return nil
		}
		if t := st.find(r.request); t != nil && obtainedSince(t.Obtained, r.asked, s.cfg.Now()) {
			return s.named(ErrStale)
		}
		break
	}
	return s.named(fmt.Errorf("%w: the session was replaced meanwhile", ErrUnfinished))
}

// takeTurn takes this process's turn, unless another process has got what the caller wants by then: done says so. Many
// callers may wait for one renewal. They read the session side by side, and only those that still lack a token take
// their turn alone.
func (s *Session) takeTurn(ctx context.Context, r renewal) (lock *held, done bool, err error) {
	if lock, err = s.lock.tryTurn(); lock != nil || err != nil {
		return lock, false, err
	}
	if done, err = s.await(ctx, r); done || err != nil {
		return nil, done, err
	}
	lock, err = s.lock.waitTurn(ctx)
	return lock, false, err
}

// inTurn returns the session as it is in this process's turn. A process of its own reads the session again under the
// lease, and does nothing where it is another one. So where no process of this state folder has changed the session,
// what the caller read is enough. Without such a process this one takes the work first.
func (s *Session) inTurn(ctx context.Context, lock *held, r renewal) (st *state, err error) {
	if s.cfg.Apart != nil && r.read != nil && r.read.whole && s.lock.touched().Equal(r.seen) {
		return r.read, nil
	}
	if s.cfg.Apart == nil {
		if lock.work, err = s.lock.acquireWork(ctx); err != nil {
			return nil, err
		}
	}
	return s.load(ctx)
}

// await waits until no process has its turn, and reports whether the session has by then what the caller wants. It
// looks at the session also whenever that changes: the process that has its turn may have been stopped after the
// change.
func (s *Session) await(ctx context.Context, r renewal) (done bool, err error) {
	seen, read := r.seen, s.load
	if !r.idToken {
		read = func(ctx context.Context) (*state, error) { return s.readFor(ctx, r.request) }
	}
	for {
		idle, err := s.lock.idle(ctx, seen)
		if err != nil && !errors.Is(err, errChanged) {
			return false, err
		}
		seen = s.lock.touched()
		st, loadErr := read(ctx)
		if idle != nil {
			_ = idle.Close()
		}
		if loadErr != nil || r.enough(st) || idle != nil {
			return loadErr == nil && r.enough(st), loadErr
		}
	}
}

// renewOnce renews the session, in another process where there can be one, and returns the session as it is then.
// changed says that another process had changed the session, and that it was not renewed. It is this process's turn.
func (s *Session) renewOnce(
	ctx context.Context, lock *held, st *state, r Request, asked time.Time,
) (now *state, changed bool, err error) {
	if lock.work == nil {
		now, changed, err = s.renewApart(ctx, st, r, asked)
		if !errors.Is(err, ErrNotApart) {
			return now, changed, err
		}
		if lock.work, err = s.lock.acquireWork(ctx); err != nil {
			return nil, false, err
		}
		now, err = s.load(ctx)
		if err != nil || now.RefreshToken != st.RefreshToken {
			return now, err == nil, err
		}
		st = now
	}
	if err := s.noticeAttempt(ctx, st, asked); err != nil {
		return nil, false, err
	}
	// From here on an interruption must not win: the provider may already have replaced the refresh token.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	return st, false, s.refresh(ctx, st, r, func(error) {})
}

// refresh makes one refresh request and stores the response in the session and in st. The caller holds the work. If the
// keystore does not take the response soon, refresh calls slow and goes on.
func (s *Session) refresh(ctx context.Context, st *state, r Request, slow func(error)) error {
	attempt, giveBack, release, err := s.prepareAttempt(ctx, st)
	if err != nil {
		return err
	}
	defer release()
	tokens, err := s.cfg.Provider.Refresh(ctx, provider.RefreshRequest{
		RefreshToken: provider.NewSecret(st.RefreshToken),
		Scope:        r.Scope,
		Audience:     r.Audience,
		Subject:      st.Subject,
		Nonce:        st.Nonce,
		AuthTime:     st.AuthTime,
		Organization: st.Organization,
		Unproven:     st.Unproven,
		Prover:       st.prover,
	})
	giveBack()
	switch {
	case errors.Is(err, provider.ErrInvalidGrant):
		s.forgetAttempt()
		return s.refused(ctx, st)
	case err != nil:
		if invalidScope(err) && r.Scope != "" {
			s.noteRefusedScope(ctx, st, r)
		}
		dropped := s.dropAudience(st, r, err)
		if provider.Diagnose(err).Reason == provider.ReasonAnotherFactor {
			err = ErrAnotherFactor
		}
		err = s.named(err)
		if tokens != nil {
			if lost := s.keepRotated(ctx, st, tokens, slow); lost != nil {
				return errors.Join(err, lost) // the attempt stays noted as one whose response was lost
			}
		}
		if dropped {
			_ = s.save(ctx, st) // if that fails, the provider is asked once more
		}
		s.failAttempt(ctx, attempt, st, err, tokens == nil && provider.MaybeSent(err))
		return err
	}
	if tokens.Scope == "" {
		tokens.Scope = st.scopeOf(r)
	}
	obtained := s.cfg.Now()
	used := st.RefreshToken
	st.apply(tokens, r, obtained)
	st.Rotates = st.RefreshToken != used
	st.Renewed, st.Attempt = obtained, attempt.ID
	if asksOpenID(r.Scope) || !tokens.IDToken.IsZero() { // a renewal without openid says nothing about one with it
		st.RenewsNoIDToken = tokens.IDToken.IsZero()
	}
	ungranted := st.noteScope(r, tokens.Scope)
	if err := s.saveSurely(ctx, st, slow); err != nil {
		return err
	}
	s.forgetAttempt()
	s.cfg.Record(Event{EventRenewed, tokens.Audience})
	return ungranted
}

// An unprepared is why a renewal was not begun. It wraps errUnprepared.
type unprepared struct{ error }

func (e unprepared) Unwrap() []error { return []error{e.error, errUnprepared} }

// asksOpenID reports whether a renewal for a scope asks for an ID token, too. Without a scope it is for all of the
// login's.
func asksOpenID(scope string) bool {
	return scope == "" || slices.Contains(strings.Fields(scope), "openid")
}

func invalidScope(err error) bool {
	refused := new(provider.RefusedError)
	return errors.As(err, &refused) && refused.Code == "invalid_scope"
}

// dropAudience reports whether err says that the refresh token gets no token for the audience of r, though the login
// asked for it. Then the provider is not asked for it again: a request that it refuses may cost the session.
func (s *Session) dropAudience(st *state, r Request, err error) bool {
	refused := new(provider.RefusedError)
	isNone := errors.As(err, &refused) && refused.Code == "invalid_target" || errors.As(err, new(*provider.AudienceError))
	if !isNone || s.cfg.MayAskAudiences || r.Audience == st.DefaultAudience {
		return false
	}
	i := slices.Index(st.Granted, r.Audience)
	if i < 0 {
		return false
	}
	st.Granted = slices.Delete(st.Granted, i, i+1)
	return true
}

// noteRefusedScope stores that the provider refused the scope that was asked for by name. If that can't be stored, the
// provider is asked once more.
func (s *Session) noteRefusedScope(ctx context.Context, st *state, r Request) {
	_ = st.noteScope(r, "")
	_ = s.save(ctx, st)
}

// keepRotated stores the refresh token of a response whose access token is not handed out, because the old refresh
// token may be used up. It keeps nothing else of that response.
func (s *Session) keepRotated(ctx context.Context, st *state, t *provider.Tokens, slow func(error)) error {
	if t.RefreshToken.IsZero() {
		return nil
	}
	st.RefreshToken, st.RefreshExpiry, st.Unproven = t.RefreshToken.Reveal(), t.RefreshExpiry, t.Unproven
	return s.saveSurely(ctx, st, slow)
}

// saveSurely tries to save for as long as saveLimit allows, counted from now: what it stores may be the only copy of a
// rotated refresh token, and a keychain may just have been locked, or be busy.
func (s *Session) saveSurely(ctx context.Context, st *state, slow func(error)) error {
	return granted.Within(ctx, saveLimit, func(ctx context.Context) error { return s.saveAgain(ctx, st, slow) })
}

// saveAgain tries to save until ctx ends.
func (s *Session) saveAgain(ctx context.Context, st *state, slow func(error)) error {
	began := time.Now()
	silent := s.explain(&keystore.UnavailableError{Why: "it does not answer", Reason: ReasonNotStoredYet})
	patience := time.AfterFunc(silentPatience, func() { slow(silent) })
	defer patience.Stop()
	for pause := 500 * time.Millisecond; ; pause *= 2 { // each attempt may open a dialog
		err := s.save(ctx, st)
		if !errors.Is(err, keystore.ErrUnavailable) {
			return err
		}
		if time.Since(began) > refusedPatience {
			slow(err)
		}
		if clock.Pause(ctx, pause) != nil {
			return err
		}
	}
}

// refused ends the renewing of the session, unless the refused refresh token is no longer the stored one: then another
// process has renewed the session, and nothing has ended.
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
	s.cfg.Record(Event{Kind: EventRefused})
	return s.named(ErrRefreshRefused)
}
