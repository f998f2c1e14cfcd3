package keystore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var errCrash = errors.New("crashed")

// A drawer is a keychain with the rules of the strictest platform: short entries, valid UTF-8, no NUL. It can crash at
// any write.
type drawer struct {
	t       testing.TB
	max     int
	entries map[string]string
	steps   int               // writes so far
	crash   int               // the write at which it crashes, from 1; 0: never
	after   bool              // it crashes after that write, not before it
	between func(op string)   // called before and after each write, and before each read
	gets    int               // reads so far
	broken  func(string) bool // names that can't be removed
}

func (d *drawer) get(_ context.Context, name string) (string, error) {
	d.look("get " + name)
	d.gets++
	v, ok := d.entries[name]
	if !ok {
		return "", ErrNotFound
	}
	return v, nil
}

func (d *drawer) set(_ context.Context, name, value string) error {
	if d.max > 0 && len(value) > d.max || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		d.t.Errorf("an entry that a keychain may refuse: %d bytes, %q", len(value), value)
	}
	return d.write("set "+name, func() { d.entries[name] = value })
}

func (d *drawer) remove(_ context.Context, name string) error {
	if d.broken != nil && d.broken(name) {
		return errCrash
	}
	if _, ok := d.entries[name]; !ok {
		return ErrNotFound
	}
	return d.write("remove "+name, func() { delete(d.entries, name) })
}

func (d *drawer) write(op string, do func()) error {
	d.steps++
	if d.crash > 0 && (d.steps > d.crash || d.steps == d.crash && !d.after) {
		return errCrash
	}
	d.look("before " + op)
	do()
	d.look("after " + op)
	if d.steps == d.crash {
		return errCrash
	}
	return nil
}

func (d *drawer) look(op string) {
	if d.between != nil {
		d.between(op)
	}
}

func newDrawer(t testing.TB, max int) (*drawer, split) {
	d := &drawer{t: t, max: max, entries: map[string]string{}}
	return d, split{entries: d, max: max}
}

// sized returns a record of about n bytes that differs from every other.
func sized(mark string, n int) Record {
	return Record{
		Head: []byte(`{"mark":"` + mark + `"}`),
		Body: []byte(`{"mark":"` + mark + `","pad":"` + strings.Repeat(mark, n/len(mark)) + `"}`),
	}
}

func TestSplitKeepsRecords(t *testing.T) {
	t.Parallel()
	records := map[string]Record{
		"empty":              {Head: []byte{}, Body: []byte{}},
		"small":              sized("a", 10),
		"just an entry":      sized("b", 100),
		"8 KB":               sized("c", 8<<10),
		"100 KB":             sized("d", 100<<10),
		"characters":         {Head: []byte("Zoë"), Body: []byte(strings.Repeat("日本語ß", 500))},
		"bytes":              {Head: []byte{0, 1, 255}, Body: []byte(strings.Repeat("\x00\xff\n", 500))},
		"a head that is big": {Head: []byte(strings.Repeat("head ", 700)), Body: []byte("body")},
		"no body":            {Head: []byte(strings.Repeat("head ", 700)), Body: []byte{}},
	}
	for max, whole := range map[int]int{0: 0, -1: 4096, minEntry: 0, 300: 0, 2400: 0} {
		for name, want := range records {
			t.Run(fmt.Sprintf("%s in entries of %d", name, max), func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				d, s := newDrawer(t, max)
				if whole > 0 {
					d, s = newDrawer(t, 0)
					s.whole = whole
				}
				for _, r := range []Record{sized("before", 5000), want, want} {
					if err := s.save(ctx, "me", r); err != nil {
						t.Fatal(err)
					}
				}
				got, err := s.read(ctx, "me", true)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				d.gets = 0
				got, err = s.read(ctx, "me", false)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.Head, got.Head); diff != "" {
					t.Error(diff)
				}
				if (len(want.Head) < 80 || whole > 0) && d.gets != 1 {
					t.Errorf("the head took %d reads", d.gets)
				}
				if err := s.remove(ctx, "me"); err != nil {
					t.Fatal(err)
				}
				if len(d.entries) != 0 {
					t.Errorf("left behind: %v", slices.Sorted(maps.Keys(d.entries)))
				}
				if _, err := s.read(ctx, "me", true); !errors.Is(err, ErrNotFound) {
					t.Errorf("after Delete: %v", err)
				}
			})
		}
	}
}

