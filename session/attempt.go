package session

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
)

// An attempt is a renewal that has begun, and has not come to its end yet or came
// to none: the process was killed, or the network gave no answer. It lies beside
// the lock and tells those who come next what happened to the refresh token. It holds no secret.
type attempt struct {
	Token  string    `json:"refresh_token_sha256"` // of the one that was used
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
	Failed *failure  `json:"failed,omitempty"`
}

type failure struct {
	wire.Failure
	MaybeSent bool `json:"maybe_sent,omitempty"` // the refresh token may be used up
}

func (s *Session) attemptFile() string {
	return filepath.Join(s.cfg.StateDir, s.name+".attempt.json")
}

// fingerprint tells refresh tokens apart without holding one.
func fingerprint(refreshToken string) string {
	sum := sha256.Sum256([]byte(refreshToken))
	return hex.EncodeToString(sum[:])
}

// noteAttempt says that the refresh token is being used, or that it was in vain, and then
// whether it may be used up all the same. That it can't be noted is no reason not to renew.
func (s *Session) noteAttempt(st *state, failed error, usedUp bool) {
	a := attempt{Token: fingerprint(st.RefreshToken), Began: s.cfg.Now()}
	if failed != nil {
		a.Ended, a.Failed = a.Began, &failure{kinds().Failure(failed), usedUp}
	}
	if data, err := json.Marshal(a); err == nil {
		_ = private.Replace(s.attemptFile(), data)
	}
}

func (s *Session) forgetAttempt() { _ = os.Remove(s.attemptFile()) }

// afterAttempt looks at what became of the attempt before with the same refresh
// token. One that failed after the caller came was the caller's too, for many who
// wait must not knock at a closed door one after the other. After one whose answer
// may have been lost the person is told what that can mean.
func (s *Session) afterAttempt(st *state, asked time.Time) error {
	var a attempt
	data, err := private.Read(s.attemptFile(), 1<<16)
	if err != nil || json.Unmarshal(data, &a) != nil || a.Token != fingerprint(st.RefreshToken) {
		return nil //nolint:nilerr // it tells nothing of this refresh token
	}
	if a.Failed != nil && a.Ended.After(asked) && !a.Ended.After(s.cfg.Now()) {
		return kinds().Err(a.Failed.Failure)
	}
	if s.cfg.Notice != nil && (a.Failed == nil || a.Failed.MaybeSent) {
		s.cfg.Notice(fmt.Sprintf("profile %q: the provider's answer to the last renewal was lost, so its refresh token is used once more. "+
			"A provider that replaces refresh tokens may take that for theft and end the session: then run loopkey login.", s.cfg.Profile))
	}
	return nil
}
