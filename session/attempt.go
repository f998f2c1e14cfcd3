package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// An attempt is a renewal that has begun. It is the note of the session's lease, so that the next process which renews
// learns what happened to the refresh token where this one was killed or the network gave no response. It holds no
// secret. Where the keystore has no leases, it is in a file beside the lock.
type attempt struct {
	ID     string    `json:"id"`                   // the session holds the ID of the attempt that succeeded last
	Token  string    `json:"refresh_token_sha256"` // the fingerprint of the refresh token that was used
	Client string    `json:"client,omitempty"`     // the mark of what the client authenticated by
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"`
	Failed *failure  `json:"failed,omitempty"` // nil: how the attempt ended is not known
}

type failure struct {
	wire.Failure
	MaybeSent bool `json:"maybe_sent,omitempty"` // the refresh token may be used up
}

const (
	attemptLimit = 1 << 16 // of the file, in bytes
	noteLimit    = 1 << 10 // of a note, in bytes: an entry of a keychain is short
)

func (s *Session) attemptFile() string {
	return filepath.Join(s.cfg.StateDir, s.name+".attempt.json")
}

// fingerprint tells refresh tokens apart without holding one.
func fingerprint(refreshToken string) string {
	sum := sha256.Sum256([]byte(refreshToken))
	return hex.EncodeToString(sum[:])
}

// beginAttempt notes that the refresh token is being used. It fails where the keystore can't be written.
func (s *Session) beginAttempt(ctx context.Context, st *state) (attempt, error) {
	a := attempt{
		ID: rand.Text(), Token: fingerprint(st.RefreshToken), Client: s.clientMark(), Began: s.cfg.Now(),
	}
	return a, s.noteAttempt(ctx, a)
}

// failAttempt notes that the attempt failed, and whether the refresh token may be used up. A failure that can't be
// noted counts as a response that was lost.
func (s *Session) failAttempt(ctx context.Context, a attempt, st *state, failed error, usedUp bool) {
	a.Token, a.Ended = fingerprint(st.RefreshToken), s.cfg.Now()
	a.Failed = &failure{failures().Failure(failed), usedUp}
	if data, err := json.Marshal(a); err == nil && len(data) > noteLimit {
		a.Failed.Text, a.Failed.Parts = "the renewal failed in another process", nil
	}
	_ = s.noteAttempt(ctx, a)
}

func (s *Session) noteAttempt(ctx context.Context, a attempt) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if s.lock.leaser != nil {
		return s.lock.leaser.SetNote(ctx, s.name, data)
	}
	_ = private.Replace(s.attemptFile(), data) // the file is not where the session will be stored
	return nil
}

func (s *Session) forgetAttempt() { _ = os.Remove(s.attemptFile()) }

// lastAttempt returns what is known of the last attempt to use the refresh token, if that did not succeed.
func (s *Session) lastAttempt(ctx context.Context, st *state) (a attempt, ok bool, err error) {
	var data []byte
	if s.lock.leaser != nil {
		data, err = s.lock.leaser.Note(ctx, s.name)
	} else {
		data, _ = private.Read(s.attemptFile(), attemptLimit)
	}
	if err != nil {
		return a, false, s.explain(err)
	}
	known := json.Unmarshal(data, &a) == nil && a.Token == fingerprint(st.RefreshToken)
	return a, known && (a.ID == "" || a.ID != st.Attempt), nil
}

// afterAttempt looks at the attempt before with the same refresh token. If that failed after the caller came, its error
// is the caller's too: many callers that wait must not each send a request to a provider that fails. A refusal counts
// only for callers whose client authenticates with the same credentials. lost says that its response may be lost, which
// the user has to know. The caller holds the work, so an attempt without an end was broken off.
func (s *Session) afterAttempt(ctx context.Context, st *state, asked time.Time) (lost bool, err error) {
	a, ok, err := s.lastAttempt(ctx, st)
	switch {
	case err != nil:
		return false, unprepared{err}
	case !ok:
		return false, nil
	case a.Failed != nil && a.Ended.After(asked) && !a.Ended.After(s.cfg.Now()):
		failed := failures().Err(a.Failed.Failure)
		if a.Client == s.clientMark() || !errors.Is(failed, provider.ErrRefused) {
			return false, failed
		}
	}
	return a.Failed == nil || a.Failed.MaybeSent, nil
}

// noticeAttempt is afterAttempt for a process whose Config.Notice reaches the user.
func (s *Session) noticeAttempt(ctx context.Context, st *state, asked time.Time) error {
	lost, err := s.afterAttempt(ctx, st, asked)
	if lost {
		s.cfg.Notice(s.named(ErrReplyLost))
	}
	return err
}

// prepareAttempt gets what storing the response will take before the refresh token is sent, for the response may be the
// only copy of a rotated one: room in the keystore, until release, and descriptors, until giveBack. Then it notes the
// attempt. Its errors are unprepared.
func (s *Session) prepareAttempt(ctx context.Context, st *state) (a attempt, giveBack, release func(), err error) {
	release = func() {}
	if store, ok := s.cfg.Store.(keystore.Reserver); ok {
		if release, err = store.Reserve(ctx, s.name); err != nil {
			return a, nil, nil, unprepared{s.explain(err)}
		}
	}
	if giveBack, err = holdDescriptors(); err != nil {
		release()
		return a, nil, nil, unprepared{s.named(err)}
	}
	if a, err = s.beginAttempt(ctx, st); err != nil {
		giveBack()
		release()
		return a, nil, nil, unprepared{s.explain(err)}
	}
	return a, giveBack, release, nil
}
