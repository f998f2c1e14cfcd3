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
	itemInterface       = "org.freedesktop.Secret.Item"
	loginCollection     = servicePath + "/collection/login"
	defaultAlias        = servicePath + "/aliases/default"
)

// mostCandidates is how many items may have the attributes of one entry.
const mostCandidates = 16

// ErrUnclear says that the Secret Service does not say plainly whether there is an entry: it is locked, say.
var ErrUnclear = errors.New("the Secret Service does not tell")

// A Talk is a conversation with the Secret Service about the entries of one service. It is for one goroutine at a time.
type Talk struct {
	conn     *conn
	service  string            // the attribute service of the entries
	session  string            // the object of the session; "": not open yet
	searches map[string]uint32 // the serials of searches whose replies were not used yet, by entry
	items    map[string]string // the items that stand for entries
	base     string            // the collection in which an entry was read; "": none was yet
}

// Dial connects to the D-Bus session at address. It sends nothing yet.
func Dial(ctx context.Context, address, service string) (*Talk, error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &Talk{conn: conn, service: service, searches: map[string]uint32{}, items: map[string]string{}}, nil
}

// Close ends the conversation. Another goroutine may call it.
func (t *Talk) Close() { t.conn.close() }

// Own takes a name in the D-Bus session, and reports whether no other connection has it. The name is this connection's
// until Close, whatever becomes of the conversation. If the name is taken, a Read of the expected entries that follows
// waits for one reply less; what it reads is what was there when the name had been taken.
func (t *Talk) Own(ctx context.Context, name string, expected ...string) (bool, error) {
	const doNotQueue, primaryOwner = 4, 1
	var e encoder
	e.text(name)
	e.uint32(doNotQueue)
	asked := t.conn.queue(call{busName, busPath, busName, "RequestName", "su", e.b})
	t.find(expected)
	d, err := t.conn.wait(ctx, asked, "u")
	if err != nil {
		return false, err
	}
	if d.uint32() == primaryOwner && !d.failed {
		return true, nil
	}
	for name, search := range t.searches { // another process may be changing the entries
		t.conn.forget(search)
		delete(t.searches, name)
	}
	return false, nil
}

// Read returns those of the named entries that there are. One that is missing is not in the unlocked keychain. An error
// means that nothing is known.
func (t *Talk) Read(ctx context.Context, names ...string) (map[string]string, error) {
	t.find(names)
	values := map[string]string{}
	var known []string
	unknown := map[string]items{}
	for _, name := range names {
		if t.items[name] != "" {
			known = append(known, t.items[name])
			continue
		}
		found, err := t.found(ctx, name)
		if err != nil {
			return nil, err
		}
		if item, ok := found.only(loginCollection); ok {
			t.items[name] = item
			known = append(known, item)
		} else {
			unknown[name] = found
		}
	}
	if len(known) > 0 {
		secrets, err := t.secrets(ctx, known...)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			item := t.items[name]
			secret, ok := secrets[item]
			if item != "" && !ok { // locked or deleted
				return nil, ErrUnclear
			}
			if ok {
				values[name] = string(secret)
				t.base = item[:strings.LastIndexByte(item, '/')]
			}
		}
	}
	for name, found := range unknown {
		if t.base == loginCollection && found.none(t.base) { // which is the one that counts
			if err := t.open(ctx); err != nil {
				return nil, err
			}
			continue
		}
		value, ok, err := t.elsewhere(ctx, name, found)
		if err != nil {
			return nil, err
		}
		if ok {
			values[name] = value
		}
	}
	return values, nil
}

// Write replaces an entry, or makes one in the collection of those that were read in this conversation, and reads it
// back. After an error it is not known whether the entry was written.
func (t *Talk) Write(ctx context.Context, name, value string) error {
	item := t.items[name]
	if item == "" {
		return t.create(ctx, name, value)
	}
	// A write that is given up must not be done later, while another process changes the entry. So it is sent only to a
	// service that replies.
	d, err := t.variant(ctx, t.property(item, itemInterface, "Locked"), "b")
	if err != nil {
		return err
	}
	if d.uint32() != 0 || d.failed {
		return ErrUnclear
	}
	if err := t.openSession(ctx); err != nil {
		return err
	}
	var e encoder
	t.secret(&e, value)
	written := t.call(item, itemInterface, "SetSecret", "(oayays)", e.b)
	asked, err := t.askSecrets(ctx, item)
	if err != nil {
		return err
	}
	if _, err := t.conn.wait(ctx, written, ""); err != nil {
		return err
	}
	return t.compare(ctx, asked, item, value)
}

// secret appends a secret as the Secret Service takes it.
func (t *Talk) secret(e *encoder, value string) {
	e.align(8)
	e.text(t.session)
	e.bytes("")
	e.bytes(value)
	e.text("text/plain; charset=utf8") // as go-keyring says
}

// compare waits for the secret of an item, which has to be value.
func (t *Talk) compare(ctx context.Context, asked uint32, item, value string) error {
	secrets, err := t.gotSecrets(ctx, asked)
	if err == nil && string(secrets[item]) != value {
		err = ErrUnclear
	}
	return err
}

