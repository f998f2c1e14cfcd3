package session

import (
	"context"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// A Refusal says that a server refused a token of the session, though by its expiry the token still lives.
type Refusal struct {
	// Token is what the server refused. The zero Secret says that it is not known which token that was: then it is the
	// one for Request, or the ID token, unless it is younger than ten seconds and so may be the successor.
	Token   provider.Secret
	Request Request
	IDToken bool
}

// young is the age up to which a token counts as obtained after a refusal that does not name its token.
const young = 10 * time.Second

// Refuse notes that a server refused a token, so that the next AccessToken or IDToken renews it. It changes nothing if
// the refused token is not the stored one: another process has renewed it. So any number of reports about one token
// lead to one renewal. No report ends the session: where the token can't be renewed it is handed out as before.
func (s *Session) Refuse(ctx context.Context, r Refusal) error {
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	isOther := !r.Token.IsZero() && st.refusedBy(r, s.cfg.Now()) == nil // a step-up's token may come without a Need
	if isOther || !r.Request.Need.IsZero() {
		if err := s.refuseStepUps(ctx, st, r); err != nil {
			return err
		}
		if !st.meets(r.Request, s.cfg.Now()) {
			return nil
		}
	}
	if st.refusedBy(r, s.cfg.Now()) == nil { // the usual report of a latecomer: it needs no lock
		return nil
	}
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	if st, err = s.load(ctx); err != nil {
		return err
	}
	mark := st.refusedBy(r, s.cfg.Now())
	if mark == nil {
		return nil
	}
	*mark = true
	return s.save(ctx, st)
}

// refusedBy returns the mark of the token that a refusal means, or nil if it means none that is stored and not marked
// yet.
func (st *state) refusedBy(r Refusal, now time.Time) *bool {
	unmarked := func(mark *bool) *bool {
		if *mark {
			return nil
		}
		return mark
	}
	if refused := r.Token.Reveal(); refused != "" {
		for i := range len(st.Others) + 1 {
			if t := st.token(i); t.Token == refused {
				return unmarked(&t.Refused)
			}
		}
		if st.IDToken == refused {
			return unmarked(&st.IDTokenRefused)
		}
		return nil
	}
	if r.IDToken {
		if st.IDToken == "" || isYoung(st.IDTokenObtained, now) {
			return nil
		}
		return unmarked(&st.IDTokenRefused)
	}
	if t := st.find(r.Request); t != nil && !isYoung(t.Obtained, now) {
		return unmarked(&t.Refused)
	}
	return nil
}

// isYoung ignores a time in the future: the clock was wrong when it was recorded.
func isYoung(obtained, now time.Time) bool {
	return obtained.After(now.Add(-young)) && !obtained.After(now)
}
