// Package keystoretest proves that a keystore.Store keeps its contract.
//
//	keystoretest.Run(t, func(*testing.T) keystore.Store {
//		return keystore.Memory() // your own store
//	})
package keystoretest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/keystore"
)

// Run tests the stores that open returns, for programs that have a store of their own. open is called once for each
// subtest, and returns a store that holds no record named in it yet: each subtest deletes what it saved. A store that
// implements keystore.Reserver or keystore.Leaser is tested for that too.
//
// The subtests run one after the other, and each makes some dozens of calls.
func Run(t *testing.T, open func(t *testing.T) keystore.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, keystore.Store)
	}{
		{"Nothing", nothing},
		{"Records", records},
		{"TooLarge", tooLarge},
		{"Names", names},
		{"Slices", slices},
		{"ReadersBesideWriter", readersBesideWriter},
		{"EndedContext", endedContext},
		{"Reserve", reserve},
		{"Lease", lease},
		{"Note", note},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := open(t)
			c.test(t, store)
		})
	}
}

const name = "default.0123456789abcdef"

// record returns a record of about size bytes that no other mark has.
func record(mark string, size int) keystore.Record {
	return keystore.Record{
		Head: []byte(`{"mark":"` + mark + `"}`),
		Body: []byte(`{"mark":"` + mark + `","rest":"` + strings.Repeat(mark, size/len(mark)) + `"}`),
	}
}

// nothing: a record that is not there is not found, which is no other kind of error, and can be deleted.
func nothing(t *testing.T, s keystore.Store) {
	gone(t, s, "before all")
	for range 2 {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete of nothing: %v", err)
		}
	}
	save(t, s, name, record("a", 100))
	for range 2 {
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("Delete: %v", err)
		}
		gone(t, s, "after Delete")
	}
}

// records: whatever bytes a record has, they come back, and replace the record of before whole.
func records(t *testing.T, s keystore.Store) {
	neighbour := record("neighbour", 100)
	save(t, s, "neighbour", neighbour)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, want := range []keystore.Record{
		record("a", 8<<10),
		record("b", 10),
		record("c", 64<<10),
		{Head: []byte{}, Body: []byte{}},
		{Head: []byte("no body"), Body: []byte{}},
		{Head: []byte{}, Body: []byte("no head")},
		{Head: []byte("Zoë\n"), Body: []byte(strings.Repeat("日本語ß", 500))},
		{Head: all, Body: bytes.Repeat(all, 20)},
		{Head: bytes.Repeat([]byte("a head of many bytes "), 300), Body: []byte("body")},
		record("d", 2400),
	} {
		save(t, s, name, want)
		same(t, s, name, want)
	}
	same(t, s, "neighbour", neighbour)
	remove(t, s, name)
	same(t, s, "neighbour", neighbour)
	remove(t, s, "neighbour")
}

// tooLarge: a record of 16 MiB may be refused, but only with ErrUnavailable, and then the record of before stays.
func tooLarge(t *testing.T, s keystore.Store) {
	old, large := record("old", 100), record("large", 16<<20)
	save(t, s, name, old)
	switch err := s.Save(t.Context(), name, large); {
	case err == nil:
		same(t, s, name, large)
	case errors.Is(err, keystore.ErrUnavailable):
		same(t, s, name, old)
	default:
		t.Errorf("Save of 16 MiB: %v", err)
	}
	remove(t, s, name)
}

// names: all that a name may have is told apart, and no other name is taken.
func names(t *testing.T, s keystore.Store) {
	good := []string{"a", "a.1", "a.1.0", "a-1", "a_1", "1", "azAZ09._-", strings.Repeat("n", 128)}
	for _, name := range good {
		save(t, s, name, record(name, 10))
	}
	for _, name := range good {
		same(t, s, name, record(name, 10))
		remove(t, s, name)
	}
	for _, name := range []string{"", "../a", "a/b", "..\\a", "a b", "a\x00", "a\n", "ä", "*", strings.Repeat("n", 129)} {
		if err := s.Save(t.Context(), name, record("a", 1)); err == nil {
			t.Errorf("Save took the name %q", name)
			remove(t, s, name)
		}
		if _, err := s.Load(t.Context(), name); err == nil {
			t.Errorf("Load took the name %q", name)
		}
	}
}

