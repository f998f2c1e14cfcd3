package cli

import (
	"cmp"
	"context"
	"sync"

	"github.com/loopkey/loopkey/internal/clientkey"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// clientKey returns what reads the key of an errand's client, from its file or from the keystore; nil: the client has
// none. Nothing is read before a request needs the key, so a token that is still good costs no more for it.
func clientKey(e errand, store keystore.Store) func(context.Context) (provider.ClientKey, error) {
	if e.ClientKey == "" {
		return nil
	}
	var mu sync.Mutex
	var read *provider.ClientKey
	return func(ctx context.Context) (provider.ClientKey, error) {
		mu.Lock()
		defer mu.Unlock()
		if read != nil {
			return *read, nil
		}
		key, err := readClientKey(ctx, e, store)
		if err != nil {
			return provider.ClientKey{}, err
		}
		key.ID, key.Algorithm = cmp.Or(e.ClientKeyID, key.ID), cmp.Or(e.ClientKeyAlg, key.Algorithm)
		read = &key
		return key, nil
	}
}

func readClientKey(ctx context.Context, e errand, store keystore.Store) (provider.ClientKey, error) {
	if e.ClientKey != clientkey.InKeystore {
		return clientkey.Read(e.ClientKey)
	}
	return clientkey.Ring{Store: store, StateDir: e.StateDir, Issuer: e.Issuer, ClientID: e.ClientID}.Signer(ctx)
}
