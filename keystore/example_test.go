package keystore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/keystore"
)

func Example() {
	ctx := context.Background()
	store := keystore.Memory() // or keystore.Keychain(keystore.KeychainOptions{})
	if err := store.Save(ctx, "work", keystore.Record{Head: []byte("what is read often"), Body: []byte("the rest")}); err != nil {
		fmt.Println(err)
		return
	}
	record, err := store.Head(ctx, "work")
	fmt.Printf("%s, %v\n", record.Head, err)

	_, err = store.Head(ctx, "home")
	fmt.Println(err, errors.Is(err, keystore.ErrNotFound))
	// Output:
	// what is read often, <nil>
	// no such session true
}
