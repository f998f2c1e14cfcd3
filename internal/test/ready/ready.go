// Package ready is about what a test or the benchmark needs before it begins: a free port, a service on D-Bus.
package ready

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// FreePort returns a port that is free on both loopbacks. Until giveBack is called no other call of FreePort returns
// it, in this process or another: a UDP socket on the same port marks it as taken. It is not one of the ports that the
// system gives to sockets that ask for any port.
func FreePort(ctx context.Context) (port int, giveBack func(), err error) {
	var listen net.ListenConfig
	for range 100 {
		port := strconv.Itoa(20_000 + rand.IntN(12_000)) //nolint:gosec // no secret
		mark, err := listen.ListenPacket(ctx, "udp4", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		four, err := listen.Listen(ctx, "tcp4", "127.0.0.1:"+port)
		if err != nil {
			_ = mark.Close()
			continue
		}
		_ = four.Close()
		six, err := listen.Listen(ctx, "tcp6", "[::1]:"+port)
		if err == nil {
			_ = six.Close()
		} else if strings.Contains(err.Error(), "in use") { // any other reason: this machine has no IPv6
			_ = mark.Close()
			continue
		}
		return mark.LocalAddr().(*net.UDPAddr).Port, func() { _ = mark.Close() }, nil
	}
	return 0, nil, errors.New("no port is free on both loopbacks")
}

// SecretService waits until a program on the bus is the Secret Service.
func SecretService(ctx context.Context, bus *dbus.Conn) error {
	const name = "org.freedesktop.secrets"
	err := bus.AddMatchSignalContext(ctx,
		dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"))
	if err != nil {
		return err
	}
	changed := make(chan *dbus.Signal, 64)
	bus.Signal(changed)
	for {
		var owned bool
		call := bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name)
		if err := call.Store(&owned); err != nil || owned {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
