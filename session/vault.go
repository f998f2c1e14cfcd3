package session

import (
	"context"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// UseRefreshToken calls use with the refresh token for a request that is no renewal, in this process's turn, so that no
// other process uses it meanwhile. If use returns tokens with another refresh token, that takes the place of the one
// that was used, whatever the error is. A refusal does not end the session: it may be about something else than the
// refresh token.
func (s *Session) UseRefreshToken(
	ctx context.Context, use func(context.Context, provider.Secret) (*provider.Tokens, error),
) error {
	asked := s.cfg.Now()
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.prover != nil {
		return s.named(ErrBound) // such a request has no proof
	}
	if err := s.spare(st, asked); err != nil {
		return err
	}
	if err := st.renewable(asked); err != nil {
		return s.named(err)
	}
	if err := s.noticeAttempt(ctx, st, asked); err != nil {
		return err
	}
	// From here on an interruption must not win: the provider may already have replaced the refresh token.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewLimit)
	defer cancel()
	return s.spend(ctx, st, use)
}

// spend uses the refresh token once. The caller holds the lock.
func (s *Session) spend(
	ctx context.Context, st *state, use func(context.Context, provider.Secret) (*provider.Tokens, error),
) error {
	attempt, giveBack, release, err := s.prepareAttempt(ctx, st)
	if err != nil {
		return err
	}
	defer release()
	tokens, failed := use(ctx, provider.NewSecret(st.RefreshToken))
	giveBack()
	isNew := tokens != nil && !tokens.RefreshToken.IsZero() && tokens.RefreshToken.Reveal() != st.RefreshToken
	switch {
	case isNew:
		st.RefreshToken, st.RefreshExpiry, st.Rotates, st.Attempt = tokens.RefreshToken.Reveal(), tokens.RefreshExpiry, true,
			attempt.ID
		if err := s.saveSurely(ctx, st, func(error) {}); err != nil {
			return err
		}
		s.forgetAttempt()
	case failed != nil && provider.MaybeSent(failed):
		s.failAttempt(ctx, attempt, st, failed, true)
	default:
		s.dropAttempt(ctx)
	}
	if failed != nil {
		return s.named(failed)
	}
	return nil
}

// dropAttempt notes that the refresh token is as it was before the attempt.
func (s *Session) dropAttempt(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if s.lock.leaser != nil {
		_ = s.lock.leaser.SetNote(ctx, s.name, []byte("{}")) // if it fails, the next renewal says that a response was lost
		return
	}
	s.forgetAttempt()
}
