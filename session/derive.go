package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// A Derived is what a service gave for a token of the session, such as temporary credentials of a cloud.
type Derived struct {
	Value  provider.Secret
	Expiry time.Time
	// Failed says that Value is a refusal. It is handed out only to callers that were waiting for it, so that a hundred
	// callers don't send a hundred requests that are refused.
	Failed bool
}

// Derive returns what is stored for the key if it lives for least more, or else what obtain returns. That is stored for
// as long as the session lasts. One process at a time calls obtain for a session, and the others wait for what it
// returns, be it a refusal of the provider (provider.ErrRefused).
//
// Its errors are those of obtain and of AccessToken. A keystore that can't be written only means that the next caller
// obtains it anew. If the session ends while obtain runs, the error wraps ErrNotLoggedIn or ErrUnfinished. It is
// exported for helpers of tools whose credentials are derived from a token.
func (s *Session) Derive(
	ctx context.Context, key string, least time.Duration, obtain func(context.Context) (Derived, error),
) (Derived, error) {
	asked := s.cfg.Now()
	fits := func(all derivations) (Derived, bool) {
		d, now := all.Values[key], s.cfg.Now()
		if d.Failed {
			return d.handOut(), obtainedSince(d.Obtained, asked, now)
		}
		if d.Obtained.After(now.Add(time.Minute)) { // by a clock that was wrong
			return Derived{}, false
		}
		isOurs := obtainedSince(d.Obtained, asked, now) // however short it lives: another caller got it meanwhile
		return d.handOut(), d.Expiry.After(now) && (isOurs || d.Expiry.After(now.Add(least)))
	}
	all, err := s.derivations(ctx)
	if err != nil {
		return Derived{}, err
	}
	if d, ok := fits(all); ok {
		return d, nil
	}
	// A lock of its own: obtain may have to renew the session, which takes the session's.
	lock := fileLock{dir: s.cfg.StateDir, name: s.derivedName()}
	turn, err := lock.wait(ctx, lock.turn())
	if err != nil {
		return Derived{}, err
	}
	defer func() { _ = turn.Close() }()
	if all, err = s.derivations(ctx); err != nil {
		return Derived{}, err
	}
	if d, ok := fits(all); ok {
		return d, nil
	}
	st, err := s.load(ctx)
	if err != nil {
		return Derived{}, err
	}
	if err := s.spare(st, asked); err != nil {
		return Derived{}, err
	}
	ofLogin := st.LoggedIn.UTC().Format(time.RFC3339Nano) + " " + s.clientMark() + " " + key
	if err := lock.refusal(ofLogin, asked, s.cfg.Now()); err != nil {
		return Derived{}, err
	}
	d, err := obtain(ctx)
	if err != nil {
		lock.noteRefusal(ofLogin, err, s.cfg.Now())
		return Derived{}, err
	}
	if err := s.keepDerived(ctx, st, key, d); err != nil {
		return Derived{}, err
	}
	return d, nil
}

// derivedName returns the name of the record that holds what was derived from the session.
func (s *Session) derivedName() string { return s.name + ".derived" }

// derivations are the record of what was derived from one login.
type derivations struct {
	Version  int                      `json:"v"`
	Subject  string                   `json:"sub"`
	LoggedIn time.Time                `json:"logged_in"`
	Values   map[string]storedDerived `json:"values"`
}

type storedDerived struct {
	Value    string    `json:"value"`
	Expiry   time.Time `json:"expiry"`
	Obtained time.Time `json:"obtained"`
	Failed   bool      `json:"failed,omitempty"`
}

const mostDerived = 64 // values that are kept of a session

func (d storedDerived) handOut() Derived {
	return Derived{Value: provider.NewSecret(d.Value), Expiry: d.Expiry, Failed: d.Failed}
}

// derivations reads the record. There is none, or none that can be read, before the first value.
func (s *Session) derivations(ctx context.Context) (derivations, error) {
	var all derivations
	record, err := s.cfg.Store.Load(ctx, s.derivedName())
	switch {
	case errors.Is(err, keystore.ErrUnavailable):
		return all, s.named(err)
	case errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt):
		return all, nil
	case err != nil:
		return all, s.named(err)
	}
	if json.Unmarshal(record.Body, &all) != nil || all.Version != stateVersion {
		return derivations{}, nil
	}
	return all, nil
}

// keepDerived stores a value for a login. Every login and logout deletes the record under the session's lock. So under
// that lock it is made sure that the login is still the one that the value was derived from.
func (s *Session) keepDerived(ctx context.Context, of *state, key string, d Derived) error {
	lock, err := s.lock.acquire(ctx)
	if err != nil {
		return err
	}
	defer lock.release()
	st, err := s.load(ctx)
	if err != nil {
		return err
	}
	if st.Subject != of.Subject || !st.LoggedIn.Equal(of.LoggedIn) {
		return s.named(ErrUnfinished)
	}
	all, err := s.derivations(ctx)
	if err != nil {
		return nil //nolint:nilerr // the value is good, and the next caller obtains another
	}
	if all.Subject != st.Subject || !all.LoggedIn.Equal(st.LoggedIn) {
		all = derivations{Version: stateVersion, Subject: st.Subject, LoggedIn: st.LoggedIn}
	}
	now := s.cfg.Now()
	until := d.Expiry
	if end := st.end(); !end.IsZero() && end.Before(until) {
		until = end
	}
	all.keep(key, storedDerived{Value: d.Value.Reveal(), Expiry: until, Obtained: now, Failed: d.Failed}, now)
	body, err := json.Marshal(all)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	_ = s.cfg.Store.Save(ctx, s.derivedName(), keystore.Record{Head: []byte(`{"v":1}`), Body: body}) // as above
	return nil
}

// keep adds a value and drops those that are of no use any more: the expired, then the oldest.
func (all *derivations) keep(key string, d storedDerived, now time.Time) {
	if all.Values == nil {
		all.Values = map[string]storedDerived{}
	}
	maps.DeleteFunc(all.Values, func(_ string, old storedDerived) bool { return !old.Expiry.After(now) })
	all.Values[key] = d
	if len(all.Values) <= mostDerived {
		return
	}
	oldest := slices.MinFunc(slices.Collect(maps.Keys(all.Values)), func(a, b string) int {
		return cmp.Or(all.Values[a].Obtained.Compare(all.Values[b].Obtained), cmp.Compare(a, b))
	})
	delete(all.Values, oldest)
}

// forgetDerived deletes what was derived from the session. It comes before the end of the session and before a new
// login, so that a crash in between leaves nothing of the old one. The caller holds the session's lock.
func (s *Session) forgetDerived(ctx context.Context) error {
	lock := fileLock{dir: s.cfg.StateDir, name: s.derivedName()}
	lock.forgetRefusals()
	if err := s.cfg.Store.Delete(ctx, s.derivedName()); err != nil {
		return s.explain(err)
	}
	return nil
}
