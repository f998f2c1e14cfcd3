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
	for name, size := range map[string]int{"small": 4 << 10, "grown": 1 << 20} { // a session of 200 audiences, say
		b.Run(name, func(b *testing.B) {
			s := Keychain(KeychainOptions{})
			if err := s.Save(b.Context(), name, sized("x", size)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Head(b.Context(), name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("lease", func(b *testing.B) { // what a renewal pays to be the only one
		store := Keychain(KeychainOptions{}).(Leaser)
		for b.Loop() {
			release, err := store.Lease(b.Context(), "bench")
			if err != nil {
				b.Fatal(err)
			}
			release()
		}
	})
	b.Run("note", func(b *testing.B) { // and to know that its response can be stored
		store := Keychain(KeychainOptions{}).(Leaser)
		for b.Loop() {
			if _, err := store.Note(b.Context(), "bench"); err != nil {
				b.Fatal(err)
			}
			if err := store.SetNote(b.Context(), "bench", []byte("note")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
