package secretservice

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A Tap stands between programs and the D-Bus session, and counts what the programs ask.
type Tap struct {
	mu    sync.Mutex
	asked Asked
}

// Asked is what programs asked the D-Bus session.
type Asked struct {
	Calls       []string // the methods, without their interfaces
	Waits       int      // how often a program sent something and then waited for a reply
	Connections int
}

// Tap returns a tap, and the environment variables with which a child process goes through it.
func (k *Keychain) Tap(t testing.TB) (tap *Tap, env []string) {
	t.Helper()
	socket := filepath.Join(k.Dir, "run", "tap")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(k.Address, "unix:path="), ",")
	tap = &Tap{}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		for {
			program, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { tap.join(ctx, program, path) })
		}
	})
	t.Cleanup(func() {
		end()
		_ = l.Close()
		running.Wait()
	})
	return tap, append(k.Env(), "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket)
}

// Asked returns what was asked since it was called last.
func (tap *Tap) Asked() Asked {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	asked := tap.asked
	tap.asked = Asked{}
	return asked
}

// count changes the counts.
func (tap *Tap) count(change func(*Asked)) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	change(&tap.asked)
}

// join carries what a program and the bus send each other, until one of them ends the connection.
func (tap *Tap) join(ctx context.Context, program net.Conn, path string) {
	defer program.Close()
	bus, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return
	}
	defer bus.Close()
	defer context.AfterFunc(ctx, func() { _, _ = program.Close(), bus.Close() })()
	tap.count(func(a *Asked) { a.Connections++ })
	var mu sync.Mutex
	waiting := false // the program sent something after the last reply
	var running sync.WaitGroup
	running.Go(func() {
		carry(program, bus, func() {
			mu.Lock()
			defer mu.Unlock()
			waiting = true
		}, func(m *dbus.Message) {
			if m != nil && m.Type == dbus.TypeMethodCall {
				member, _ := m.Headers[dbus.FieldMember].Value().(string)
				tap.count(func(a *Asked) { a.Calls = append(a.Calls, member) })
			}
		})
	})
	running.Go(func() {
		carry(bus, program, func() {}, func(m *dbus.Message) {
			if m != nil && m.Type != dbus.TypeMethodReply && m.Type != dbus.TypeError {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if waiting {
				waiting = false
				tap.count(func(a *Asked) { a.Waits++ })
			}
		})
	})
	running.Wait()
}

// carry passes on what comes from one end. It calls sent for all that comes, and seen for each message and with nil for
// each line of the authentication, before they are passed on.
func carry(from, to net.Conn, sent func(), seen func(*dbus.Message)) {
	defer from.Close()
	defer to.Close()
	chunk := make([]byte, 1<<20)
	var begun []byte
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			sent()
			begun = parse(append(begun, chunk[:n]...), seen)
			if _, err := to.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// parse calls seen for all that is whole in data, and returns the rest.
func parse(data []byte, seen func(*dbus.Message)) (rest []byte) {
	for {
		data = bytes.TrimPrefix(data, []byte{0}) // before the authentication
		if len(data) == 0 || data[0] != 'l' {    // no line of the authentication begins with it
			_, after, ok := bytes.Cut(data, []byte("\r\n"))
			if !ok {
				return data
			}
			seen(nil)
			data = after
			continue
		}
		if len(data) < 16 {
			return data
		}
		size := 16 + int(binary.LittleEndian.Uint32(data[12:])+7)&^7 + int(binary.LittleEndian.Uint32(data[4:]))
		if len(data) < size {
			return data
		}
		if m, err := dbus.DecodeMessage(bytes.NewReader(data[:size])); err == nil {
			seen(m)
		}
		data = data[size:]
	}
}
