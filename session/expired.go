package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/keystore"
)

// A file beside the lock tells which stored tokens have expired, or will. So the callers that come at once for an
// expired token need not read it first: one of them renews it, and each of the others reads the session once, after
// the renewal. The file holds no secret, and is a hint: it decides who reads when, and never what is handed out.
//
// A line is the hash of what is asked for, the modification time of the lock, and an expiry. It counts only as long as
// the session is in that state.

const (
	expiriesLimit = 4 << 10 // of the file, in bytes
	// A caller waits so long for another one's renewal before its first read of the keystore, and that read has the rest
	// of the limit that it has without a wait: a keystore that does not answer has to be noticed all the same.
	expiredWait  = 4 * time.Second
	expiredLimit = 9 * time.Second
)

func (l *fileLock) expiries() string { return filepath.Join(l.dir, l.name+".expiry") }

// expiryKey returns the beginning of the line about a token. It does not tell what the token is for.
func expiryKey(audience, scope string, state time.Time) string {
	sum := sha256.Sum256([]byte(audience + "\x00" + accessScope(scope)))
	return hex.EncodeToString(sum[:]) + " " + strconv.FormatInt(state.UnixNano(), 10) + " "
}

func expiryLine(key string, expiry time.Time) string {
	return key + strconv.FormatInt(expiry.Unix(), 10) + "\n"
}

// noteExpiry notes when the session's own token expires. The caller holds the lock, and has just stored the session.
func (l *fileLock) noteExpiry(st *state) {
	if st.Current.Expiry.IsZero() {
		l.forgetExpiries()
		return
	}
	seen := l.touched()
	lines := expiryLine(expiryKey("", "", seen), st.Current.Expiry)
	if st.DefaultAudience != "" {
		lines += expiryLine(expiryKey(st.DefaultAudience, "", seen), st.Current.Expiry)
	}
	l.writeExpiries(lines, os.O_TRUNC)
}

// noteExpired notes that what a request asks for had expired, or was not there, when the session was seen. The caller
// holds the lock.
func (l *fileLock) noteExpired(r Request, seen, now time.Time) {
	if !seen.IsZero() && !l.knownExpired(r, seen, now) {
		l.writeExpiries(expiryLine(expiryKey(r.Audience, r.Scope, seen), now), os.O_APPEND)
	}
}

func (l *fileLock) forgetExpiries() { _ = os.Remove(l.expiries()) }

func (l *fileLock) writeExpiries(lines string, how int) {
	f, err := os.OpenFile(l.expiries(), os.O_WRONLY|os.O_CREATE|how|private.NoLink, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(lines)
	_ = f.Close()
}

// knownExpired reports whether what a request asks for is known to have expired. seen is when the session last changed.
func (l *fileLock) knownExpired(r Request, seen, now time.Time) bool {
	if seen.IsZero() {
		return false
	}
	noted, err := private.Read(l.expiries(), expiriesLimit)
	if err != nil {
		return false
	}
	key := expiryKey(r.Audience, r.Scope, seen)
	for line := range strings.Lines(string(noted)) {
		if expiry, ok := strings.CutPrefix(line, key); ok {
			at, err := strconv.ParseInt(strings.TrimSuffix(expiry, "\n"), 10, 64)
			return err == nil && !time.Unix(at, 0).After(now)
		}
	}
	return false
}

// readAfterRenewal waits until no other process has its turn, or the session has changed since it was seen, and reads
// it. Many callers do that side by side.
func (s *Session) readAfterRenewal(ctx context.Context, r Request, seen time.Time) (*state, error) {
	waiting, end := context.WithTimeout(ctx, expiredWait)
	defer end()
	idle, err := s.lock.idle(waiting, seen)
	if err == nil {
		_ = idle.Close()
	}
	if waiting.Err() != nil {
		silent := &keystore.UnavailableError{
			Why: "no answer in time", Reason: keystore.ReasonTooSlow, Err: context.DeadlineExceeded,
		}
		limited, cancel := context.WithTimeoutCause(ctx, expiredLimit-expiredWait, silent)
		defer cancel()
		ctx = limited
	}
	return s.readFor(ctx, r)
}
