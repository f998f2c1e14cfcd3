package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"sync"

	"github.com/loopkey/loopkey/internal/clientkey"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// clientKey returns what reads the key of an errand's client, from its file or from the keystore; nil: the client has
// none. Nothing is read before a request needs the key, so a token that is still good costs no more for it.
func clientKey(e errand, store keystore.Store) func(context.Context) (provider.ClientKey, error) {
	if e.ClientKey == "" {
		return nil
	}
	return once(func(ctx context.Context) (provider.ClientKey, error) {
		key, err := readClientKey(ctx, e, store)
		key.ID, key.Algorithm = cmp.Or(e.ClientKeyID, key.ID), cmp.Or(e.ClientKeyAlg, key.Algorithm)
		return key, err
	})
}

// clientCertificate returns what reads the certificate of an errand's client; nil: the client has none.
func clientCertificate(e errand) func(context.Context) (*tls.Certificate, error) {
	if e.ClientCertificate == "" {
		return nil
	}
	return once(func(context.Context) (*tls.Certificate, error) {
		return clientkey.ReadCertificate(e.ClientCertificate, e.ClientCertificateKey)
	})
}

// once returns a func that reads until that works, and from then on has it in memory.
func once[T any](read func(context.Context) (T, error)) func(context.Context) (T, error) {
	var mu sync.Mutex
	var value T
	done := false
	return func(ctx context.Context) (T, error) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return value, nil
		}
		v, err := read(ctx)
		if err == nil {
			value, done = v, true
		}
		return v, err
	}
}

func readClientKey(ctx context.Context, e errand, store keystore.Store) (provider.ClientKey, error) {
	if e.ClientKey != config.KeyInKeystore {
		return clientkey.Read(e.ClientKey)
	}
	return clientkey.Ring{Store: store, StateDir: e.StateDir, Issuer: e.Issuer, ClientID: e.ClientID}.Signer(ctx)
}
