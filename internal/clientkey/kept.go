package clientkey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

var (
	// ErrNone says that there is no key of the client in the keystore.
	ErrNone error = &Error{Reason: ReasonNotMade, err: errors.New("there is no client key in the keystore")}
	// ErrBusy says that another process is changing the client's keys.
	ErrBusy = errors.New("another loopkey process is changing the client's keys")
)

// Keys are the keys of one client in a keystore.
type Keys struct {
	Version  int              `json:"v"`
	Issuer   string           `json:"issuer"`
	ClientID string           `json:"client_id"`
	Current  jose.JSONWebKey  `json:"current"` // signs
	Next     *jose.JSONWebKey `json:"next,omitempty"`
	Made     time.Time        `json:"made"`
	NextMade time.Time        `json:"next_made,omitzero"`
}

// Public returns the public halves, which are what has to be registered: that of the key in use, and of the next one.
func (k *Keys) Public() jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.Current.Public()}}
	if k.Next != nil {
		set.Keys = append(set.Keys, k.Next.Public())
	}
	return set
}

// A Ring is the place of one client's keys in a keystore. All profiles of the client share it, for the keys are
// registered for the client.
type Ring struct {
	Store            keystore.Store
	StateDir         string // where the lock is that all processes share
	Issuer, ClientID string
}

func (r Ring) name() string {
	sum := sha256.Sum256([]byte(r.Issuer + "\x00" + r.ClientID))
	return "client-key." + hex.EncodeToString(sum[:8])
}

// Load returns the client's keys. ErrNone says that there are none.
func (r Ring) Load(ctx context.Context) (*Keys, error) {
	record, err := r.Store.Load(ctx, r.name())
	if errors.Is(err, keystore.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	var k Keys
	if json.Unmarshal(record.Body, &k) != nil || k.Version != 1 || k.Issuer != r.Issuer || k.ClientID != r.ClientID ||
		k.Current.IsPublic() || k.Next != nil && k.Next.IsPublic() {
		return nil, fmt.Errorf("the client's key: %w", keystore.ErrCorrupt)
	}
	return &k, nil
}

// Signer returns the key that is in use.
func (r Ring) Signer(ctx context.Context) (provider.ClientKey, error) {
	k, err := r.Load(ctx)
	if err != nil {
		return provider.ClientKey{}, err
	}
	return signer(k.Current)
}

// Change replaces the client's keys with what change returns for those that are there: nil where there are none. One
// process at a time changes them.
func (r Ring) Change(ctx context.Context, change func(k *Keys) (*Keys, error)) error {
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	before, err := r.Load(ctx)
	if err != nil && !errors.Is(err, ErrNone) {
		return err
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	after.Version, after.Issuer, after.ClientID = 1, r.Issuer, r.ClientID
	body, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return r.Store.Save(ctx, r.name(), keystore.Record{Head: []byte(`{"v":1}`), Body: body})
}

// Delete deletes the client's keys, also some that can't be read.
func (r Ring) Delete(ctx context.Context) error {
	lock, err := r.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	return r.Store.Delete(ctx, r.name())
}

// lock takes the lock of the client's keys.
func (r Ring) lock() (*flock.Flock, error) {
	if err := private.Dir(r.StateDir); err != nil {
		return nil, fmt.Errorf("the lock of the client's key: %w", err)
	}
	path := filepath.Join(r.StateDir, r.name()+".lock")
	lock := private.NewLock(path)
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = ErrBusy
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the lock of the client's key: %w", err)
	}
	return lock, nil
}
