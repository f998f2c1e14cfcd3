package keystore

import (
	"context"
	"time"

	"github.com/zalando/go-keyring"
)

// A system keeps keys in the keychain, under a service of their own. What has ended is not used, and stays there until
// it is replaced or forgotten.
type system struct{ dir string }

const (
	restService = "loopkey file keys"
	restLimit   = 2 * time.Second // a locked keychain may open a dialog, which nobody has to answer
)

func (system) entries() osEntries { return osEntries{restService, &leases{}} }

func (s system) get(ctx context.Context, name string) (text string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	text, err := s.entries().get(ctx, name)
	return text, err == nil
}

func (s system) put(ctx context.Context, name, text string, _ time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	return s.entries().set(ctx, name, text)
}

func (system) forget(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	_, err := call(ctx, func() (string, error) { return "", keyring.DeleteAll(restService) })
	return err
}