// create makes an entry in the collection of those that were read, as go-keyring makes one. Another that came into
// being meanwhile is replaced.
func (t *Talk) create(ctx context.Context, name, value string) error {
	if err := t.open(ctx); err != nil {
		return err
	}
	if err := t.openSession(ctx); err != nil {
		return err
	}
	var e encoder
	e.array(8, func() {
		e.align(8)
		e.text(itemInterface + ".Label")
		e.signature("s")
		e.text("Password for '" + name + "' on '" + t.service + "'")
		e.align(8)
		e.text(itemInterface + ".Attributes")
		e.signature("a{ss}")
		t.attributes(&e, name)
	})
	t.secret(&e, value)
	e.uint32(1) // replace
	made := t.call(t.base, collectionInterface, "CreateItem", "a{sv}(oayays)b", e.b)
	d, err := t.conn.wait(ctx, made, "oo")
	if err != nil {
		return err
	}
	item, prompt := d.text(), d.text()
	if d.failed || prompt != noPrompt || !strings.HasPrefix(item, t.base+"/") {
		return ErrUnclear
	}
	asked, err := t.askSecrets(ctx, item)
	if err != nil {
		return err
	}
	if err := t.compare(ctx, asked, item, value); err != nil {
		return err
	}
	t.items[name] = item
	return nil
}

// Remove deletes an entry, and makes sure that it is gone. It reports whether there was one. After an error it is not
// known whether the entry is there.
func (t *Talk) Remove(ctx context.Context, name string) (bool, error) {
	if err := t.open(ctx); err != nil {
		return false, err
	}
	for removed := false; ; removed = true {
		delete(t.items, name)
		t.find([]string{name})
		found, err := t.found(ctx, name)
		if err != nil {
			return false, err
		}
		if found.none(t.base) {
			return removed, nil
		}
		item, ok := found.only(t.base)
		if !ok || removed {
			return false, ErrUnclear
		}
		gone := t.call(item, itemInterface, "Delete", "", nil)
		d, err := t.conn.wait(ctx, gone, "o")
		if err != nil {
			return false, err
		}
		if d.text() != noPrompt || d.failed {
			return false, ErrUnclear
		}
	}
}

// noPrompt is the path that stands for no prompt.
const noPrompt = "/"

// open makes sure that the collection of the entries is not locked, and that the service replies. What is given up must
// not be done later, while another process changes the entries.
func (t *Talk) open(ctx context.Context) error {
	if t.base == "" {
		return ErrUnclear
	}
	d, err := t.variant(ctx, t.property(t.base, collectionInterface, "Locked"), "b")
	if err != nil {
		return err
	}
	if d.uint32() != 0 || d.failed {
		return ErrUnclear
	}
	return nil
}

// Forget forgets which item stands for an entry, for somebody else may have replaced it.
func (t *Talk) Forget(name string) {
	delete(t.items, name)
}

// find queues searches for those of the entries that were not found yet.
func (t *Talk) find(names []string) {
	for _, name := range names {
		if t.searches[name] == 0 && t.items[name] == "" {
			t.searches[name] = t.search(name)
		}
	}
}

// search queues a search for the items of an entry.
func (t *Talk) search(name string) uint32 {
	var e encoder
	t.attributes(&e, name)
	return t.call(servicePath, serviceInterface, "SearchItems", "a{ss}", e.b)
}

// attributes appends the attributes of an entry.
func (t *Talk) attributes(e *encoder, name string) {
	e.array(8, func() {
		for _, pair := range [][2]string{{"username", name}, {"service", t.service}} {
			e.align(8)
			e.text(pair[0])
			e.text(pair[1])
		}
	})
}

func (t *Talk) call(path, face, member, signature string, body []byte) uint32 {
	return t.conn.queue(call{serviceName, path, face, member, signature, body})
}

// items are the items that a search found.
type items struct{ unlocked, locked []string }

// found waits for the reply to the search for an entry.
func (t *Talk) found(ctx context.Context, name string) (items, error) {
	search := t.searches[name]
	delete(t.searches, name)
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

// none reports whether no item is in the collection.
func (i items) none(collection string) bool {
	return !slices.ContainsFunc(slices.Concat(i.unlocked, i.locked), func(item string) bool {
		return strings.HasPrefix(item, collection+"/")
	})
}

// secrets returns the secrets of those items that are not locked.
func (t *Talk) secrets(ctx context.Context, items ...string) (map[string][]byte, error) {
	asked, err := t.askSecrets(ctx, items...)
	if err != nil {
		return nil, err
	}
	return t.gotSecrets(ctx, asked)
}

// openSession opens a session whose secrets are not encrypted, as go-keyring's: the D-Bus session of a user carries
// nothing to others. It must not be the first question. gnome-keyring 42 aborts, which locks the user's keychain, where
// the first that it hears of a client is OpenSession and the client is gone by then.
func (t *Talk) openSession(ctx context.Context) error {
	if t.session != "" {
		return nil
	}
	var e encoder
	e.text("plain")
	e.signature("s")
	e.text("")
	opened := t.call(servicePath, serviceInterface, "OpenSession", "sv", e.b)
	d, err := t.conn.wait(ctx, opened, "vo")
	if err != nil {
		return err
	}
	d.skip(d.signature())
	if t.session = d.text(); d.failed || t.session == "" {
		return errMessage
	}
	return nil
}

// askSecrets queues a question for the secrets of items.
func (t *Talk) askSecrets(ctx context.Context, items ...string) (serial uint32, err error) {
	if err := t.openSession(ctx); err != nil {
		return 0, err
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
func (t *Talk) elsewhere(ctx context.Context, name string, found items) (value string, ok bool, err error) {
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
			t.items[name], t.base = item, base
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
