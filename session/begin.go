package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// Storable makes sure that a login could be stored now, so that nobody logs in for nothing. Otherwise its error says
// why: the keystore can't be used or written, or the lock can't be taken. keystore.ErrCorrupt says that the login would
// replace a session that can't be read. Where no login is stored after all, release takes back what was prepared.
func (s *Session) Storable(ctx context.Context) (release func(), err error) {
	release = func() {}
	_, err = s.cfg.Store.Load(ctx, s.name)
	if err != nil && !errors.Is(err, keystore.ErrNotFound) && !errors.Is(err, keystore.ErrCorrupt) {
		return release, err
	}
	lock, lockErr := s.lock.tryAcquire(ctx)
	if lockErr != nil {
		return release, lockErr
	}
	if lock != nil { // otherwise another process holds the lock, and is about to store something itself
		defer lock.release()
		free, err := s.proveWritable(ctx)
		if err != nil {
			return release, err
		}
		release = func() {
			if lock, err := s.lock.tryAcquire(context.WithoutCancel(ctx)); err == nil && lock != nil {
				free()
				lock.release()
			}
		}
	}
	if errors.Is(err, keystore.ErrCorrupt) {
		return release, err
	}
	return release, nil
}

// proveWritable makes room for a session, or writes the note of its lease once more. The caller holds the lock, there
// and when it calls free.
func (s *Session) proveWritable(ctx context.Context) (free func(), err error) {
	if store, ok := s.cfg.Store.(keystore.Reserver); ok {
		return store.Reserve(ctx, s.name)
	}
	leaser := s.lock.leaser
	if leaser == nil {
		return func() {}, nil
	}
	free = func() {}
	note, err := leaser.Note(ctx, s.name)
	if err != nil {
		return free, err
	}
	if note != nil {
		return free, leaser.SetNote(ctx, s.name, note)
	}
	// Some keychains ask a person before they remove, so the note stays where a login was stored.
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freeLimit)
		defer cancel()
		if _, err := s.cfg.Store.Head(ctx, s.name); errors.Is(err, keystore.ErrNotFound) {
			_ = leaser.SetNote(ctx, s.name, nil)
		}
	}, leaser.SetNote(ctx, s.name, []byte("{}"))
}

// freeLimit is short: nobody waits a second time for a keychain that does not answer, and a note holds no secret.
const freeLimit = 2 * time.Second

// Begin stores a new login in place of whatever was there. It can be a loopback.Config's Store.
func (s *Session) Begin(ctx context.Context, t *provider.Tokens) error {
	_, err := s.Replace(ctx, t, func(string) bool { return true })
	return err
}

// Replace stores a new login, and returns the refresh token of the session that it replaced, for Retire. A session of
// another subject that can still be used is replaced only if mayReplace allows it: otherwise it stays as it is, and the
// error is ErrSomebodyElse. The end of ctx does not stop it: the provider has granted what it stores.
func (s *Session) Replace(
	ctx context.Context, t *provider.Tokens, mayReplace func(subject string) bool,
) (replaced provider.Secret, err error) {
	err = granted.Store(ctx, func(ctx context.Context) error {
		replaced, err = s.replace(ctx, t, mayReplace)
		return err
	})
	return replaced, err
}

