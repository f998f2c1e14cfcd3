package keystore

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/secretservice"
)

func BenchmarkKeychain(b *testing.B) {
	for _, variable := range secretservice.Session(b) {
		name, value, _ := strings.Cut(variable, "=")
		b.Setenv(name, value)
	}
	b.Run("whole", func(b *testing.B) {
		benchmark(b, func() Store { return Keychain(KeychainOptions{}) })
	})
	b.Run("split", func(b *testing.B) {
		benchmark(b, func() Store { return Keychain(KeychainOptions{MaxEntry: 2400}) })
	})
	b.Run("reserve", func(b *testing.B) { // what a renewal pays to know that its response can be stored
		store := Keychain(KeychainOptions{}).(Reserver)
		for b.Loop() {
			if _, err := store.Reserve(b.Context(), "bench"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
