//go:build dragonfly || freebsd || linux || netbsd || openbsd

package keystore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/godbus/dbus/v5"
)

// lease takes a name in the D-Bus session, because that has the same reach as the Secret Service. The bus gives a name
// to one connection at a time, and takes it back when the process ends. The connection is not go-keyring's, which
// abandon may close. A sandbox that allows no such names has no leases.
func (k *keychain) lease(ctx context.Context, name string) (release func(), err error) {
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
	if e := (dbus.Error{}); errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error.AccessDenied" {
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
// has as long to answer as a keychain.
func (k *keychain) connect(ctx context.Context) (conn *dbus.Conn, hangUp func(), err error) {
	if _, err := look(); err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeoutCause(ctx, k.limit, noAnswer(k.limit))
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