func TestSplitCounts(t *testing.T) {
	t.Parallel()
	for max, want := range map[int]struct{ save, load, saveGets int }{0: {1, 1, 0}, 2400: {7, 4, 4}} {
		ctx := t.Context()
		d, s := newDrawer(t, max)
		for range 2 {
			if err := s.save(ctx, "me", sized("x", 8<<10)); err != nil {
				t.Fatal(err)
			}
		}
		d.steps, d.gets = 0, 0
		if err := s.save(ctx, "me", sized("y", 8<<10)); err != nil {
			t.Fatal(err)
		}
		if d.steps != want.save || d.gets != want.saveGets {
			t.Errorf("entries of %d: Save took %d writes and %d reads, not %d and %d",
				max, d.steps, d.gets, want.save, want.saveGets)
		}
		d.gets = 0
		if _, err := s.read(ctx, "me", true); err != nil || d.gets != want.load {
			t.Errorf("entries of %d: Load took %d reads, not %d (%v)", max, d.gets, want.load, err)
		}
	}
}

// Where entries may have any size, a small record costs one write, and one read if the lease is not held; a record
// grows and shrinks, and the head of a large one is small.
func TestSplitGrows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, s := newDrawer(t, 0)
	s.whole = 4096
	for i, c := range []struct{ size, saves, writes, gets, entries int }{
		{500, 3, 1, 1, 1}, {50_000, 3, 3, 4, 2}, {500, 3, 1, 1, 1}, {4_000_000, 1, 3, 4, 2}, {500, 3, 1, 1, 1},
	} {
		r := sized(fmt.Sprint("n", i), c.size)
		for range c.saves {
			d.steps, d.gets = 0, 0
			if err := s.save(ctx, "me", r); err != nil {
				t.Fatal(err)
			}
			whole(t, s, &r)("after a save")
		}
		if len(d.entries) != c.entries || len(d.entries["me"]) > 4096+headerRoom {
			t.Errorf("%d bytes: %d entries, the first of %d bytes", c.size, len(d.entries), len(d.entries["me"]))
		}
		d.steps, d.gets = 0, 0
		if err := s.save(ctx, "me", r); err != nil {
			t.Fatal(err)
		}
		if d.steps != c.writes || d.gets != c.gets {
			t.Errorf("%d bytes: Save took %d writes and %d reads, not %d and %d", c.size, d.steps, d.gets, c.writes, c.gets)
		}
	}
}

// whole returns a reader that fails if it sees another record than those allowed. nil allows that there is none.
func whole(t *testing.T, s split, allowed ...*Record) func(string) {
	return func(op string) {
		t.Helper()
		for _, body := range []bool{true, false} {
			got, err := s.read(t.Context(), "me", body)
			ok := slices.ContainsFunc(allowed, func(want *Record) bool {
				if want == nil {
					return errors.Is(err, ErrNotFound)
				}
				return err == nil && string(want.Head) == string(got.Head) && (!body || string(want.Body) == string(got.Body))
			})
			if !ok {
				t.Errorf("%s: a reader sees %.30q, %.30q, %v", op, got.Head, got.Body, err)
			}
		}
	}
}

// A writer crashes before or after each of its writes. Then a second writer does the same. Then a third one does not
// crash.
func TestSplitSurvivesCrashes(t *testing.T) {
	t.Parallel()
	older, last := sized("older", 900), sized("last", 400)
	large, small := sized("large", 1500), sized("small", 700)
	for _, c := range []struct {
		split
		old, next Record
	}{
		{split{max: minEntry}, large, small},
		{split{whole: 650}, large, small}, {split{whole: 1100}, large, small}, // both have a part; one has
		{split{whole: 1100}, small, large}, {split{whole: 2000}, small, large},
	} {
		of, old, next := c.split, c.old, c.next
		steps := map[string]func(context.Context, split) error{
			"save":   func(ctx context.Context, s split) error { return s.save(ctx, "me", next) },
			"delete": func(ctx context.Context, s split) error { return s.remove(ctx, "me") },
		}
		before := map[string][]Record{"nobody": nil, "somebody": {older, old}}
		for name, records := range before {
			for first := range steps {
				for second := range steps {
					t.Run(fmt.Sprintf("%d, %.7s, %s, %s, %s", of.whole, next.Head[9:], name, first, second), func(t *testing.T) {
						t.Parallel()
						ctx := t.Context()
						start, _ := newDrawer(t, of.max)
						for _, r := range records {
							if err := of.in(start).save(ctx, "me", r); err != nil {
								t.Fatal(err)
							}
						}
						result := func(op string) *Record {
							if op == "save" {
								return &next
							}
							return nil
						}
						var standing *Record
						if len(records) > 0 {
							standing = &old
						}
						crashes(t, of, start, steps[first], func(a *drawer) {
							reader := of.in(&drawer{t: t, entries: a.entries})
							whole(t, reader, standing, result(first))("after the first crash")
							crashes(t, of, a, steps[second], func(b *drawer) {
								reader := of.in(&drawer{t: t, entries: b.entries})
								whole(t, reader, standing, result(first), result(second))("after the second crash")
								for _, end := range []bool{true, false} { // a login, or a logout
									c, _ := newDrawer(t, of.max)
									s := of.in(c)
									c.entries = maps.Clone(b.entries)
									if end {
										if err := s.save(ctx, "me", last); err != nil {
											t.Fatal(err)
										}
										whole(t, s, &last)("after a login")
										clean(t, c)
									}
									if err := s.remove(ctx, "me"); err != nil {
										t.Fatal(err)
									}
									if len(c.entries) != 0 {
										t.Fatalf("left behind: %v", slices.Sorted(maps.Keys(c.entries)))
									}
								}
							})
						}, standing, result(first), result(second))
					})
				}
			}
		}
	}
}

