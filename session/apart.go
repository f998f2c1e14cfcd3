package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/keystore"
)

// ErrNotApart is what Config.Apart returns where no other process could be started.
var ErrNotApart = errors.New("no process of its own for the renewal")

// An order is a renewal for another process to make.
type order struct {
	wire.Header
	Token    string    `json:"refresh_token_sha256"` // the fingerprint of the refresh token to use
	Audience string    `json:"audience,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	StepUp   string    `json:"step_up,omitempty"` // which step-up of the session is to be renewed; "": itself
	Asked    time.Time `json:"asked,omitzero"`    // when the caller came
}

// A reply says how an ordered renewal ended. It holds the session as it is stored then, which saves the process that
// ordered it a read of the keystore.
type reply struct {
	wire.Header
	Session *keystore.Record `json:"session,omitempty"`
	Changed bool             `json:"changed,omitempty"` // by another process, so that nothing was done
	Lost    bool             `json:"lost,omitempty"`    // the response to the attempt before may have been
}

// renewApart has another process renew the session, and returns the session as it is stored then. This process keeps
// its turn meanwhile; the other one does the work. It may have to wait for the work first.
func (s *Session) renewApart(
	ctx context.Context, st *state, r Request, asked time.Time,
) (now *state, changed bool, err error) {
	o, err := wire.Marshal(&order{
		Token: fingerprint(st.RefreshToken), Audience: r.Audience, Scope: r.Scope, StepUp: s.stepUp, Asked: asked,
	})
	if err != nil {
		return nil, false, err
	}
	endless := s.named(fmt.Errorf("%w: it does not end", ErrUnfinished))
	ctx, cancel := context.WithTimeoutCause(ctx, 2*lockLimit, endless)
	defer cancel()
	line, err := s.cfg.Apart(ctx, o)
	if err != nil {
		return nil, false, err
	}
	var re reply
	switch err := wire.Unmarshal(line, &re); {
	case errors.Is(err, wire.ErrVersion): // the program was replaced since this process began, and did nothing
		return nil, false, ErrNotApart
	case err == nil:
		if re.Lost {
			s.cfg.Notice(s.named(ErrReplyLost))
		}
		if err := failures().Err(re.Failure); err != nil {
			return nil, false, err
		}
		if re.Session != nil {
			now, err := s.decode(*re.Session)
			return now, re.Changed && err == nil, err
		}
	}
	return nil, false, s.named(fmt.Errorf("%w: the process that made it ended before its time", ErrUnfinished))
}

// errOtherVersion is a reply in a version that the process which ordered the renewal does not read: it does the work.
var errOtherVersion = errors.New("the renewal was ordered by another version of loopkey")

// Renew makes the renewal for which another process called Config.Apart with the order. It calls tell once with the
// reply that Config.Apart has to return: when the renewal is done, or earlier where the keystore takes its time,
// because a person waits for the reply. Renew goes on to the end whatever becomes of the other process, for little more
// than a minute at most.
func (s *Session) Renew(ctx context.Context, ordered []byte, tell func(reply []byte)) {
	var once sync.Once
	var re reply
	say := func(st *state, err error) {
		once.Do(func() { tell(re.line(st, err)) })
	}
	say(s.obey(context.WithoutCancel(ctx), ordered, &re, func(err error) { say(nil, err) }))
}

// line returns the reply with how the renewal ended, and nil where it can't write that. The process that ordered the
// renewal takes nil for a sudden end.
func (re *reply) line(st *state, err error) []byte {
	re.Header = failures().Failed(err)
	if err == nil {
		record, err := st.encode()
		if err != nil {
			return nil
		}
		re.Session = &record
	}
	line, err := wire.Marshal(re)
	if err != nil {
		return nil
	}
	return line
}

// obey notes in re what is known before the request is sent.
func (s *Session) obey(ctx context.Context, ordered []byte, re *reply, slow func(error)) (*state, error) {
	var o order
	if wire.Unmarshal(ordered, &o) != nil {
		return nil, errOtherVersion
	}
	if o.StepUp != "" {
		s = s.beside(o.StepUp)
	}
	work, err := s.lock.acquireWork(ctx)
	if err != nil {
		return nil, err
	}
	defer work.release()
	st, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	// Another process has renewed the session since it was read for the order. The process that gave the order decides
	// whether that is enough, if it still lives.
	if re.Changed = fingerprint(st.RefreshToken) != o.Token; re.Changed {
		return st, nil
	}
	if re.Lost, err = s.afterAttempt(ctx, st, o.Asked); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, renewLimit)
	defer cancel()
	return st, s.refresh(ctx, st, Request{Audience: o.Audience, Scope: o.Scope}, slow)
}
