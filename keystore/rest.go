package keystore

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/private"
)

// A restingKey is the identity of an encrypted file as it rests with the system after the passphrase was given once. It
// rests under a name that is made of the file of the identity (restName). So another file, or one that was encrypted
// anew under another passphrase, never meets it.
//
// Beside the identity it holds a check by which a passphrase can be told from a wrong one without scrypt: the HMAC of
// the passphrase under a random key. Whoever can read it can read the identity too, and so every record; but a
// passphrase that is used elsewhere as well can be guessed by it, without the cost of scrypt.
type restingKey struct {
	since, until time.Time // in whole seconds
	identity     *age.X25519Identity
	key, mac     []byte
}

const restFormat = "loopkey-1"

func macOf(key []byte, passphrase string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(passphrase))
	return h.Sum(nil)
}

func (k restingKey) isOf(passphrase string) bool { return hmac.Equal(k.mac, macOf(k.key, passphrase)) }

func (k restingKey) encode() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return strings.Join([]string{
		restFormat, strconv.FormatInt(k.since.Unix(), 10), strconv.FormatInt(k.until.Unix(), 10),
		k.identity.String(), b64(k.key), b64(k.mac),
	}, " ")
}

// decodeResting decodes what encode wrote, and nothing else.
func decodeResting(text string) (k restingKey, ok bool) {
	fields := strings.Split(text, " ")
	if len(fields) != 6 || fields[0] != restFormat {
		return k, false
	}
	since, err1 := strconv.ParseInt(fields[1], 10, 64)
	until, err2 := strconv.ParseInt(fields[2], 10, 64)
	identity, err3 := age.ParseX25519Identity(fields[3])
	key, err4 := base64.RawStdEncoding.DecodeString(fields[4])
	mac, err5 := base64.RawStdEncoding.DecodeString(fields[5])
	if errors.Join(err1, err2, err3, err4, err5) != nil || len(key) != sha256.Size || len(mac) != sha256.Size {
		return k, false
	}
	k = restingKey{time.Unix(since, 0), time.Unix(until, 0), identity, key, mac}
	return k, k.encode() == text
}

// restName returns the name under which the identity in a file rests.
func restName(wrapped []byte) string {
	sum := sha256.Sum256(wrapped)
	return "file-key:" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// resting returns the key that rests for the file of the identity, if there is one. A key that began to rest in the
// future counts for none: the clock was set, and nobody knows how long it has been.
func (f *files) resting(ctx context.Context, wrapped []byte) (restingKey, bool) {
	text, ok := system{f.dir}.get(ctx, restName(wrapped))
	if !ok {
		return restingKey{}, false
	}
	k, ok := decodeResting(text)
	return k, ok && clock.Within(k.since, time.Now(), k.until.Sub(k.since))
}

// rest lets the identity rest with the system, and returns until when. With a lifetime of 0 it does nothing.
func (f *files) rest(ctx context.Context, lifetime time.Duration) (until time.Time, err error) {
	if lifetime <= 0 || f.passphrase == "" {
		return until, nil
	}
	k := restingKey{since: time.Now().Truncate(time.Second), identity: f.identity, key: make([]byte, sha256.Size)}
	k.until = k.since.Add(lifetime.Round(time.Second))
	_, _ = rand.Read(k.key) // it never fails
	k.mac = macOf(k.key, f.passphrase)
	if err := (system{f.dir}).put(ctx, restName(f.wrapped), k.encode(), lifetime); err != nil {
		return until, f.unavailable(ReasonNoRest, "", "the system keeps no key for it: "+reason(err), err)
	}
	if !isSameLock(f.lockedAt(), f.lastLock) { // ForgetKeys came since the call began, and maybe before there was this key
		_ = system{f.dir}.forget(ctx)
		return until, f.unavailable(ReasonFileLocked, f.dir, "it was locked", nil)
	}
	return k.until, nil
}

// forget forgets what was decrypted, and what it was decrypted with.
func (f *files) forget() {
	f.passphrase, f.right, f.identity, f.wrapped = "", false, nil, nil
	clear(f.seen)
}

// noticeLock forgets all of that when ForgetKeys was called since the store was last used.
func (f *files) noticeLock() {
	last := f.lockedAt()
	if f.used && !isSameLock(last, f.lastLock) {
		f.forget()
		f.locked = true
	}
	f.used, f.lastLock = true, last
}

// lockedAt returns the file that ForgetKeys writes, as it is now; nil: there is none.
func (f *files) lockedAt() fs.FileInfo {
	info, err := os.Lstat(f.path(lockedFile))
	if err != nil {
		return nil
	}
	return info
}

// isSameLock reports whether ForgetKeys was not called between two looks. It writes another file each time: the clock
// of a file system may stand still for some milliseconds.
func isSameLock(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// ForgetKeys makes the system forget the keys of all encrypted files of this user, on Windows of those in dir alone.
// Processes forget the key of the files in dir when they next use them.
func ForgetKeys(ctx context.Context, dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		path := filepath.Join(dir, lockedFile)
		if err := private.Replace(path, nil); err != nil {
			why := path + " can't be written: " + reason(err)
			return &UnavailableError{What: "the encrypted file", Why: why, Reason: ReasonUnwritable, Path: path, Err: err}
		}
	}
	if err := (system{dir}).forget(ctx); err != nil {
		return &UnavailableError{What: "the encrypted file", Why: "its key still rests with the system: " + reason(err),
			Reason: ReasonFailed, Err: err}
	}
	return nil
}
