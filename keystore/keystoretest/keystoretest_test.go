package keystoretest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keystoretest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	keystoretest.Run(t, func(*testing.T) keystore.Store { return keystore.Memory() })
}

// broken are stores that break their contract, by the name of the test that has to find it.
var broken = map[string]func() keystore.Store{
	"Nothing":             func() keystore.Store { return absent{keystore.Memory()} },
	"Records":             func() keystore.Store { return short{keystore.Memory()} },
	"TooLarge":            func() keystore.Store { return small{keystore.Memory()} },
	"Names":               func() keystore.Store { return anyName{keystore.Memory()} },
	"Slices":              func() keystore.Store { return &shared{records: map[string]keystore.Record{}} },
	"ReadersBesideWriter": func() keystore.Store { return torn{keystore.Memory()} },
	"EndedContext":        func() keystore.Store { return deaf{keystore.Memory()} },
	"Reserve":             func() keystore.Store { return squatter{keystore.Memory()} },
	"Lease":               func() keystore.Store { return &forgetful{Store: keystore.Memory()} },
	"Note":                func() keystore.Store { return &forgetful{Store: keystore.Memory()} },
}

const which = "KEYSTORETEST_BROKEN"

// TestBroken is what TestRunFinds runs, in a process of its own, for it has to fail.
func TestBroken(t *testing.T) {
	t.Parallel()
	open := broken[os.Getenv(which)]
	if open == nil {
		t.Skip("only for TestRunFinds") // Also with LOOPKEY_TEST_REAL: that test runs this one.
	}
	keystoretest.Run(t, func(*testing.T) keystore.Store { return open() })
}

func TestRunFinds(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestBroken$/^"+name+"$")
			cmd.Env = append(os.Environ(), which+"="+name)
			out, err := cmd.CombinedOutput()
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 ||
				!strings.Contains(string(out), "--- FAIL: TestBroken/"+name) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// absent says of a record that is not there that it can't be asked for.
type absent struct{ keystore.Store }

func (s absent) Load(ctx context.Context, name string) (keystore.Record, error) {
	r, err := s.Store.Load(ctx, name)
	if errors.Is(err, keystore.ErrNotFound) {
		err = keystore.ErrUnavailable
	}
	return r, err
}

// short keeps the first 4 KiB of a body.
type short struct{ keystore.Store }

func (s short) Save(ctx context.Context, name string, r keystore.Record) error {
	r.Body = r.Body[:min(len(r.Body), 4<<10)]
	return s.Store.Save(ctx, name, r)
}

// small refuses a large record in its own way, and has deleted the old one by then.
type small struct{ keystore.Store }

func (s small) Save(ctx context.Context, name string, r keystore.Record) error {
	if len(r.Body) <= 1<<20 {
		return s.Store.Save(ctx, name, r)
	}
	return errors.Join(keystore.ErrUnavailable, s.Delete(ctx, name))
}

// anyName takes names with a slash.
type anyName struct{ keystore.Store }

func (s anyName) Save(ctx context.Context, name string, r keystore.Record) error {
	return s.Store.Save(ctx, strings.ReplaceAll(name, "/", "-"), r)
}

// shared keeps and returns the caller's slices.
type shared struct {
	mu      sync.Mutex
	records map[string]keystore.Record
}

func (s *shared) Head(ctx context.Context, name string) (keystore.Record, error) {
	return s.Load(ctx, name)
}

func (s *shared) Load(_ context.Context, name string) (keystore.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.records[name]; ok {
		return r, nil
	}
	return keystore.Record{}, keystore.ErrNotFound
}

func (s *shared) Save(_ context.Context, name string, r keystore.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name] = r
	return nil
}

func (s *shared) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, name)
	return nil
}

// torn saves the head before the body.
type torn struct{ keystore.Store }

func (s torn) Save(ctx context.Context, name string, r keystore.Record) error {
	if old, err := s.Load(ctx, name); err == nil {
		if err := s.Store.Save(ctx, name, keystore.Record{Head: r.Head, Body: old.Body}); err != nil {
			return err
		}
		for range 10_000 { // readers come in between
			runtime.Gosched()
		}
	}
	return s.Store.Save(ctx, name, r)
}

// deaf does not hear that a context ended.
type deaf struct{ keystore.Store }

func (s deaf) Delete(ctx context.Context, name string) error {
	return s.Store.Delete(context.WithoutCancel(ctx), name)
}

// squatter reserves by saving a record, and leaves it there.
type squatter struct{ keystore.Store }

func (s squatter) Reserve(ctx context.Context, name string) (release func(), err error) {
	return func() {}, s.Save(ctx, name, keystore.Record{})
}

// forgetful leases to anyone, and keeps a note after Delete.
type forgetful struct {
	keystore.Store
	mu   sync.Mutex
	note []byte
}

func (s *forgetful) Lease(context.Context, string) (release func(), err error) {
	return func() {}, nil
}

func (s *forgetful) Note(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.note, nil
}

func (s *forgetful) SetNote(_ context.Context, _ string, note []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = note
	return nil
}
