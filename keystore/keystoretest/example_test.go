package keystoretest_test

import (
	"testing"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keystoretest"
)

func ExampleRun() {
	// A test of your own store, which go test runs as TestMyStore:
	testMyStore := func(t *testing.T) {
		keystoretest.Run(t, func(*testing.T) keystore.Store {
			return keystore.Memory() // your own store
		})
	}
	_ = testMyStore
}
