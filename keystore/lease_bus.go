//go:build dragonfly || freebsd || linux || netbsd || openbsd

package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"github.com/loopkey/loopkey/internal/secrets"
)

// A lease is a name in the D-Bus session, because that has the same reach as the Secret Service. The bus gives a name
// to one connection at a time, and takes it back when the process ends. A sandbox that allows no such names has no
// leases.

// leases are those that this process has, by record.
type leases struct {
	mu  sync.Mutex
	all map[string]*talkedLease
}

// of returns the lease of the record that an entry belongs to, or nil.
func (l *leases) of(entry string) *talkedLease {
	record, _, _ := strings.Cut(entry, "/")
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[record]
}

// last returns the own entry of a leased record as it was last read or written.
func (l *leases) last(entry string) (value string, ok bool) {
	if lease := l.of(entry); lease != nil {
		return lease.last(entry)
	}
	return "", false
}

// forget says that somebody else writes an entry.
func (l *leases) forget(entry string) {
	if lease := l.of(entry); lease != nil {
		lease.forget(entry)
	}
}

func (l *leases) put(record string, lease *talkedLease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*talkedLease{}
	}
	l.all[record] = lease
}

// remove forgets a lease, unless another one has taken its place.
func (l *leases) remove(record string, lease *talkedLease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all[record] == lease {
		delete(l.all, record)
	}
}

// A talkedLease is a lease whose holder reads and writes its record over the connection that has the lease. So one
// conversation is enough for a renewal.
type talkedLease struct {
	talk   *secrets.Talk
	record string

	mu   sync.Mutex
	held map[string]*string // what was read together with another entry, by name; nil: there is none
	seen *string            // the record's own entry, as it was last read or written; nil: not yet
}

// last returns the record's own entry as it was last read or written: only the holder of the lease changes it.
func (l *talkedLease) last(name string) (value string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name != l.record || l.seen == nil {
		return "", false
	}
	return *l.seen, true
}

// read returns an entry. The record and its note are read together when one of them is wanted first: only the holder of
// the lease changes them. A later read asks again.
func (l *talkedLease) read(ctx context.Context, name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, ok := l.held[name]
	delete(l.held, name)
	if !ok {
		names := []string{name}
		if l.held == nil && (name == l.record || name == noteOf(l.record)) {
			names = []string{l.record, noteOf(l.record)}
		}
		values, err := l.talk.Read(ctx, names...)
		if err != nil {
			return "", err
		}
		if l.held == nil {
			l.held = map[string]*string{}
		}
		for _, other := range names {
			if got, ok := values[other]; other == name && ok {
				value = &got
			} else if other != name && ok {
				l.held[other] = &got
			} else if other != name {
				l.held[other] = nil
			}
		}
	}
	if name == l.record {
		l.seen = value
	}
	if value == nil {
		return "", ErrNotFound
	}
	return *value, nil
}

// remove deletes an entry, and returns ErrNotFound where there is none.
func (l *talkedLease) remove(ctx context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	if name == l.record {
		l.seen = nil
	}
	removed, err := l.talk.Remove(ctx, name)
	if err != nil {
		return err
	}
	if l.held == nil {
		l.held = map[string]*string{}
	}
	l.held[name] = nil // for whoever makes sure that it is gone
	if !removed {
		return ErrNotFound
	}
	return nil
}

// write writes an entry. It reads it back too, so that the next read has it.
func (l *talkedLease) write(ctx context.Context, name, value string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	if name == l.record {
		l.seen = nil
	}
	if err := l.talk.Write(ctx, name, value); err != nil {
		return err
	}
	if name == l.record {
		l.seen = &value
	}
	if l.held == nil {
		l.held = map[string]*string{}
	}
	l.held[name] = &value
	return nil
}

func (l *talkedLease) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, name)
	if name == l.record {
		l.seen = nil
	}
	l.talk.Forget(name)
}

// lease takes the lease of a record over a connection of its own, which nothing closes before its release.
func (k *keychain) lease(ctx context.Context, name string) (release func(), err error) {
	release, err = k.leaseTalking(ctx, name)
	if err != nil && ctx.Err() == nil {
		release, err = k.leaseByGodbus(ctx, name)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // the socket says only that it was closed
	}
	return release, err
}

