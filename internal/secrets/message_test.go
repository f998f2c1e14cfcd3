package secrets

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// What this package sends says the same to godbus, which others wrote.
func TestCallsAsGodbusReadsThem(t *testing.T) {
	t.Parallel()
	talk := &Talk{conn: &conn{replies: map[uint32]*message{}}, service: "loopkey", session: "/session/s1"}
	talk.search("a name of any length")
	if _, err := talk.askSecrets(t.Context(), "/item/1", "/item/22"); err != nil {
		t.Fatal(err)
	}
	talk.property(loginCollection, collectionInterface, "Locked")
	sent := bytes.NewReader(talk.conn.out)
	for serial, want := range []struct {
		path, member string
		body         []any
	}{
		{servicePath, serviceInterface + ".SearchItems", []any{
			map[string]string{"username": "a name of any length", "service": "loopkey"},
		}},
		{servicePath, serviceInterface + ".GetSecrets", []any{
			[]dbus.ObjectPath{"/item/1", "/item/22"}, dbus.ObjectPath("/session/s1"),
		}},
		{loginCollection, "org.freedesktop.DBus.Properties.Get", []any{collectionInterface, "Locked"}},
	} {
		m, err := dbus.DecodeMessage(sent)
		if err != nil {
			t.Fatalf("%s: %v", want.member, err)
		}
		member := m.Headers[dbus.FieldInterface].Value().(string) + "." + m.Headers[dbus.FieldMember].Value().(string)
		if m.Type != dbus.TypeMethodCall || int(m.Serial()) != serial+1 || member != want.member ||
			m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath(want.path) ||
			m.Headers[dbus.FieldDestination].Value() != serviceName || !reflect.DeepEqual(m.Body, want.body) {
			t.Errorf("%s: %v", want.member, m)
		}
	}
	if sent.Len() != 0 {
		t.Errorf("%d bytes more", sent.Len())
	}
}

// secretsReply returns a reply to GetSecrets as godbus writes it.
func secretsReply(t testing.TB, order binary.ByteOrder, secrets map[dbus.ObjectPath]secret) []byte {
	t.Helper()
	m := dbus.Message{Type: dbus.TypeMethodReply, Body: []any{secrets}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(7)),
		dbus.FieldSender:      dbus.MakeVariant(":1.2"),
		dbus.FieldDestination: dbus.MakeVariant(":1.3"),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(secrets)),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type secret struct {
	Session           dbus.ObjectPath
	Parameters, Value []byte
	ContentType       string
}

// FuzzReply gives the decoder what a Secret Service may send. Where godbus understands it too, both find the same
// secrets. Nothing is read beyond the message, and no secret is longer than it.
func FuzzReply(f *testing.F) {
	some := map[dbus.ObjectPath]secret{
		"/org/freedesktop/secrets/collection/login/1": {"/s/1", []byte{}, []byte("loopkey-1 x"), "text/plain"},
		"/org/freedesktop/secrets/collection/login/2": {"/s/1", []byte("p"), []byte{}, ""},
	}
	f.Add(secretsReply(f, binary.LittleEndian, some))
	f.Add(secretsReply(f, binary.BigEndian, some))
	f.Add(secretsReply(f, binary.LittleEndian, map[dbus.ObjectPath]secret{}))
	var call call
	f.Add(call.encode(nil, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < fixedHeader {
			return
		}
		fields, body, err := sizes(data)
		if err != nil || fixedHeader+fields+body > len(data) {
			return
		}
		data = data[:fixedHeader+fields+body]
		m, err := decodeMessage(data)
		if err != nil {
			return
		}
		d, err := m.result("a{o(oayays)}")
		if err != nil {
			return
		}
		got, err := decodeSecrets(d)
		if err != nil {
			return
		}
		size := 0
		for item, secret := range got {
			size += len(item) + len(secret)
		}
		if size > len(data) {
			t.Errorf("%d bytes of secrets in %d bytes", size, len(data))
		}
		theirs, err := dbus.DecodeMessage(bytes.NewReader(data))
		if err != nil {
			return
		}
		var want map[dbus.ObjectPath]secret
		if err := dbus.Store(theirs.Body, &want); err != nil {
			return
		}
		if len(want) != len(got) {
			t.Fatalf("%d secrets, and %d to godbus", len(got), len(want))
		}
		for item, secret := range want {
			if !bytes.Equal(got[string(item)], secret.Value) {
				t.Errorf("%s: %q, and %q to godbus", item, got[string(item)], secret.Value)
			}
		}
	})
}

// A message that claims to be larger than any record is refused before it is read.
func TestSizes(t *testing.T) {
	t.Parallel()
	whole := secretsReply(t, binary.LittleEndian, nil)
	for what, change := range map[string]func(header []byte){
		"a body too large":   func(h []byte) { binary.LittleEndian.PutUint32(h[4:], mostBody+1) },
		"fields too large":   func(h []byte) { binary.LittleEndian.PutUint32(h[12:], mostFields+1) },
		"the largest fields": func(h []byte) { binary.LittleEndian.PutUint32(h[12:], 1<<32-1) },
		"another protocol":   func(h []byte) { h[3] = 2 },
		"no byte order":      func(h []byte) { h[0] = 'x' },
	} {
		header := bytes.Clone(whole[:fixedHeader])
		change(header)
		if _, _, err := sizes(header); err == nil {
			t.Errorf("%s is read", what)
		}
	}
	if _, _, err := sizes(whole); err != nil {
		t.Error(err)
	}
}

func TestSocketOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"unix:path=/run/user/1000/bus":                          "/run/user/1000/bus",
		"unix:path=/run/user/1000/bus,guid=0a1b":                "/run/user/1000/bus",
		"unix:guid=0a1b,path=/tmp/with%20space%2c":              "/tmp/with space,",
		"unix:abstract=/tmp/dbus-E1c73yNqrG,guid=0a1b":          "@/tmp/dbus-E1c73yNqrG",
		"unix:path=/first;unix:path=/second":                    "/first",
		"unix:runtime=yes":                                      "",
		"unix:tmpdir=/tmp":                                      "",
		"unix:path=/a,abstract=b":                               "",
		"unix:path=%zz":                                         "",
		"tcp:host=localhost,port=1":                             "",
		"unixexec:path=/bin/sh":                                 "",
		"autolaunch:":                                           "",
		"bogus":                                                 "",
		"unix:path=" + strings.Repeat("x", 10) + ",path=second": strings.Repeat("x", 10),
	} {
		if got, err := socketOf(address); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
}
