package session

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/provider"
)

// A file beside a lock holds what the provider refused to the processes that had their turn there. It is for those that
// were waiting meanwhile and whose client authenticates by the same: a hundred that ask for the same send one request.
// No later caller is refused by it.

// refusals are what that file holds, by the digest of what was asked for.
type refusals map[string]refused

type refused struct {
	Ended   time.Time    `json:"ended"`
	Failure wire.Failure `json:"failure"`
}

const (
	refusalsLimit = 1 << 16          // of the file, in bytes
	refusalsLife  = 10 * time.Minute // longer than anybody waits for a turn
)

func (l *fileLock) refusalsFile() string { return filepath.Join(l.dir, l.name+".refused.json") }

func digestOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

func (l *fileLock) refusals() refusals {
	data, err := private.Read(l.refusalsFile(), refusalsLimit)
	var all refusals
	if err != nil || json.Unmarshal(data, &all) != nil {
		return nil // then each asks for itself
	}
	return all
}

// refusal returns what the provider refused to another process since this one asked for the key, or nil.
func (l *fileLock) refusal(key string, asked, now time.Time) error {
	r, ok := l.refusals()[digestOf(key)]
	if !ok || !obtainedSince(r.Ended, asked, now) {
		return nil
	}
	return failures().Err(r.Failure)
}

// noteRefusal lets the processes that wait for the turn know that the provider refused what they want. Other errors say
// nothing about the next request. It is this process's turn.
func (l *fileLock) noteRefusal(key string, err error, now time.Time) {
	if !errors.Is(err, provider.ErrRefused) {
		return
	}
	all := l.refusals()
	if all == nil {
		all = refusals{}
	}
	maps.DeleteFunc(all, func(_ string, r refused) bool { return now.Sub(r.Ended).Abs() > refusalsLife })
	all[digestOf(key)] = refused{now, failures().Failure(err)}
	if data, err := json.Marshal(all); err == nil && len(data) < refusalsLimit {
		_ = private.Replace(l.refusalsFile(), data)
	}
}

// clientMark tells what this process's client authenticates by from what another one's does. A refusal of the one says
// nothing about the other: a wrong secret in one environment is not wrong in all. Of a key or a certificate it knows
// the name alone, so that two of one name share their refusals.
func (s *Session) clientMark() string {
	k := s.cfg.Known
	sum := sha256.Sum256([]byte(strings.Join([]string{
		s.cfg.Provider.SecretMark(), k.ClientKey, k.ClientKeyID, k.ClientKeyAlg, k.ClientCertificate, k.ClientCertificateKey,
		k.AssertionAudience, k.ClientAuth,
	}, "\x00")))
	return hex.EncodeToString(sum[:4])
}

func (l *fileLock) forgetRefusals() { _ = os.Remove(l.refusalsFile()) }
