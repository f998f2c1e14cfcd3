package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// passphrases returns the given ones one after the other, then always the last, and counts its calls.
type passphrases struct {
	all      []string
	asked    int
	confirms int
}

func (p *passphrases) ask(_ context.Context, confirm bool) (string, error) {
	i := min(p.asked, len(p.all)-1)
	p.asked++
	if confirm {
		p.confirms++
	}
	return p.all[i], nil
}

func secretly(s string) func(context.Context, bool) (string, error) {
	return (&passphrases{all: []string{s}}).ask
}

func saved(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state", "sessions")
	s := QuickFile(dir, secretly("right"))
	for _, name := range names {
		if err := s.Save(t.Context(), name, sized(name, 500)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilePassphrase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := &passphrases{all: []string{"right"}}
	dir := filepath.Join(t.TempDir(), "sessions")
	s := QuickFile(dir, p.ask)
	if _, err := s.Load(ctx, "me"); !errors.Is(err, ErrNotFound) || p.asked != 0 {
		t.Errorf("a passphrase for nothing: asked %d times, %v", p.asked, err)
	}
	for range 3 {
		if err := s.Save(ctx, "me", sized("a", 10)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, "me"); err != nil {
			t.Fatal(err)
		}
	}
	if p.asked != 1 || p.confirms != 1 {
		t.Errorf("asked %d times, %d of them twice", p.asked, p.confirms)
	}

	p = &passphrases{all: []string{"right"}}
	if err := QuickFile(dir, p.ask).Save(ctx, "you", sized("b", 10)); err != nil || p.asked != 1 || p.confirms != 0 {
		t.Errorf("a second file: asked %d times, %d of them twice, %v", p.asked, p.confirms, err)
	}

	p = &passphrases{all: []string{"wrong", "right"}}
	s = QuickFile(dir, p.ask)
	for _, op := range []func() error{
		func() error { _, err := s.Load(ctx, "me"); return err },
	} {
		err := op()
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "passphrase") {
			t.Errorf("a wrong passphrase: %v", err)
		}
		if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "right") {
			t.Errorf("the error holds a passphrase: %v", err)
		}
	}
	if _, err := s.Load(ctx, "me"); err != nil {
		t.Errorf("the right one after a wrong one: %v", err)
	}

	for _, name := range []string{"me", "third"} { // in place of the file, and beside it
		err := QuickFile(dir, secretly("wrong")).Save(ctx, name, sized("c", 10))
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("Save(%s) with a wrong passphrase: %v", name, err)
		}
	}
	if err := QuickFile(dir, nil).Delete(ctx, "me"); err != nil {
		t.Errorf("Delete without a passphrase: %v", err)
	}
	if err := QuickFile(dir, secretly("")).Save(ctx, "me", sized("c", 10)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an empty passphrase: %v", err)
	}
	denied := errors.New("no terminal")
	refuses := func(context.Context, bool) (string, error) { return "", denied }
	if _, err := QuickFile(dir, refuses).Load(ctx, "you"); !errors.Is(err, denied) {
		t.Errorf("nobody to ask: %v", err)
	}
}

// An attacker who guesses the passphrase needs 2^15 rounds of scrypt for each guess.
func TestFileWorkFactor(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sessions")
	if err := File(dir, FileOptions{Passphrase: secretly("right")}).Save(t.Context(), "me", sized("a", 10)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "identity"))
	_, stanza, _ := strings.Cut(string(content), "-> scrypt ")
	stanza, _, _ = strings.Cut(stanza, "\n")
	if _, factor, _ := strings.Cut(stanza, " "); err != nil || factor != "15" {
		t.Errorf("%q, %v", stanza, err)
	}
	if _, err := File(dir, FileOptions{Passphrase: secretly("right")}).Load(t.Context(), "me"); err != nil {
		t.Error(err)
	}
}

func TestFileDamaged(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	path := filepath.Join(dir, "me.age")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "cut in the header": good[:40], "cut in the body": good[:len(good)-1],
		"cut before the body": good[:len(good)-600],
		"a bit":               append(append([]byte{}, good[:len(good)-1]...), good[len(good)-1]^1),
		"text":                []byte("hunter2\n"),
	} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := QuickFile(dir, secretly("right")).Load(t.Context(), "me"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, bad) {
			t.Errorf("%s: it was not left as it is", name)
		}
	}
	s := QuickFile(dir, secretly("right"))
	if err := s.Save(t.Context(), "me", sized("new", 10)); err != nil {
		t.Errorf("a new login over a damaged file: %v", err)
	}
}

