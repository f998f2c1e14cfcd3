package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// renewLimit bounds the refresh request and the storing of its answer together.
const renewLimit = 45 * time.Second

// A renewal is one use of the refresh token.
type renewal struct {
	request Request
	enough  func(*state) bool // the session, read under the lock, already has what was asked for
	idToken bool              // an ID token is wanted, not an access token
}

// renew gets what is asked for by the refresh token, under the lock that all
// processes share. Whoever comes second finds what the first one stored.
func (s *Session) renew(ctx context.Context, r renewal) error {
	// Many may wait for one renewal: they read together, and only who still lacks a token takes the lock alone.
	if unlock, err := s.lock.tryAcquire(); err != nil {
		return err
	} else if unlock != nil {
		defer unlock()
	} else {
		unlock, err := s.lock.acquireShared(ctx)
		if err != nil {
			return err
		}
		st, err := s.load(ctx)
		unlock()
		if err != nil {
			return err
		}
		if r.enough(st) {
			return nil
		}
		if unlock, err = s.lock.acquire(ctx); err != nil {
			return err
		}
		defer unlock()
	}
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if r.enough(st) {
		return nil
	}
	return s.refresh(ctx, st, r)
}

// refresh makes one refresh request and stores its answer. The lock is held.
func (s *Session) refresh(ctx context.Context, st *state, r renewal) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := s.cfg.Now()
	if err := st.renewable(now); err != nil {
		return fmt.Errorf("profile %q: %w", s.cfg.Profile, err)
	}
	audience := st.audienceOr(r.request.Audience)
	if !s.cfg.MayAskAudiences && !slices.Contains(st.Granted, audience) {
		return &AudienceError{Audience: audience}
	}
	// From here on an interruption must not win: the provider may already have taken the old refresh token back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	tokens, err := s.cfg.Provider.Refresh(ctx, provider.RefreshRequest{
		RefreshToken: provider.NewSecret(st.RefreshToken),
		Scope:        normalScope(r.request.Scope),
		Audience:     audience,
		Subject:      st.Subject,
		AuthTime:     st.IDClaims.Time("auth_time"),
	})
	if errors.Is(err, provider.ErrInvalidGrant) {
		return s.refused(ctx, st, r)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("profile %q: %w", s.cfg.Profile, err), s.keepRotated(ctx, st, tokens))
	}
	if tokens.Scope == "" {
		tokens.Scope = st.scopeOf(r.request)
	}
	obtained := s.cfg.Now()
	st.apply(tokens, r.request, obtained)
	st.Renewed = obtained
	if err := s.save(ctx, st); err != nil {
		return err
	}
	if missing := missingScope(r.request.Scope, tokens.Scope); missing != "" {
		return &ScopeError{Missing: missing, Granted: tokens.Scope}
	}
	if !r.enough(st) && !r.idToken {
		return fmt.Errorf("profile %q: the provider's new access token had expired when it came: is this clock right?", s.cfg.Profile)
	}
	return nil
}

// keepRotated stores the refresh token of an answer whose access token is not handed
// out, for the old one may be used up. Nothing else of that answer is kept.
func (s *Session) keepRotated(ctx context.Context, st *state, t *provider.Tokens) error {
	if t == nil || t.RefreshToken.IsZero() {
		return nil
	}
	st.RefreshToken, st.RefreshExpiry = t.RefreshToken.Reveal(), t.RefreshExpiry
	return s.save(ctx, st)
}

// refused ends the session's renewing, unless the refused token is no longer the
// stored one: then somebody else's answer came first, and nothing has ended.
func (s *Session) refused(ctx context.Context, asked *state, r renewal) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.RefreshToken != asked.RefreshToken {
		if r.enough(st) {
			return nil
		}
		return fmt.Errorf("profile %q: the session was replaced while it was being renewed: ask again", s.cfg.Profile)
	}
	st.RefreshToken, st.RefreshRefused = "", true
	if err := s.save(ctx, st); err != nil {
		return err
	}
	return fmt.Errorf("profile %q: %w", s.cfg.Profile, ErrRefreshRefused)
}

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
