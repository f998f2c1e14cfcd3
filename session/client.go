package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// ErrNotKept is what Config.Notice is called with where a token of the client itself could not be kept.
var ErrNotKept = errors.New("the token could not be kept for the next call")

// clientRecord is the record of the tokens that the client got for itself. It is apart from the login: it is there
// where nobody is logged in, and a login does not touch it. End deletes it.
type clientRecord struct {
	Version int                    `json:"v"`
	Tokens  map[string]storedToken `json:"tokens"` // by what was asked for
}

const mostClientTokens = 32 // that are kept

func (s *Session) clientName() string { return s.name + ".client" }

// ClientToken returns what is kept for the key, or else what obtain returns: an access token that the client got for
// itself, with nobody logged in. The key stands for the whole request: of r only MinLifetime and Force count, as they
// do for AccessToken. One process at a time calls obtain, and those that wait for it get what it returned, be it a
// refusal of the provider (provider.ErrRefused).
//
// A token that has not expired is returned where the provider can't be reached. A keystore that can't be used costs
// each call a request, and Config.Notice is told.
func (s *Session) ClientToken(
	ctx context.Context, key string, r Request, obtain func(context.Context) (AccessToken, error),
) (AccessToken, error) {
	asked := s.cfg.Now()
	kept, err := s.clientTokens(ctx)
	if t := kept.find(key, r, asked, s.cfg.Now()); t != nil {
		return t.handOut(), nil
	}
	lock := fileLock{dir: s.cfg.StateDir, name: s.clientName()}
	var seen time.Time
	if err == nil {
		turn, lockErr := lock.wait(ctx, lock.turn())
		if ctx.Err() != nil || errors.Is(lockErr, ErrLocked) {
			return AccessToken{}, lockErr
		}
		if err = lockErr; err == nil {
			defer func() { _ = turn.Close() }()
			seen = lock.touched() // before the record is read: an End meanwhile deletes all of it
			kept, err = s.clientTokens(ctx)
		}
	}
	if t := kept.find(key, r, asked, s.cfg.Now()); t != nil {
		return t.handOut(), nil
	}
	refusalKey := s.clientMark() + " " + key
	if refused := lock.refusal(refusalKey, asked, s.cfg.Now()); refused != nil {
		return AccessToken{}, s.named(refused)
	}
	token, obtainErr := obtain(ctx)
	if obtainErr != nil {
		if err == nil { // else it is not this process's turn
			lock.noteRefusal(refusalKey, obtainErr, s.cfg.Now())
		}
		living := kept.Tokens[key]
		if !r.Force && errors.Is(obtainErr, provider.ErrUnreachable) && living.left(s.cfg.Now()) > 0 {
			return living.handOut(), nil
		}
		return AccessToken{}, s.named(obtainErr)
	}
	if err == nil {
		err = s.keepUnlessEnded(ctx, &lock, seen, func() error { return s.keepClientToken(ctx, kept, key, token) })
	}
	if err != nil {
		s.cfg.Notice(s.named(fmt.Errorf("%w: %w", ErrNotKept, err)))
	}
	return token, nil
}

// find returns the token for a key that may be handed out to a caller who came when asked, or nil.
func (c clientRecord) find(key string, r Request, asked, now time.Time) *storedToken {
	t, ok := c.Tokens[key]
	isOurs := obtainedSince(t.Obtained, asked, now) && !t.expired(now) // another caller got it meanwhile
	if ok && (isOurs || !r.Force && t.good(now, r.MinLifetime, false)) {
		return &t
	}
	return nil
}

// clientTokens reads the record. There is none, or none that can be read, before the first token.
func (s *Session) clientTokens(ctx context.Context) (clientRecord, error) {
	var kept clientRecord
	record, err := s.cfg.Store.Load(ctx, s.clientName())
	switch {
	case errors.Is(err, keystore.ErrUnavailable):
		return kept, err
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt):
		return kept, nil
	case err != nil:
		return kept, err
	}
	if json.Unmarshal(record.Body, &kept) != nil || kept.Version != stateVersion {
		return clientRecord{}, nil
	}
	return kept, nil
}

// keepClientToken adds a token to the record, and drops those that have expired. It is this process's turn.
func (s *Session) keepClientToken(ctx context.Context, kept clientRecord, key string, t AccessToken) error {
	now := s.cfg.Now()
	all := maps.Clone(kept.Tokens)
	maps.DeleteFunc(all, func(_ string, old storedToken) bool { return old.expired(now) })
	if len(all) >= mostClientTokens {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(all)), func(a, b string) int {
			return all[a].Obtained.Compare(all[b].Obtained)
		})
		delete(all, oldest)
	}
	if all == nil {
		all = map[string]storedToken{}
	}
	all[key] = storedToken{
		Token: t.Token.Reveal(), TokenType: t.TokenType, Expiry: t.Expiry, Obtained: now,
		Scope: t.Scope, Audience: t.Audience,
	}
	body, err := json.Marshal(clientRecord{Version: stateVersion, Tokens: all})
	if err != nil {
		return fmt.Errorf("encoding the tokens: %w", err)
	}
	if s.cfg.Known.ClientID != "" { // before they are stored
		if err := known.RememberTokens(s.cfg.StateDir, s.cfg.Known); err != nil {
			return err
		}
	}
	return s.cfg.Store.Save(ctx, s.clientName(), keystore.Record{Head: []byte(`{"v":1}`), Body: body})
}

// keepUnlessEnded calls keep, unless an End has touched the lock since it was seen. An End that comes meanwhile waits
// for it, and then deletes what it stored, whatever becomes of this process.
func (s *Session) keepUnlessEnded(ctx context.Context, lock *fileLock, seen time.Time, keep func() error) error {
	work, err := lock.wait(ctx, lock.work())
	if err != nil {
		return err
	}
	defer func() { _ = work.Close() }()
	if !lock.touched().Equal(seen) {
		return nil
	}
	return keep()
}

// forgetClientTokens deletes the record, if a process of this machine has made one. It does not wait for a process that
// obtains a token, which may take long: that one sees the touch, and stores nothing.
func (s *Session) forgetClientTokens(ctx context.Context) error {
	lock := fileLock{dir: s.cfg.StateDir, name: s.clientName()}
	if _, err := os.Lstat(lock.turn()); err != nil {
		return nil //nolint:nilerr // there is no token to forget
	}
	work, err := lock.wait(ctx, lock.work())
	if err != nil {
		return s.named(err)
	}
	defer func() { _ = work.Close() }()
	lock.forgetRefusals()
	lock.touch() // first: what is stored before the touch is seen is deleted here
	if err := s.cfg.Store.Delete(ctx, s.clientName()); err != nil {
		return s.explain(err)
	}
	return known.ForgetTokens(s.cfg.StateDir, s.name, s.cfg.Known.Keystore)
}

// EndClient deletes the tokens that the client got for itself, and leaves the login alone. End does that too.
func (s *Session) EndClient(ctx context.Context) error { return s.forgetClientTokens(ctx) }