// A crash leaves nothing but the temporary file.
func TestFileCrash(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	left := filepath.Join(dir, temporary("me"))
	if err := os.WriteFile(left, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := QuickFile(dir, secretly("right"))
	if r, err := s.Load(t.Context(), "me"); err != nil || string(r.Head) != string(sized("me", 0).Head) {
		t.Errorf("after the crash: %q, %v", r.Head, err)
	}
	if err := s.Save(t.Context(), "me", sized("new", 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next write left it: %v", err)
	}
	if err := os.WriteFile(left, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "me"); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(dir)
	if all = slices.DeleteFunc(all, isIdentity); err != nil || len(all) != 0 {
		t.Errorf("Delete left %v, %v", all, err)
	}
}

// isIdentity reports whether a file is the identity's, or its lock.
func isIdentity(file os.DirEntry) bool {
	return file.Name() == identityFile || file.Name() == identityLock
}

func TestFileReadersMeetWriter(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				r, err := QuickFile(dir, secretly("right")).Load(t.Context(), "me")
				if err != nil || len(r.Body) < 100 || !bytes.Contains(r.Body, r.Head[1:len(r.Head)-1]) {
					t.Errorf("%q, %.30q, %v", r.Head, r.Body, err)
					return
				}
			}
		})
	}
	s := QuickFile(dir, secretly("right"))
	for i := range 40 {
		if err := s.Save(t.Context(), "me", sized(fmt.Sprint("n", i), 1000+1000*(i%4))); err != nil {
			t.Error(err)
		}
	}
	cancel()
	readers.Wait()
}

func TestFileEndsWithItsContext(t *testing.T) {
	t.Parallel()
	dir := saved(t, "me")
	asked := make(chan struct{})
	s := QuickFile(dir, func(ctx context.Context, _ bool) (string, error) {
		close(asked)
		<-ctx.Done()
		return "", context.Cause(ctx)
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.Load(ctx, "me")
		first <- err
	}()
	<-asked
	second, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Delete(second, "me"); !errors.Is(err, context.Canceled) {
		t.Errorf("behind one that waits: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("while it waits: %v", err)
	}
}

// The next Save uses what was reserved. Without a Save nothing is left of it.
func TestFileReserve(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sessions")
	s := QuickFile(dir, secretly("right"))
	left := func() []string {
		all, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range all {
			if !isIdentity(entry) {
				names = append(names, entry.Name())
			}
		}
		return names
	}
	for _, size := range []int{10, 40 << 10, 100} { // larger than what was reserved too
		release, err := s.(Reserver).Reserve(t.Context(), "me")
		if err != nil {
			t.Fatal(err)
		}
		if names := left(); !slices.Contains(names, ".me.new") {
			t.Errorf("nothing is reserved: %q", names)
		}
		record := Record{Head: []byte("head"), Body: bytes.Repeat([]byte("b"), size)}
		if err := s.Save(t.Context(), "me", record); err != nil {
			t.Fatal(err)
		}
		release()
		got, err := QuickFile(dir, secretly("right")).Load(t.Context(), "me")
		if err != nil || !bytes.Equal(got.Body, record.Body) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if names := left(); !slices.Equal(names, []string{"me.age"}) {
			t.Errorf("left: %q", names)
		}
	}
	for range 2 { // not used
		release, err := s.(Reserver).Reserve(t.Context(), "me")
		if err != nil {
			t.Fatal(err)
		}
		release()
		if names := left(); !slices.Equal(names, []string{"me.age"}) {
			t.Errorf("left: %q", names)
		}
	}
	// Another process wrote in between, and took the place.
	release, err := s.(Reserver).Reserve(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := QuickFile(dir, secretly("right")).Save(t.Context(), "me", Record{Head: []byte("other")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(t.Context(), "me", Record{Head: []byte("mine")}); err != nil {
		t.Fatal(err)
	}
	if got, err := QuickFile(dir, secretly("right")).Load(t.Context(), "me"); err != nil || string(got.Head) != "mine" {
		t.Errorf("%q, %v", got.Head, err)
	}
}
