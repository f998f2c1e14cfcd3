package keystore

import (
	"path/filepath"
	"testing"
)

// benchmark reads a session of 8 KB.
func benchmark(b *testing.B, store func() Store) {
	s := store()
	if err := s.Save(b.Context(), "me", sized("x", 8<<10)); err != nil {
		b.Fatal(err)
	}
	b.Run("Head", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Head(b.Context(), "me"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Load", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Load(b.Context(), "me"); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := s.Delete(b.Context(), "me"); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMemory(b *testing.B) { benchmark(b, Memory) }

// BenchmarkFile reads with a store that has read nothing yet, like a process that has just started.
func BenchmarkFile(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "sessions")
	with := FileOptions{Passphrase: secretly("right")}
	if err := File(dir, with).Save(b.Context(), "me", sized("x", 8<<10)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := File(dir, with).Load(b.Context(), "me"); err != nil {
			b.Fatal(err)
		}
	}
}