// in returns the same split over other entries.
func (s split) in(entries entries) split {
	s.entries = entries
	return s
}

// crashes runs step for each write that step makes, with a crash before or after that write and a reader between all
// writes. It calls then with what is left.
func crashes(
	t *testing.T, of split, start *drawer, step func(context.Context, split) error, then func(*drawer), allowed ...*Record,
) {
	t.Helper()
	for n := 1; ; n++ {
		for _, after := range []bool{false, true} {
			d := &drawer{t: t, max: start.max, entries: maps.Clone(start.entries), crash: n, after: after}
			reader := of.in(&drawer{t: t, entries: d.entries})
			if len(allowed) > 0 {
				d.between = whole(t, reader, allowed...)
			}
			err := step(t.Context(), of.in(d))
			then(d)
			if d.steps < n { // it came to its end
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if t.Failed() {
				t.Fatalf("crashed at write %d (after it: %v)", n, after)
			}
		}
	}
}

// clean fails if there is an entry that the record's index does not name.
func clean(t *testing.T, d *drawer) {
	t.Helper()
	h, err := decodeIndex(d.entries["me"])
	if err != nil {
		t.Fatal(err)
	}
	if len(d.entries) != 1+h.parts {
		t.Fatalf("%d parts, but: %v", h.parts, slices.Sorted(maps.Keys(d.entries)))
	}
}

// A writer gets in between any two reads of a reader.
func TestSplitReaderMeetsWriter(t *testing.T) {
	t.Parallel()
	old, next := sized("old", 1500), sized("next", 1100)
	writers := map[string]struct {
		write func(context.Context, split) error
		then  *Record
	}{
		"save":   {func(ctx context.Context, s split) error { return s.save(ctx, "me", next) }, &next},
		"delete": {func(ctx context.Context, s split) error { return s.remove(ctx, "me") }, nil},
		"delete and login": {func(ctx context.Context, s split) error {
			return errors.Join(s.remove(ctx, "me"), s.save(ctx, "me", next))
		}, &next},
	}
	for name, w := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			for at := 1; ; at++ {
				d, s := newDrawer(t, minEntry)
				if err := s.save(ctx, "me", old); err != nil {
					t.Fatal(err)
				}
				writer := split{entries: &drawer{t: t, max: minEntry, entries: d.entries}, max: minEntry}
				reads, written := 0, false
				d.between = func(string) {
					if reads++; reads == at {
						written = true
						if err := w.write(ctx, writer); err != nil {
							t.Error(err)
						}
					}
				}
				got, err := s.read(ctx, "me", true)
				d.between = nil
				switch {
				case err == nil && string(got.Body) == string(old.Body):
				case err == nil && w.then != nil && string(got.Body) == string(w.then.Body):
				case errors.Is(err, ErrNotFound) && (w.then == nil || name == "delete and login"):
				default:
					t.Errorf("a writer before read %d: %.30q, %v", at, got.Body, err)
				}
				if !written {
					return
				}
			}
		})
	}
}

func TestSplitReportsDamage(t *testing.T) {
	t.Parallel()
	damage := map[string]func(map[string]string){
		"a part is gone":          func(m map[string]string) { delete(m, "me/1.2") },
		"a part is cut":           func(m map[string]string) { m["me/1.2"] = m["me/1.2"][:7] },
		"a part is another":       func(m map[string]string) { m["me/1.2"] = m["me/1.1"] },
		"a part is long":          func(m map[string]string) { m["me/1.2"] += "x" },
		"the index is cut":        func(m map[string]string) { m["me"] = m["me"][:len(m["me"])-1] },
		"the index is text":       func(m map[string]string) { m["me"] = "hunter2" },
		"the index is empty":      func(m map[string]string) { m["me"] = "" },
		"another version's":       func(m map[string]string) { m["me"] = "loopkey-2 1 something new" },
		"a generation was raised": func(m map[string]string) { m["me"] = strings.Replace(m["me"], "-1 1", "-1 2", 1) },
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			d, s := newDrawer(t, minEntry)
			secret := Record{Head: []byte("head"), Body: []byte(strings.Repeat("0123456789 secret ", 80))}
			if err := s.save(ctx, "me", secret); err != nil {
				t.Fatal(err)
			}
			spoil(d.entries)
			before := maps.Clone(d.entries)
			if r, err := s.read(ctx, "me", true); !errors.Is(err, ErrCorrupt) {
				t.Errorf("read %.30q, %v", r.Body, err)
			} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error holds what it could not read: %v", err)
			}
			if diff := cmp.Diff(before, d.entries); diff != "" {
				t.Errorf("it was not left as it is: %s", diff)
			}
			// A new login replaces it, and where the generation can be made out nothing is left.
			if err := s.save(ctx, "me", sized("y", 300)); err != nil {
				t.Fatal(err)
			}
			whole(t, s, ptr(sized("y", 300)))("after a login")
		})
	}
}

