// Package secrets speaks with the Secret Service of Linux over one D-Bus connection, and asks several questions before
// it waits for a reply. go-keyring, which makes each call by itself, is what an entry means: its attributes, its
// collection, its form. Wherever this package finds something that it does not expect, it returns an error, and the
// caller asks go-keyring instead, which also opens dialogs.
package secrets

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
)

const (
	busName = "org.freedesktop.DBus"
	busPath = "/org/freedesktop/DBus"

	serviceName         = "org.freedesktop.secrets"
	servicePath         = "/org/freedesktop/secrets"
	serviceInterface    = "org.freedesktop.Secret.Service"
	collectionInterface = "org.freedesktop.Secret.Collection"
	loginCollection     = servicePath + "/collection/login"
	defaultAlias        = servicePath + "/aliases/default"
)

// mostCandidates is how many items may have the attributes of one entry.
const mostCandidates = 16

// ErrUnclear says that the Secret Service does not say plainly whether there is an entry: it is locked, say.
var ErrUnclear = errors.New("the Secret Service does not tell")

// A Talk is a conversation with the Secret Service about the entries of one service. It is for one goroutine at a time.
type Talk struct {
	conn    *conn
	service string // the attribute service of the entries
	opened  uint32 // the serial of OpenSession; 0: not called yet
	session string // the object of the session; "": not known yet
}

// Dial connects to the D-Bus session at address. It sends nothing yet.
func Dial(ctx context.Context, address, service string) (*Talk, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &Talk{conn: conn, service: service}, nil
}

// Close ends the conversation.
func (t *Talk) Close() { t.conn.close() }

// Read returns the entry of a name. ok is false if the unlocked keychain has no such entry. An error means that
// nothing is known.
func (t *Talk) Read(ctx context.Context, name string) (value string, ok bool, err error) {
	search := t.search(name)
	t.openSession()
	items, err := t.found(ctx, search)
	if err != nil {
		return "", false, err
	}
	if item, ok := items.only(loginCollection); ok {
		return t.secret(ctx, item)
	}
	return t.elsewhere(ctx, items)
}

// search queues a search for the items of an entry.
func (t *Talk) search(name string) uint32 {
	var e encoder
	e.array(8, func() {
		for _, pair := range [][2]string{{"username", name}, {"service", t.service}} {
			e.align(8)
			e.text(pair[0])
			e.text(pair[1])
		}
	})
	return t.call(servicePath, serviceInterface, "SearchItems", "a{ss}", e.b)
}

func (t *Talk) call(path, face, member, signature string, body []byte) uint32 {
	return t.conn.queue(call{serviceName, path, face, member, signature, body})
}

// openSession queues the opening of a session whose secrets are not encrypted, as go-keyring's: the D-Bus session of a
// user carries nothing to others.
func (t *Talk) openSession() {
	if t.opened == 0 {
		var e encoder
		e.text("plain")
		e.signature("s")
		e.text("")
		t.opened = t.call(servicePath, serviceInterface, "OpenSession", "sv", e.b)
	}
}

// items are the items that a search found.
type items struct{ unlocked, locked []string }

func (t *Talk) found(ctx context.Context, search uint32) (items, error) {
	d, err := t.conn.wait(ctx, search, "aoao")
	if err != nil {
		return items{}, err
	}
	found := items{d.texts(), d.texts()}
	if d.failed || len(found.unlocked)+len(found.locked) > mostCandidates {
		return items{}, errMessage
	}
	return found, nil
}

// only returns the one item that is in the collection. Of several it returns none: go-keyring decides which one counts.
func (i items) only(collection string) (item string, ok bool) {
	for _, candidate := range slices.Concat(i.unlocked, i.locked) {
		if !strings.HasPrefix(candidate, collection+"/") {
			continue
		}
		if item != "" {
			return "", false
		}
		item = candidate
	}
	return item, item != "" && slices.Contains(i.unlocked, item)
}

// secret returns the secret of an item.
func (t *Talk) secret(ctx context.Context, item string) (value string, ok bool, err error) {
	secrets, err := t.secrets(ctx, item)
	if err != nil {
		return "", false, err
	}
	secret, ok := secrets[item]
	if !ok {
		return "", false, ErrUnclear
	}
	return string(secret), true, nil
}

