package secrets

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// A service is a Secret Service, or what stands for one, as recorded from those that a test can't install.
type service struct {
	unlocked, locked []dbus.ObjectPath // what a search finds
	collections      []dbus.ObjectPath
	alias            dbus.ObjectPath            // of the default collection
	isLocked         bool                       // the collection that was asked
	secrets          map[dbus.ObjectPath]secret // what GetSecrets returns
	change           func(member string, reply *dbus.Message) []*dbus.Message
	ended            func() // called when the connection has ended; may be nil
}

func (s service) reply(member string, path dbus.ObjectPath, body []any) []any {
	switch member {
	case "Hello":
		return []any{":1.7"}
	case "SearchItems":
		return []any{slices.Concat([]dbus.ObjectPath{}, s.unlocked), slices.Concat([]dbus.ObjectPath{}, s.locked)}
	case "OpenSession":
		return []any{dbus.MakeVariant(""), dbus.ObjectPath("/session/s1")}
	case "GetSecrets":
		got := map[dbus.ObjectPath]secret{}
		for _, item := range body[0].([]dbus.ObjectPath) {
			if secret, ok := s.secrets[item]; ok && slices.Contains(s.unlocked, item) {
				got[item] = secret
			}
		}
		return []any{got}
	case "ReadAlias":
		return []any{s.alias}
	case "Get":
		if body[1] == "Collections" {
			return []any{dbus.MakeVariant(s.collections)}
		}
		if path == loginCollection && !slices.Contains(s.collections, loginCollection) {
			return nil
		}
		return []any{dbus.MakeVariant(s.isLocked)}
	}
	return nil
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve plays a D-Bus session with the service in it, and returns its address.
func (s service) serve(t *testing.T) (address string) {
	t.Helper()
	l := listen(t)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if s.ended != nil {
			defer s.ended()
		}
		in := bufio.NewReader(conn)
		for line := ""; line != "BEGIN\r\n"; {
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
		}
		if _, err := conn.Write([]byte("OK 0123456789abcdef\r\n")); err != nil {
			return
		}
		for {
			call, err := dbus.DecodeMessage(in)
			if err != nil {
				return
			}
			member := call.Headers[dbus.FieldMember].Value().(string)
			path := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
			m := &dbus.Message{
				Type: dbus.TypeMethodReply, Body: s.reply(member, path, call.Body),
				Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())},
			}
			if m.Body == nil {
				m.Type = dbus.TypeError
				m.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.UnknownObject")
			} else {
				m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
			}
			replies := []*dbus.Message{m}
			if s.change != nil {
				replies = s.change(member, m)
			}
			for _, m := range replies {
				if err := m.EncodeTo(conn, binary.LittleEndian); err != nil {
					return
				}
			}
		}
	}()
	return "unix:path=" + l.Addr().String()
}

const (
	login   dbus.ObjectPath = loginCollection
	mine                    = login + "/1"
	other                   = login + "/2"
	keepass dbus.ObjectPath = servicePath + "/collection/Passwords"
	entry                   = keepass + "/46a2d2ce6c4b4c0fb8a52cd7ea0e2e03"
)