func ptr[T any](v T) *T { return &v }

// An entry that can't be removed is remembered until it can be.
func TestSplitRemembersWhatItCouldNotSweep(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, s := newDrawer(t, minEntry)
	d.broken = func(name string) bool { return strings.HasPrefix(name, "me/2.") }
	for i := range 10 {
		if err := s.save(ctx, "me", sized(fmt.Sprint("n", i), 900)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.remove(ctx, "me"); err == nil {
		t.Error("Delete said nothing of what it left")
	}
	whole(t, s, nil)("after a logout that could not remove all")
	d.broken = nil
	if err := s.remove(ctx, "me"); err != nil || len(d.entries) != 0 {
		t.Errorf("%v, left behind: %v", err, slices.Sorted(maps.Keys(d.entries)))
	}
}

func TestSplitNamesDoNotMeet(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, s := newDrawer(t, minEntry)
	names := []string{"a", "a.1.0", "a.1", "a-1.0", "A"}
	for _, name := range names {
		if err := s.save(ctx, name, sized(name, 900)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if r, err := s.read(ctx, name, true); err != nil || string(r.Head) != string(sized(name, 0).Head) {
			t.Errorf("%s: %q, %v", name, r.Head, err)
		}
	}
	for _, name := range []string{"", "a/1.0", "..\\a", "a b", "a\x00", strings.Repeat("a", 129), "ä"} {
		if checkName(name) == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

func TestSplitAnything(t *testing.T) {
	t.Parallel()
	property := func(h, b []byte, size uint16) bool {
		_, s := newDrawer(t, minEntry+int(size%3000))
		if err := s.save(t.Context(), "me", Record{h, b}); err != nil {
			return false
		}
		r, err := s.read(t.Context(), "me", true)
		return err == nil && string(r.Head) == string(h) && string(r.Body) == string(b)
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeIndex(f *testing.F) {
	d, s := newDrawer(f, minEntry)
	for _, r := range []Record{{}, sized("x", 900), {Head: []byte{0}}} {
		if err := s.save(f.Context(), "me", r); err != nil {
			f.Fatal(err)
		}
		f.Add(d.entries["me"])
	}
	f.Add(index{generation: 3, oldest: 1, coding: asGone}.encode())
	f.Add("loopkey-1 9007199254740993 0 0 - t 0 0 x ")
	f.Add("loopkey-2 7 new")
	f.Fuzz(func(t *testing.T, entry string) {
		h, err := decodeIndex(entry)
		if err == nil && h.encode() != entry {
			t.Errorf("%q came from %q", h.encode(), entry)
		}
		if err == nil && h.parts == 0 {
			_, _ = h.record(h.inline)
		}
		// Whatever stands there, a new login replaces it, and a logout removes it.
		d, s := newDrawer(t, minEntry)
		d.entries["me"] = entry
		if err := s.save(t.Context(), "me", sized("new", 900)); err != nil {
			t.Fatal(err)
		}
		if r, err := s.read(t.Context(), "me", true); err != nil || string(r.Body) != string(sized("new", 900).Body) {
			t.Fatal(err)
		}
		d.entries["me"] = entry
		if err := s.remove(t.Context(), "me"); err != nil || d.entries["me"] != "" {
			t.Fatal(err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("head"), []byte("body"), 300)
	f.Add([]byte("\x00"), []byte(strings.Repeat("ß", 400)), 257)
	f.Fuzz(func(t *testing.T, h, b []byte, max int) {
		if max < minEntry || max > 1<<16 || len(h)+len(b) > 1<<20 {
			return
		}
		for _, max := range []int{0, max} {
			_, s := newDrawer(t, max)
			if err := s.save(t.Context(), "me", Record{h, b}); err != nil {
				t.Fatal(err)
			}
			r, err := s.read(t.Context(), "me", true)
			if err != nil || string(r.Head) != string(h) || string(r.Body) != string(b) {
				t.Fatalf("%q, %q, %v", r.Head, r.Body, err)
			}
			if r, err = s.read(t.Context(), "me", false); err != nil || string(r.Head) != string(h) {
				t.Fatalf("%q, %v", r.Head, err)
			}
		}
	})
}
