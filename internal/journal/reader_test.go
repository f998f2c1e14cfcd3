package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/journal"
)

// A Reader finds each entry once, also where the file gives way to the next one between two looks, and what is written
// to the file of before under its new name.
func TestReader(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	path, before := filepath.Join(dir, "log.jsonl"), filepath.Join(dir, "log.1.jsonl")
	r := journal.Reader{StateDir: dir}
	wants := func(want string) {
		t.Helper()
		entries, err := r.Next()
		var got []string
		for _, e := range entries {
			got = append(got, e.Audience)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q, %v; not %q", got, err, want)
		}
	}
	write := func(audience string) { journal.Write(dir, journal.Entry{Event: "token", Audience: audience}) }
	add := func(file, text string) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(text)
			_ = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wants("")
	write("a")
	write("b")
	wants("a b")
	wants("")
	add(path, `{"time":"2026-05-06T12:00:00Z","event":"token","audience":`)
	wants("") // half of a line
	add(path, "\"c\"}\n")
	wants("c")

	write("d")
	if err := os.Rename(path, before); err != nil {
		t.Fatal(err)
	}
	write("e")
	wants("d e")
	add(before, `{"time":"2026-05-06T12:00:00Z","event":"token","audience":"f"}`+"\n") // by who had it open
	wants("f")

	// Between the looks of a Reader at the two names the file may have changed from one to the other.
	if err := os.Rename(path, path+".moving"); err != nil {
		t.Fatal(err)
	}
	wants("")
	if err := os.Rename(path+".moving", before); err != nil {
		t.Fatal(err)
	}
	write("g")
	wants("g")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	wants("")
	write("h")
	wants("h")
}