// leaseTalking takes a lease in whose conversation the record can be read and written. Every error while ctx lasts
// means that godbus has to take the lease.
func (k *keychain) leaseTalking(ctx context.Context, name string) (release func(), err error) {
	address, err := look()
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeoutCause(ctx, k.limit/4, noAnswer(k.limit))
	defer cancel()
	talk, err := secrets.Dial(soon, address, k.entries.service)
	if err != nil {
		return nil, err
	}
	busName := leaseName(k.entries.service, name)
	expected := []string{name, noteOf(name)}
	err = untilTaken(ctx, func() (bool, error) {
		if expected == nil { // the first question has the time that the connection leaves
			soon, cancel = context.WithTimeoutCause(ctx, k.limit, noAnswer(k.limit))
			defer cancel()
		}
		taken, err := talk.Own(soon, busName, expected...)
		expected = nil
		return taken, err
	})
	if refused := new(secrets.Error); errors.As(err, &refused) && refused.Name == accessDenied {
		err = nil
	}
	if err != nil {
		talk.Close()
		return nil, err
	}
	lease := &talkedLease{talk: talk, record: name}
	k.entries.leases.put(name, lease)
	return func() {
		k.entries.leases.remove(name, lease)
		talk.Close()
	}, nil
}

const accessDenied = "org.freedesktop.DBus.Error.AccessDenied"

// leaseByGodbus takes a lease where the D-Bus session is reached by other means than a Unix socket, and explains why
// there is none.
func (k *keychain) leaseByGodbus(ctx context.Context, name string) (release func(), err error) {
	conn, hangUp, err := k.connect(ctx)
	if err != nil {
		return nil, err
	}
	busName := leaseName(k.entries.service, name)
	err = untilTaken(ctx, func() (bool, error) {
		asking, cancel := context.WithTimeoutCause(ctx, k.limit, noAnswer(k.limit))
		defer cancel()
		var reply dbus.RequestNameReply
		err := conn.BusObject().CallWithContext(
			asking, "org.freedesktop.DBus.RequestName", 0, busName, dbus.NameFlagDoNotQueue).Store(&reply)
		return reply == dbus.RequestNameReplyPrimaryOwner, explained(asking, err)
	})
	if err == nil {
		return hangUp, nil
	}
	hangUp()
	if e := (dbus.Error{}); errors.As(err, &e) && e.Name == accessDenied {
		return func() {}, nil
	}
	return nil, err
}

// leaseName returns the D-Bus name for the lease of a record. The name of the record could be no part of a D-Bus name.
func leaseName(service, name string) string {
	sum := sha256.Sum256([]byte(service + "/" + name))
	return "com.github.loopkey.Lease.h" + hex.EncodeToString(sum[:16])
}

// connect returns a connection to the D-Bus session that lasts until hangUp is called, whatever becomes of ctx. The bus
// has as long to answer as a keychain, without what leaseTalking took.
func (k *keychain) connect(ctx context.Context) (conn *dbus.Conn, hangUp func(), err error) {
	if _, err := look(); err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeoutCause(ctx, k.limit*3/4, noAnswer(k.limit))
	defer cancel()
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	type result struct {
		*dbus.Conn
		err error
	}
	connected := make(chan result, 1)
	go func() {
		conn, err := dbus.ConnectSessionBus(dbus.WithContext(lasting))
		connected <- result{conn, err}
	}()
	select {
	case r := <-connected:
		if r.err != nil {
			end()
			return nil, nil, explained(asking, r.err)
		}
		return r.Conn, func() {
			_ = r.Close()
			end()
		}, nil
	case <-asking.Done():
		end() // closes the connection too
		return nil, nil, context.Cause(asking)
	}
}

// explained returns what an error of the D-Bus session means, or why ctx ended.
func explained(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	why, reason := explain(err)
	return &UnavailableError{Why: why, Reason: reason, Err: err}
}