// slices: a caller may change what it gave and what it got.
func slices(t *testing.T, s keystore.Store) {
	want, given := record("a", 100), record("a", 100)
	save(t, s, name, given)
	for range 2 {
		clear(given.Head)
		clear(given.Body)
		var err error
		if given, err = s.Load(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if !equal(given, want) {
			t.Errorf("a caller changed the record to %.40q, %.40q", given.Head, given.Body)
		}
	}
	remove(t, s, name)
}

// readersBesideWriter: a reader that needs no lock sees the old record or the new one, whole.
func readersBesideWriter(t *testing.T, s keystore.Store) {
	marks := []string{"a", "bb", "ccc", "dddd"}
	sizes := []int{6 << 10, 100, 3 << 10, 9 << 10}
	versions := make(map[string]keystore.Record, len(marks))
	for i, mark := range marks {
		r := record(mark, sizes[i])
		versions[string(r.Head)] = r
	}
	save(t, s, name, record(marks[0], sizes[0]))
	written := make(chan struct{})
	var readers sync.WaitGroup
	for reader := range 3 {
		read := s.Load
		if reader == 0 {
			read = s.Head
		}
		readers.Go(func() {
			for {
				select {
				case <-written:
					return
				default:
				}
				r, err := read(t.Context(), name)
				want, known := versions[string(r.Head)]
				if err != nil || !known || r.Body != nil && !bytes.Equal(r.Body, want.Body) || r.Body == nil && reader != 0 {
					t.Errorf("a reader beside a writer got %.40q, %.40q, %v", r.Head, r.Body, err)
					return
				}
			}
		})
	}
	for i := range 2 * len(marks) {
		save(t, s, name, record(marks[i%len(marks)], sizes[i%len(marks)]))
	}
	close(written)
	readers.Wait()
	remove(t, s, name)
}

// endedContext: a call whose context has ended fails with the cause, and changes nothing.
func endedContext(t *testing.T, s keystore.Store) {
	want := record("a", 100)
	save(t, s, name, want)
	cause := errors.New("the user pressed Ctrl-C")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	calls := map[string]func() error{
		"Head":   func() error { _, err := s.Head(ended, name); return err },
		"Load":   func() error { _, err := s.Load(ended, name); return err },
		"Save":   func() error { return s.Save(ended, name, record("b", 100)) },
		"Delete": func() error { return s.Delete(ended, name) },
	}
	if r, ok := s.(keystore.Reserver); ok {
		calls["Reserve"] = func() error {
			release, err := r.Reserve(ended, name)
			if err == nil {
				release()
			}
			return err
		}
	}
	if l, ok := s.(keystore.Leaser); ok {
		calls["Lease"] = func() error {
			release, err := l.Lease(ended, name)
			if err == nil {
				release()
			}
			return err
		}
		calls["Note"] = func() error { _, err := l.Note(ended, name); return err }
		calls["SetNote"] = func() error { return l.SetNote(ended, name, []byte("note")) }
	}
	for call, do := range calls {
		err := do()
		if !errors.Is(err, cause) {
			t.Errorf("%s with an ended context: %v", call, err)
		}
		if errors.Is(err, keystore.ErrNotFound) || errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("%s with an ended context says what it can't know: %v", call, err)
		}
	}
	interrupted(t, s, cause)
	same(t, s, name, want)
	remove(t, s, name)
}

// interrupted: a call that changes nothing succeeds or fails with the cause, whenever its context ends.
func interrupted(t *testing.T, s keystore.Store, cause error) {
	t.Helper()
	calls := map[string]func(context.Context) error{
		"Head": func(ctx context.Context) error { _, err := s.Head(ctx, name); return err },
		"Load": func(ctx context.Context) error { _, err := s.Load(ctx, name); return err },
	}
	if l, ok := s.(keystore.Leaser); ok {
		calls["Note"] = func(ctx context.Context) error { _, err := l.Note(ctx, name); return err }
		calls["Lease"] = func(ctx context.Context) error {
			release, err := l.Lease(ctx, name)
			if err == nil {
				release()
			}
			return err
		}
	}
	instants := 200
	if testing.Short() {
		instants = 20
	}
	for call, do := range calls {
		for i := range instants {
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(time.Duration(i)*2*time.Microsecond, func() { cancel(cause) })
			if err := do(ctx); err != nil && !errors.Is(err, cause) {
				t.Errorf("%s with a context that ends meanwhile: %v", call, err)
			}
			timer.Stop()
			cancel(nil)
		}
	}
}

// reserve: what was reserved and not used leaves nothing behind, and what was used leaves the record.
func reserve(t *testing.T, s keystore.Store) {
	r, ok := s.(keystore.Reserver)
	if !ok {
		t.Skip("the store is no keystore.Reserver") // Also with LOOPKEY_TEST_REAL: no part of the machine is missing.
	}
	reserved := func() (release func()) {
		t.Helper()
		release, err := r.Reserve(t.Context(), name)
		if err != nil {
			t.Fatalf("Reserve: %v", err)
		}
		return release
	}
	for range 2 {
		release := reserved()
		gone(t, s, "after Reserve")
		release()
		gone(t, s, "after its release")
	}
	for _, want := range []keystore.Record{record("a", 100), record("b", 40<<10), record("c", 10)} {
		release := reserved()
		save(t, s, name, want)
		same(t, s, name, want)
		release()
		same(t, s, name, want)
		reserved()()
		same(t, s, name, want)
	}
	release := reserved()
	remove(t, s, name)
	release()
	gone(t, s, "after Reserve, Delete and release")
	if _, err := r.Reserve(t.Context(), "../a"); err == nil {
		t.Error("Reserve took the name ../a")
	}
}

