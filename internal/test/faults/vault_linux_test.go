package faults

import (
	"cmp"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/loopkey/loopkey/internal/test/secretservice"
)

const (
	secretService = "org.freedesktop.secrets"
	noSpace       = "org.freedesktop.DBus.Error.Failed: No space left on device"
	denied        = "org.freedesktop.DBus.Error.AccessDenied: no"
	isLocked      = "org.freedesktop.Secret.Error.IsLocked: the collection is locked"
	dismissed     = "dismissed" // the person closes the dialog that the method opens

	collection dbus.ObjectPath = "/org/freedesktop/secrets/collection/login"
	dialog     dbus.ObjectPath = "/org/freedesktop/secrets/prompt/p1"
	none       dbus.ObjectPath = "/"
)

// A vault is a Secret Service that refuses what a test tells it to. gnome-keyring can't be made to do that.
type vault struct {
	Keychain *secretservice.Keychain
	conn     *dbus.Conn

	mu      sync.Mutex
	entries map[string]string // the secrets by go-keyring's username
	refuse  map[string]string // by method: an error's name and text, or dismissed
	spare   int               // how many calls that are refused are let through before
	calls   map[string]int    // by method
}

func newVault(t testing.TB) *vault {
	t.Helper()
	k := secretservice.StartBus(t)
	v := &vault{Keychain: k, conn: k.Connect(t), entries: map[string]string{}, calls: map[string]int{}}
	if _, err := v.conn.RequestName(secretService, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	calls := make(chan *dbus.Message, 64)
	v.conn.Eavesdrop(calls)
	go func() {
		for call := range calls { // until the connection is closed
			if call.Type == dbus.TypeMethodCall {
				v.respond(call)
			}
		}
	}()
	return v
}

// Refuse makes calls of a method fail after some that succeed. With "" they succeed again.
func (v *vault) Refuse(method, how string, spare int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuse, v.spare = map[string]string{method: how}, spare
}

func (v *vault) Entries() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make(map[string]string, len(v.entries))
	for name, secret := range v.entries {
		all[name] = secret
	}
	return all
}

// Calls returns how often a method was called.
func (v *vault) Calls(method string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.calls[method]
}

// Change changes each entry. An entry that becomes "" is deleted.
func (v *vault) Change(how func(secret string) string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, secret := range v.entries {
		if v.entries[name] = how(secret); v.entries[name] == "" {
			delete(v.entries, name)
		}
	}
}

func (v *vault) respond(call *dbus.Message) {
	v.mu.Lock()
	defer v.mu.Unlock()
	member, _ := call.Headers[dbus.FieldMember].Value().(string)
	path, _ := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	v.calls[member]++
	same := map[string]string{"GetSecrets": "GetSecret", "SetSecret": "CreateItem"} // one name for what both do
	how := v.refuse[cmp.Or(same[member], member)]
	if how != "" && v.spare > 0 {
		how, v.spare = "", v.spare-1
	}
	if name, text, _ := strings.Cut(how, ": "); how != "" && how != dismissed {
		v.reply(call, dbus.TypeError, name, text)
		return
	}
	prompt := none
	if how == dismissed {
		prompt = dialog
	}
	switch member {
	case "Get":
		var value any = []dbus.ObjectPath{collection} // of the service
		if call.Body[1] == "Locked" {                 // of the collection or an item
			value = v.refuse["Unlock"] != ""
		}
		v.reply(call, dbus.TypeMethodReply, "", dbus.MakeVariant(value))
	case "OpenSession":
		v.reply(call, dbus.TypeMethodReply, "", dbus.MakeVariant(""), dbus.ObjectPath("/org/freedesktop/secrets/session/s1"))
	case "Unlock":
		unlocked := call.Body[0]
		if prompt == dialog {
			unlocked = []dbus.ObjectPath{}
		}
		v.reply(call, dbus.TypeMethodReply, "", unlocked, prompt)
	case "SearchItems":
		found := []dbus.ObjectPath{}
		name := call.Body[0].(map[string]string)["username"]
		if _, ok := v.entries[name]; ok {
			found = append(found, item(name))
		}
		switch {
		case path == collection:
			v.reply(call, dbus.TypeMethodReply, "", found)
		case v.refuse["Unlock"] != "": // what must be unlocked is listed by itself
			v.reply(call, dbus.TypeMethodReply, "", []dbus.ObjectPath{}, found)
		default:
			v.reply(call, dbus.TypeMethodReply, "", found, []dbus.ObjectPath{})
		}
	case "ReadAlias":
		v.reply(call, dbus.TypeMethodReply, "", collection)
	case "GetSecrets":
		secrets := map[dbus.ObjectPath]secret{}
		for _, item := range call.Body[0].([]dbus.ObjectPath) {
			session := call.Body[1].(dbus.ObjectPath)
			secrets[item] = secret{session, []byte{}, []byte(v.entries[nameOf(item)]), "text/plain"}
		}
		v.reply(call, dbus.TypeMethodReply, "", secrets)
	case "GetSecret":
		v.reply(
			call, dbus.TypeMethodReply, "",
			secret{call.Body[0].(dbus.ObjectPath), []byte{}, []byte(v.entries[nameOf(path)]), "text/plain"},
		)
	case "CreateItem":
		properties := call.Body[0].(map[string]dbus.Variant)
		attributes := properties["org.freedesktop.Secret.Item.Attributes"].Value().(map[string]string)
		if prompt == none {
			v.entries[attributes["username"]] = string(call.Body[1].([]any)[2].([]byte))
		}
		v.reply(call, dbus.TypeMethodReply, "", item(attributes["username"]), prompt)
	case "SetSecret":
		if _, ok := v.entries[nameOf(path)]; !ok {
			v.reply(call, dbus.TypeError, "org.freedesktop.Secret.Error.NoSuchObject", "deleted")
			return
		}
		if prompt == none {
			v.entries[nameOf(path)] = string(call.Body[0].([]any)[2].([]byte))
		}
		v.reply(call, dbus.TypeMethodReply, "")
	case "Delete":
		if prompt == none {
			delete(v.entries, nameOf(path))
		}
		v.reply(call, dbus.TypeMethodReply, "", prompt)
	case "Prompt":
		v.reply(call, dbus.TypeMethodReply, "")
		_ = v.conn.Emit(dialog, "org.freedesktop.Secret.Prompt.Completed", true, dbus.MakeVariant(""))
	default:
		v.reply(call, dbus.TypeMethodReply, "")
	}
}

func (v *vault) reply(call *dbus.Message, kind dbus.Type, errorName string, body ...any) {
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: call.Headers[dbus.FieldSender], dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
	}
	if errorName != "" {
		headers[dbus.FieldErrorName] = dbus.MakeVariant(errorName)
	}
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	v.conn.Send(&dbus.Message{Type: kind, Headers: headers, Body: body}, nil)
}

// A secret is the Secret of the Secret Service API.
type secret struct {
	Session           dbus.ObjectPath
	Parameters, Value []byte
	ContentType       string
}

func item(name string) dbus.ObjectPath {
	return collection + "/" + dbus.ObjectPath(hex.EncodeToString([]byte(name)))
}

func nameOf(path dbus.ObjectPath) string {
	name, _ := hex.DecodeString(strings.TrimPrefix(string(path), string(collection)+"/"))
	return string(name)
}