// secrets returns the secrets of those items that are not locked.
func (t *Talk) secrets(ctx context.Context, items ...string) (map[string][]byte, error) {
	asked, err := t.askSecrets(ctx, items...)
	if err != nil {
		return nil, err
	}
	return t.gotSecrets(ctx, asked)
}

// askSecrets queues a question for the secrets of items.
func (t *Talk) askSecrets(ctx context.Context, items ...string) (serial uint32, err error) {
	if t.session == "" {
		d, err := t.conn.wait(ctx, t.opened, "vo")
		if err != nil {
			return 0, err
		}
		kind := d.signature()
		d.skip(kind)
		if t.session = d.text(); d.failed || t.session == "" {
			return 0, errMessage
		}
	}
	var e encoder
	e.array(4, func() {
		for _, item := range items {
			e.text(item)
		}
	})
	e.text(t.session)
	return t.call(servicePath, serviceInterface, "GetSecrets", "aoo", e.b), nil
}

func (t *Talk) gotSecrets(ctx context.Context, asked uint32) (map[string][]byte, error) {
	d, err := t.conn.wait(ctx, asked, "a{o(oayays)}")
	if err != nil {
		return nil, err
	}
	return decodeSecrets(d)
}

func decodeSecrets(d *decoder) (map[string][]byte, error) {
	secrets := map[string][]byte{}
	d.array(8, func() {
		d.align(8)
		item := d.text()
		d.align(8)
		d.text()  // the session
		d.bytes() // the parameters of its encryption, of which there is none
		secrets[item] = d.bytes()
		d.text() // the content type
	})
	if d.failed {
		return nil, errMessage
	}
	return secrets, nil
}

// elsewhere decides about an entry that the login collection does not have. go-keyring takes the default collection
// where there is no login collection, and a locked collection may hide what it has.
func (t *Talk) elsewhere(ctx context.Context, found items) (value string, ok bool, err error) {
	collections := t.property(servicePath, serviceInterface, "Collections")
	var e encoder
	e.text("default")
	alias := t.call(servicePath, serviceInterface, "ReadAlias", "s", e.b)
	locked := map[string]uint32{}
	for _, collection := range []string{loginCollection, defaultAlias} {
		locked[collection] = t.property(collection, collectionInterface, "Locked")
	}
	var asked uint32
	if len(found.unlocked) > 0 {
		if asked, err = t.askSecrets(ctx, found.unlocked...); err != nil {
			return "", false, err
		}
	}
	collection := defaultAlias
	d, err := t.variant(ctx, collections, "ao")
	if err != nil {
		return "", false, err
	}
	if slices.Contains(d.texts(), loginCollection) {
		collection = loginCollection
	}
	if d.failed {
		return "", false, errMessage
	}
	if d, err = t.conn.wait(ctx, alias, "o"); err != nil {
		return "", false, err
	}
	base := d.text()
	if collection == loginCollection {
		base = loginCollection
	}
	if d.failed || base == "/" {
		return "", false, ErrUnclear
	}
	if item, ok := found.only(base); ok {
		secrets, err := t.gotSecrets(ctx, asked)
		if secret, ok := secrets[item]; ok {
			return string(secret), true, nil
		}
		return "", false, cmp.Or(err, ErrUnclear)
	}
	isIn := func(item string) bool { return strings.HasPrefix(item, base+"/") }
	if slices.ContainsFunc(found.unlocked, isIn) || slices.ContainsFunc(found.locked, isIn) {
		return "", false, ErrUnclear
	}
	if d, err = t.variant(ctx, locked[collection], "b"); err != nil {
		return "", false, err
	}
	if d.uint32() != 0 || d.failed {
		return "", false, ErrUnclear
	}
	return "", false, nil
}

// property queues the question for a property of an object.
func (t *Talk) property(path, face, name string) uint32 {
	var e encoder
	e.text(face)
	e.text(name)
	return t.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", e.b)
}

// variant waits for a reply that is a variant of a type.
func (t *Talk) variant(ctx context.Context, serial uint32, kind string) (*decoder, error) {
	d, err := t.conn.wait(ctx, serial, "v")
	if err != nil {
		return nil, err
	}
	if d.signature() != kind || d.failed {
		return nil, errMessage
	}
	return d, nil
}