// lease: one caller at a time has the lease of a record, and a wait for it ends with its context.
func lease(t *testing.T, s keystore.Store) {
	l, ok := s.(keystore.Leaser)
	if !ok {
		t.Skip("the store is no keystore.Leaser") // Also with LOOPKEY_TEST_REAL: no part of the machine is missing.
	}
	leased := func(name string) (release func()) {
		t.Helper()
		release, err := l.Lease(t.Context(), name)
		if err != nil {
			t.Fatalf("Lease(%q): %v", name, err)
		}
		return release
	}
	release := leased(name)
	leased("neighbour")()
	cause := errors.New("the user pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(cause)
	if again, err := l.Lease(ctx, name); !errors.Is(err, cause) {
		t.Errorf("a second Lease: %v", err)
		if err == nil {
			again()
		}
	}
	release()
	gone(t, s, "after Lease")
	var holders atomic.Int32
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 10 {
				release, err := l.Lease(t.Context(), name)
				if err != nil {
					t.Errorf("Lease: %v", err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d callers have the lease", n)
				}
				_, _ = l.Note(t.Context(), name) // takes a moment
				holders.Add(-1)
				release()
			}
		})
	}
	callers.Wait()
	if _, err := l.Lease(t.Context(), "../a"); err == nil {
		t.Error("Lease took the name ../a")
	}
}

// note: a note is kept beside its record, and goes with it.
func note(t *testing.T, s keystore.Store) {
	l, ok := s.(keystore.Leaser)
	if !ok {
		t.Skip("the store is no keystore.Leaser") // Also with LOOPKEY_TEST_REAL: no part of the machine is missing.
	}
	is := func(name, want string) {
		t.Helper()
		if got, err := l.Note(t.Context(), name); err != nil || string(got) != want || (got == nil) != (want == "") {
			t.Errorf("Note(%q) is %.40q, %v, not %.40q", name, got, err, want)
		}
	}
	set := func(name, note string) {
		t.Helper()
		if err := l.SetNote(t.Context(), name, []byte(note)); err != nil {
			t.Fatalf("SetNote(%q): %v", name, err)
		}
		is(name, note)
	}
	is(name, "")
	set(name, "")
	set("neighbour", "another")
	for _, note := range []string{"a", "a", `{"b":"Zoë\n"}`, strings.Repeat("c", 1<<10), "", "d"} {
		set(name, note)
		gone(t, s, "after SetNote")
	}
	save(t, s, name, record("a", 100))
	is(name, "d")
	set(name, "e")
	same(t, s, name, record("a", 100))
	remove(t, s, name)
	is(name, "")
	set(name, "f")
	remove(t, s, name) // where there is no record
	is(name, "")
	is("neighbour", "another")
	remove(t, s, "neighbour")
	if err := l.SetNote(t.Context(), "../a", []byte("note")); err == nil {
		t.Error("SetNote took the name ../a")
	}
	if _, err := l.Note(t.Context(), "../a"); err == nil {
		t.Error("Note took the name ../a")
	}
}

func equal(a, b keystore.Record) bool {
	return bytes.Equal(a.Head, b.Head) && bytes.Equal(a.Body, b.Body)
}

func save(t *testing.T, s keystore.Store, name string, r keystore.Record) {
	t.Helper()
	if err := s.Save(t.Context(), name, r); err != nil {
		t.Fatalf("Save(%q) of %d bytes: %v", name, len(r.Head)+len(r.Body), err)
	}
}

func remove(t *testing.T, s keystore.Store, name string) {
	t.Helper()
	if err := s.Delete(t.Context(), name); err != nil {
		t.Errorf("Delete(%q): %v", name, err)
	}
	if _, err := s.Head(t.Context(), name); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("Head(%q) after Delete: %v", name, err)
	}
}

// same fails unless the store has the record, by Load and by Head.
func same(t *testing.T, s keystore.Store, name string, want keystore.Record) {
	t.Helper()
	got, err := s.Load(t.Context(), name)
	if err != nil || !equal(got, want) {
		t.Errorf("Load(%q) returned %.40q, %.40q, %v; saved were %.40q, %.40q",
			name, got.Head, got.Body, err, want.Head, want.Body)
	}
	got, err = s.Head(t.Context(), name)
	if err != nil || !bytes.Equal(got.Head, want.Head) || got.Body != nil && !bytes.Equal(got.Body, want.Body) {
		t.Errorf("Head(%q) returned %.40q, %.40q, %v; saved were %.40q, %.40q",
			name, got.Head, got.Body, err, want.Head, want.Body)
	}
}

// gone fails unless the record is not found.
func gone(t *testing.T, s keystore.Store, when string) {
	t.Helper()
	_, headErr := s.Head(t.Context(), name)
	_, loadErr := s.Load(t.Context(), name)
	for call, err := range map[string]error{"Head": headErr, "Load": loadErr} {
		otherKind := errors.Is(err, keystore.ErrUnavailable) || errors.Is(err, keystore.ErrCorrupt)
		if !errors.Is(err, keystore.ErrNotFound) || otherKind {
			t.Errorf("%s, %s: %v", when, call, err)
		}
	}
}
