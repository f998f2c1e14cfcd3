package session

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// ErrNotApart is what Config.Apart returns where no other process could be started.
var ErrNotApart = errors.New("no process of its own for the renewal")

// An order is a renewal for another process to make.
type order struct {
	Version  int    `json:"v"`
	Token    string `json:"refresh_token_sha256"` // of the refresh token to use: when it is gone, the work is done
	Audience string `json:"audience,omitempty"`
	Scope    string `json:"scope,omitempty"`
}

const orderVersion = 1

// A reply is how a renewal ended, and the session as it is stored then: that is
// a read of the keystore less for the one who ordered it.
type reply struct {
	relay
	Session *keystore.Record `json:"session,omitempty"`
}

// renewApart has another process renew the session, and returns it as it is stored
// then. Our turn lasts; the work is the other's.
func (s *Session) renewApart(ctx context.Context, st *state, r Request) (*state, error) {
	data, err := json.Marshal(order{orderVersion, fingerprint(st.RefreshToken), r.Audience, r.Scope})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lockLimit, s.named(errors.New("the renewal does not come to its end: ask again")))
	defer cancel()
	answer, err := s.cfg.Apart(ctx, data)
	if err != nil {
		return nil, err
	}
	var came reply
	switch {
	case json.Unmarshal(answer, &came) != nil || came.Version != orderVersion:
	case came.Text != "":
		return nil, came.err()
	case came.Session != nil:
		return s.decode(*came.Session)
	}
	return nil, s.named(errors.New("the process that renewed the session ended before its time: ask again"))
}

// Renew makes the renewal that another process's Config.Apart was given an order for, and
// calls answer once with the reply that it has to return: when it is done, or sooner where
// the keystore takes its time, for a person waits for the reply. It goes on to the end
// whatever becomes of the other process, in little more than a minute at most.
func (s *Session) Renew(ctx context.Context, ordered []byte, answer func(reply []byte)) {
	var once sync.Once
	say := func(st *state, err error) {
		once.Do(func() { answer(replyOf(st, err)) })
	}
	say(s.obey(context.WithoutCancel(ctx), ordered, func(err error) { say(nil, err) }))
}

// replyOf is nil where there is nothing that can be told: the other end takes that for a sudden end.
func replyOf(st *state, err error) []byte {
	r := reply{relay: *relayOf(err)}
	if err == nil {
		record, err := st.encode()
		if err != nil {
			return nil
		}
		r.Session = &record
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil
	}
	return data
}

func (s *Session) obey(ctx context.Context, ordered []byte, slow func(error)) (*state, error) {
	var o order
	if json.Unmarshal(ordered, &o) != nil || o.Version != orderVersion {
		return nil, errors.New("the renewal was ordered by another version of loopkey: ask again")
	}
	work, err := s.lock.acquireWork(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = work.Close() }()
	st, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	if fingerprint(st.RefreshToken) != o.Token {
		return st, nil // the one who ordered is dead, and another was faster
	}
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	return st, s.refresh(ctx, st, Request{Audience: o.Audience, Scope: o.Scope}, slow)
}

// A relay is how a renewal ended, as one process tells another.
type relay struct {
	Version   int                `json:"v"`
	Text      string             `json:"error,omitempty"` // "": well
	Next      string             `json:"next,omitempty"`  // of the keystore
	Diagnosis provider.Diagnosis `json:"diagnosis,omitzero"`
	Kinds     []string           `json:"kinds,omitempty"`
	MaybeSent bool               `json:"maybe_sent,omitempty"`
}

// kinds are the states that a caller tells apart, by the names under which they travel.
func kinds() map[string]error {
	return map[string]error{
		"not_logged_in": ErrNotLoggedIn, "cannot_renew": ErrCannotRenew, "refresh_refused": ErrRefreshRefused,
		"no_refresh_token": ErrNoRefreshToken, "expired": ErrExpired, "locked": ErrLocked,
		"keystore": ErrKeystore, "corrupt": keystore.ErrCorrupt,
		"untrusted": provider.ErrUntrusted, "audience": provider.ErrAudience, "refused": provider.ErrRefused,
		"unreachable": provider.ErrUnreachable, "config": provider.ErrConfig,
	}
}

func relayOf(err error) *relay {
	r := &relay{Version: orderVersion}
	if err == nil {
		return r
	}
	r.Text, r.Diagnosis, r.MaybeSent = err.Error(), provider.Diagnose(err), provider.MaybeSent(err)
	if e, ok := errors.AsType[*keystore.UnavailableError](err); ok {
		r.Next = e.Next
	}
	for kind, is := range kinds() {
		if errors.Is(err, is) {
			r.Kinds = append(r.Kinds, kind)
		}
	}
	return r
}

func (r *relay) err() error {
	if r.Text == "" {
		return nil
	}
	return &relayedError{r}
}

// A relayedError is what went wrong in another process, with the states that it had there.
type relayedError struct{ relay *relay }

func (e *relayedError) Error() string { return e.relay.Text }

// Next returns what the person can do about the keystore, or "".
func (e *relayedError) Next() string { return e.relay.Next }

// Diagnosis returns what the provider's error was diagnosed as in the other process.
func (e *relayedError) Diagnosis() provider.Diagnosis { return e.relay.Diagnosis }

func (e *relayedError) Is(target error) bool {
	for _, kind := range e.relay.Kinds {
		if kinds()[kind] == target {
			return true
		}
	}
	return false
}