func (s *Session) replace(
	ctx context.Context, t *provider.Tokens, mayReplace func(subject string) bool,
) (replaced provider.Secret, err error) {
	if !s.isOurs(t) {
		return replaced, errors.New("a login without a subject or an access token can't be stored")
	}
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return replaced, err
	}
	defer lock.release()
	old, err := s.load(ctx)
	switch {
	case err == nil:
		if old.Subject != t.Claims.Subject() && old.unusable(s.cfg.Now()) == nil && !mayReplace(old.Subject) {
			return replaced, ErrSomebodyElse
		}
		replaced = provider.NewSecret(old.RefreshToken)
	case errors.Is(err, ErrNotLoggedIn):
	case errors.Is(err, keystore.ErrCorrupt): // a new login is the one thing that may replace what can't be read
	default:
		return replaced, err
	}
	if s.stepUp == "" {
		err := s.endStepUps(ctx, old, func(_ context.Context, t provider.Secret) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.retired = append(s.retired, t)
		})
		if err != nil {
			return replaced, err
		}
	}
	now := s.cfg.Now()
	st := &state{
		head: head{
			Version: stateVersion, Issuer: s.cfg.Provider.Issuer(), ClientID: s.cfg.Provider.ClientID(),
			Resource: s.cfg.Resource,
		},
		body:  body{LoggedIn: now, Scope: t.Scope, Of: s.of},
		whole: true,
	}
	if old != nil {
		st.RevocationCascades = old.RevocationCascades
	}
	if s.cfg.Limits != (Limits{}) {
		st.Limits = limits{now, s.cfg.Limits.MaxAge, s.cfg.Limits.Idle}
	}
	st.apply(t, Request{}, now)
	st.Granted = append([]string{t.Audience}, t.Audiences...)
	if err := s.forgetDerived(ctx); err != nil {
		return replaced, err
	}
	forget := s.remember()
	if err := s.save(ctx, st); err != nil {
		forget()
		return replaced, err
	}
	_ = os.Remove(s.usedFile()) // it was about the session before
	s.cfg.Record(Event{EventLogin, t.Audience})
	if replaced.Reveal() == t.RefreshToken.Reveal() {
		replaced = provider.Secret{}
	}
	return replaced, nil
}

// isOurs reports whether the tokens are a login of this session's kind: with a subject, or for its resource.
func (s *Session) isOurs(t *provider.Tokens) bool {
	if s.cfg.Resource != "" {
		return !t.AccessToken.IsZero() && t.Claims == nil && t.Audience == s.cfg.Resource
	}
	return !t.AccessToken.IsZero() && t.Claims.Subject() != ""
}

// remember notes the client of the session. The lock is held: a logout that is under way will still remove the note of
// the session before. A note that can't be made only means that the next command has to be told the issuer.
func (s *Session) remember() (forget func()) {
	if s.cfg.Known.Issuer == "" {
		return func() {}
	}
	forget, err := known.Remember(s.cfg.StateDir, s.cfg.Known)
	if err != nil {
		s.cfg.Notice(fmt.Errorf("%w: %w", ErrNotNoted, err))
		return func() {}
	}
	return forget
}

// Retire revokes the refresh token that a new login replaced, and those of the step-ups that ended with that session.
// Auth0 keeps 200 of them for each user and application, then drops the oldest.
//
// RFC 7009, section 2.1, lets a provider revoke the whole grant with the token, and a second login of the same browser
// may share that grant. Where that can happen, Retire uses the new refresh token once. If the provider refuses it,
// again is true: the login has to be repeated, and Retire will revoke nothing that time. The error is that of the
// revocation or of the trial; the login stands.
func (s *Session) Retire(ctx context.Context, replaced provider.Secret) (again bool, err error) {
	s.mu.Lock()
	retired := slices.DeleteFunc(append(s.retired, replaced), provider.Secret.IsZero)
	s.retired = nil
	s.mu.Unlock()
	if len(retired) == 0 {
		return false, nil
	}
	st, err := s.load(ctx)
	if err != nil {
		return false, err
	}
	if st.RevocationCascades {
		return false, nil
	}
	for _, token := range retired {
		if err := s.cfg.Provider.Revoke(ctx, token); err != nil {
			if errors.Is(err, provider.ErrNoEndpoint) {
				return false, nil
			}
			return false, err
		}
	}
	if s.cfg.Provider.Auth0() || st.RefreshToken == "" { // Auth0 revokes the one token, unless its tenant is set otherwise
		return false, nil
	}
	_, err = s.AccessToken(ctx, Request{Force: true, Proves: true})
	switch {
	case errors.Is(err, provider.ErrUnreachable): // the trial says nothing, and nothing is left to do
		return false, nil
	case !errors.Is(err, ErrRefreshRefused):
		return false, err
	}
	return true, s.update(ctx, func(st *state) { st.RevocationCascades = true })
}
