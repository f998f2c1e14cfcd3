package session

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
)

// An attempt is a renewal that has begun. It is noted in a file beside the lock until the renewal has succeeded, so
// that the next caller learns what happened to the refresh token where the process was killed or the network gave no
// response. It holds no secret.
type attempt struct {
	Token  string    `json:"refresh_token_sha256"` // the fingerprint of the refresh token that was used
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
	Failed *failure  `json:"failed,omitempty"` // nil: how the attempt ended is not known
}

type failure struct {
	wire.Failure
	MaybeSent bool `json:"maybe_sent,omitempty"` // the refresh token may be used up
}

const attemptLimit = 1 << 16 // of the file, in bytes

func (s *Session) attemptFile() string {
	return filepath.Join(s.cfg.StateDir, s.name+".attempt.json")
}

// fingerprint tells refresh tokens apart without holding one.
func fingerprint(refreshToken string) string {
	sum := sha256.Sum256([]byte(refreshToken))
	return hex.EncodeToString(sum[:])
}

// noteAttempt notes that the refresh token is being used, or, with failed, that the attempt failed and whether the
// refresh token may be used up. An attempt that can't be noted is no reason not to renew.
func (s *Session) noteAttempt(st *state, failed error, usedUp bool) {
	a := attempt{Token: fingerprint(st.RefreshToken), Began: s.cfg.Now()}
	if failed != nil {
		a.Ended, a.Failed = a.Began, &failure{failures().Failure(failed), usedUp}
	}
	if data, err := json.Marshal(a); err == nil {
		_ = private.Replace(s.attemptFile(), data)
	}
}

func (s *Session) forgetAttempt() { _ = os.Remove(s.attemptFile()) }

// afterAttempt looks at the attempt before with the same refresh token. If that failed after the caller came, its error
// is the caller's too: many callers that wait must not each send a request to a provider that fails. If its response
// may have been lost, the user is told.
func (s *Session) afterAttempt(st *state, asked time.Time) error {
	var a attempt
	data, err := private.Read(s.attemptFile(), attemptLimit)
	if err != nil || json.Unmarshal(data, &a) != nil || a.Token != fingerprint(st.RefreshToken) {
		return nil //nolint:nilerr // nothing is known about this refresh token
	}
	if a.Failed != nil && a.Ended.After(asked) && !a.Ended.After(s.cfg.Now()) {
		return failures().Err(a.Failed.Failure)
	}
	if a.Failed == nil || a.Failed.MaybeSent {
		s.cfg.Notice(s.named(ErrReplyLost))
	}
	return nil
}