func TestRead(t *testing.T) {
	t.Parallel()
	value := map[dbus.ObjectPath]secret{}
	for _, item := range []dbus.ObjectPath{mine, other, entry} {
		value[item] = secret{"/session/s1", nil, []byte("secret of " + item), "text/plain"}
	}
	both := []dbus.ObjectPath{login, keepass}
	signal := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember: dbus.MakeVariant("NameAcquired"),
	}}
	var held *dbus.Message
	for name, c := range map[string]struct {
		service service
		item    dbus.ObjectPath // whose secret is read; "": none
		unclear bool            // go-keyring has to be asked
	}{
		"gnome-keyring": {service{unlocked: []dbus.ObjectPath{mine}, collections: both, alias: login}, mine, false},
		"no entry":      {service{collections: both, alias: login}, "", false},
		"locked": {
			service{locked: []dbus.ObjectPath{mine}, collections: both, alias: login, isLocked: true}, "", true,
		},
		"locked, and hidden":  {service{collections: both, alias: login, isLocked: true}, "", true},
		"one entry is locked": {service{locked: []dbus.ObjectPath{mine}, collections: both, alias: login}, "", true},
		"KeePassXC": {
			service{unlocked: []dbus.ObjectPath{entry}, collections: both[1:], alias: keepass}, entry, false,
		},
		"KeePassXC, no entry":   {service{collections: both[1:], alias: keepass}, "", false},
		"KeePassXC, locked":     {service{collections: both[1:], alias: keepass, isLocked: true}, "", true},
		"no default collection": {service{alias: "/"}, "", true},
		"two entries": {
			service{unlocked: []dbus.ObjectPath{mine, other}, collections: both, alias: login}, "", true,
		},
		"in another collection too": {
			service{unlocked: []dbus.ObjectPath{entry, mine}, collections: both, alias: login}, mine, false,
		},
		"in another collection alone": {
			service{unlocked: []dbus.ObjectPath{entry}, collections: both, alias: login}, "", false,
		},
		"not in the default collection": {
			service{unlocked: []dbus.ObjectPath{entry}, collections: both[1:], alias: keepass + "2"}, "", false,
		},
		"deleted meanwhile": {service{
			unlocked: []dbus.ObjectPath{other}, collections: both, alias: login, secrets: map[dbus.ObjectPath]secret{},
		}, "", true},
		"signals between": {service{
			unlocked: []dbus.ObjectPath{mine}, collections: both,
			change: func(_ string, m *dbus.Message) []*dbus.Message { return []*dbus.Message{signal, m, signal} },
		}, mine, false},
		"in another order": {service{
			unlocked: []dbus.ObjectPath{mine}, collections: both,
			change: func(member string, m *dbus.Message) []*dbus.Message {
				switch member {
				case "Hello":
					held = m
					return nil
				case "SearchItems":
					return []*dbus.Message{m, held}
				}
				return []*dbus.Message{m}
			},
		}, mine, false},
		"replies that nobody asked for": {service{
			unlocked: []dbus.ObjectPath{mine}, collections: both,
			change: func(_ string, m *dbus.Message) []*dbus.Message {
				stray := *m
				stray.Headers = map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(uint32(99))}
				stray.Body = nil
				return []*dbus.Message{&stray, m}
			},
		}, mine, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.service.secrets == nil {
				c.service.secrets = value
			}
			talk, err := Dial(t.Context(), c.service.serve(t), "loopkey")
			if err != nil {
				t.Fatal(err)
			}
			defer talk.Close()
			all, err := talk.Read(t.Context(), "me")
			got, ok := all["me"]
			want := ""
			if c.item != "" {
				want = "secret of " + string(c.item)
			}
			if (err != nil) != c.unclear || err != nil && !errors.Is(err, ErrUnclear) || ok != (want != "") || got != want {
				t.Errorf("%q, %v, %v", got, ok, err)
			}
		})
	}
}

// gnome-keyring aborts where OpenSession is the first that it hears of a client that is gone.
func TestSessionIsNotTheFirstQuestion(t *testing.T) {
	t.Parallel()
	ctx, giveUp := context.WithCancel(t.Context())
	var asked []string
	silent := service{change: func(member string, hello *dbus.Message) []*dbus.Message {
		if asked = append(asked, member); member == "Hello" {
			return []*dbus.Message{hello}
		}
		giveUp()
		return nil
	}}
	done := make(chan struct{})
	silent.ended = func() { close(done) }
	talk, err := Dial(t.Context(), silent.serve(t), "loopkey")
	if err != nil {
		t.Fatal(err)
	}
	_, err = talk.Read(ctx, "me")
	talk.Close()
	<-done
	if want := []string{"Hello", "SearchItems"}; !errors.Is(err, context.Canceled) || !slices.Equal(asked, want) {
		t.Errorf("%v, asked %v", err, asked)
	}
}

// What is no Secret Service is no entry and no missing entry, and is waited for no longer than the caller says.
func TestReadOfWhatIsNone(t *testing.T) {
	t.Parallel()
	late := errors.New("late")
	for name, c := range map[string]struct {
		says string
		want string // the error; "": any
	}{
		"a message without limit": {
			"OK 01\r\nl\x02\x00\x01\xff\xff\xff\x7f\x01\x00\x00\x00\x08\x00\x00\x00", errMessage.Error(),
		},
		"nothing":               {"", "late"},
		"a line without end":    {strings.Repeat("x", mostAuthLine+1), errMessage.Error()},
		"a refusal":             {"REJECTED DBUS_COOKIE_SHA1\r\n", "refuses"},
		"no message":            {"OK 01\r\n" + strings.Repeat("x", 100), errMessage.Error()},
		"a message without end": {"OK 01\r\nl\x02\x00\x01\x00\x10\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00", "late"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = conn.Write([]byte(c.says))
					_, _ = conn.Read(make([]byte, 1<<20))
					_, _ = conn.Read(make([]byte, 1)) // until the end
					_ = conn.Close()
				}
			}()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, late)
			if c.want != "late" {
				cancel()
				ctx, cancel = context.WithCancel(t.Context())
			}
			defer cancel()
			talk, err := Dial(t.Context(), "unix:path="+l.Addr().String(), "loopkey")
			if err != nil {
				t.Fatal(err)
			}
			defer talk.Close()
			if got, err := talk.Read(ctx, "me"); got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
