package journal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/journal"
)

const (
	writers = 8
	each    = 80 // entries: all together they are longer than one file may be, and shorter than two
)

// With JOURNAL set the test binary is a process that writes.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOURNAL"); dir != "" {
		for i := range each {
			journal.Write(dir, journal.Entry{
				Event: "token", Audience: os.Getenv("WRITER") + "." + strconv.Itoa(i), Tool: strings.Repeat("x", 2000),
			})
		}
		return
	}
	m.Run()
}

// Processes that write at once keep each other's lines whole, and lose none when the file gives way to the next.
func TestProcessesAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for i := range writers {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "JOURNAL="+dir, "WRITER="+strconv.Itoa(i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	entries, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Audience] = true
	}
	if len(entries) != writers*each || len(seen) != writers*each {
		t.Errorf("%d entries, %d different ones, of %d", len(entries), len(seen), writers*each)
	}
	for _, name := range []string{"log.jsonl", "log.1.jsonl"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > 2<<20 { // others write on while one makes the next file, which may take its time
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if err == nil && runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	again, err := read(dir)
	if last := journal.Last(again, 3); err != nil || len(last) != 3 || last[2] != entries[len(entries)-1] {
		t.Errorf("the last three: %v, %v", last, err)
	}
}

// What a full disk or another program left in the file is left out. What others may write to is not written to.
func TestDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "log.jsonl")
	if entries, err := read(dir); err != nil || len(entries) != 0 {
		t.Errorf("without a file: %v, %v", entries, err)
	}
	half := `{"time":"2026-05-06T12:00:00Z","event":"tok`
	if err := os.WriteFile(path, []byte("nonsense\n{}\n"+half), 0o600); err != nil {
		t.Fatal(err)
	}
	journal.Write(dir, journal.Entry{Event: "login", Profile: "work"})
	entries, err := read(dir)
	if err != nil || len(entries) != 1 || entries[0].Profile != "work" || entries[0].PID != os.Getpid() {
		t.Errorf("%v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	journal.Write(dir, journal.Entry{Event: "login"})
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if entries, err := read(dir); err != nil || len(entries) != 1 {
		t.Errorf("a file that others can read was written to: %v, %v", entries, err)
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	journal.Write(dir, journal.Entry{Event: "login"})
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("a link was followed")
	}
}

func TestParent(t *testing.T) {
	t.Parallel()
	name, pid := journal.Parent()
	if pid != os.Getppid() || name == "" && (runtime.GOOS == "linux" || runtime.GOOS == "darwin") {
		t.Errorf("%q, %d", name, pid)
	}
}

func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		journal.Write(dir, journal.Entry{Event: "token"})
	}
}

// An entry with texts that are too long for a line is written all the same, with their beginnings.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	long := "https://api.example/" + strings.Repeat("\x01<", 3000)
	journal.Write(dir, journal.Entry{
		Event: "token", Tool: "token", Profile: strings.Repeat("p", 64),
		Issuer: long, ClientID: long, Server: long, Audience: long, Command: long, Parent: long,
	})
	entries, err := read(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if e := entries[0]; e.Tool != "token" || len(e.Audience) > 100 ||
		!strings.HasPrefix(e.Audience, "https://api.example/") {
		t.Errorf("%+v", e)
	}
}

// read returns all entries.
func read(dir string) ([]journal.Entry, error) { return (&journal.Reader{StateDir: dir}).Next() }
