package keystore

import (
	"context"
	"regexp"
	"strings"
	"testing"
)

// What a keychain is given that may interpret it: no braces, which KeePassXC resolves, no quotes, no line ends. What an
// earlier version stored as text is still read.
func TestNothingToInterpret(t *testing.T) {
	t.Parallel()
	for _, largest := range []int{0, minEntry} {
		d := &drawer{t: t, max: largest, entries: map[string]string{}}
		text := Record{
			Head: []byte(`{"token":"{TITLE}{REF:P@T:x}"}`), Body: []byte(`{"a":"` + strings.Repeat("{S:b} ", 200) + `"}`),
		}
		before := split{entries: d, max: largest}
		if err := before.save(t.Context(), "me", text); err != nil {
			t.Fatal(err)
		}
		s := split{entries: d, max: largest, readBack: true, encoded: true}
		for range 2 {
			if r, err := s.read(t.Context(), "me", true); err != nil || string(r.Body) != string(text.Body) {
				t.Fatalf("%.40q, %v", r.Body, err)
			}
			if r, err := s.read(t.Context(), "me", false); err != nil || string(r.Head) != string(text.Head) {
				t.Fatalf("%.40q, %v", r.Head, err)
			}
			if err := s.save(t.Context(), "me", text); err != nil {
				t.Fatal(err)
			}
		}
		plain := regexp.MustCompile(`^[A-Za-z0-9+/_ -]+$`)
		for name, entry := range d.entries {
			if !plain.MatchString(entry) {
				t.Errorf("%s holds %.80q", name, entry)
			}
		}
	}
}

// A note does not touch the record: the write may be done long after it was given up. It is another entry each time.
func TestNoteBesideTheRecord(t *testing.T) {
	t.Parallel()
	d := &drawer{t: t, max: minEntry, entries: map[string]string{}}
	s := split{entries: d, max: minEntry, readBack: true}
	if err := s.save(context.Background(), "me", sized("a", 1000)); err != nil {
		t.Fatal(err)
	}
	before := d.entries["me"]
	d.entries["me"] = "whatever is there"
	last := ""
	for range 2 {
		if err := s.setNote(t.Context(), "me", []byte("note")); err != nil {
			t.Fatal(err)
		}
		if now := d.entries[noteOf("me")]; now == last {
			t.Errorf("the entry is the same: %q", now)
		} else {
			last = now
		}
		if d.entries["me"] != "whatever is there" {
			t.Error("the record was written")
		}
	}
	d.entries["me"] = before
	if err := s.remove(t.Context(), "me"); err != nil || len(d.entries) != 0 {
		t.Errorf("left: %d entries, %v", len(d.entries), err)
	}
}
