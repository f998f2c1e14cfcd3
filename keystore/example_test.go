package keystore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/keystore"
)

func Example() {
	ctx := context.Background()
	token, rest := []byte("what is read often"), []byte("the rest")
	store := keystore.Memory() // or keystore.Keychain(keystore.KeychainOptions{})
	err := store.Save(ctx, "work", keystore.Record{Head: token, Body: rest})
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := store.Head(ctx, "work") // one read of a keychain
	fmt.Printf("%s, %v\n", record.Head, err)

	_, err = store.Head(ctx, "home")
	fmt.Println(err, errors.Is(err, keystore.ErrNotFound))
	// Output:
	// what is read often, <nil>
	// no such session true
}
