//go:build unix

package loopback

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A launcher that turns into the browser holds nobody up, and is not in our process
// group, where Ctrl-C would end it.
func TestLauncherStays(t *testing.T) {
	dir := t.TempDir()
	question, answer := filepath.Join(dir, "question"), filepath.Join(dir, "answer")
	for _, path := range []string{question, answer} {
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(dir, "browser")
	text := "#!/bin/sh\nread line <\"" + question + "\"\nread line 2>/dev/null </proc/$$/stat\necho \"$$ $line\" >\"" +
		answer + "\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := launch(t.Context(), []string{script}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(question, []byte("?\n"), 0o600); err != nil { // it is still there to read this
		t.Fatal(err)
	}
	raw, err := os.ReadFile(answer)
	if err != nil {
		t.Fatal(err)
	}
	stat := strings.Fields(string(raw)) // our echo of its ID, then proc(5): ID, name, state, parent, group
	if len(stat) > 5 && stat[5] != stat[0] {
		t.Errorf("process %s is in group %s", stat[0], stat[5])
	}
}
