package words_test

import (
	"os/exec"
	"testing"

	"github.com/loopkey/loopkey/internal/words"
)

// What a shell is told to set is the value to the letter, whatever it holds.
func TestAssign(t *testing.T) {
	t.Parallel()
	const hostile = `a b$(touch x)` + "`touch x`" + `\'"*~;&|%PATH%!x!` + "\u2019é"
	for shell, want := range map[string]string{
		"sh":         `export T='a b$(touch x)` + "`touch x`" + `\'\''"*~;&|%PATH%!x!` + "\u2019é'",
		"fish":       `set -gx T 'a b$(touch x)` + "`touch x`" + `\\\'"*~;&|%PATH%!x!` + "\u2019é'",
		"powershell": `$env:T = 'a b$(touch x)` + "`touch x`" + `\''"*~;&|%PATH%!x!` + "\u2019\u2019é'",
		"cmd":        "",
	} {
		got, err := words.Assign(shell, "T", hostile)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", shell, got, err)
		}
		if got, err := words.Assign(shell, "T", "eyJh-b_c.d~e+f/g="); err != nil || got == "" {
			t.Errorf("%s: a token: %q, %v", shell, got, err)
		}
		if got, err := words.Assign(shell, "T", "a\nb"); err == nil {
			t.Errorf("%s: two lines: %q", shell, got)
		}
	}
	if got, err := words.Assign("tcl", "T", "x"); err == nil {
		t.Errorf("a shell that there is not: %q", got)
	}
	for name, want := range map[string]bool{
		"ACCESS_TOKEN": true, "_1": true, "": false, "1A": false, "A B": false, "A;x": false, "A=B": false, "Ä": false,
	} {
		if words.IsVariable(name) != want {
			t.Errorf("IsVariable(%q) = %v", name, !want)
		}
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh here") // Also with LOOPKEY_TEST_REAL: every Unix has one.
	}
	line, err := words.Assign("sh", "T", hostile)
	if err != nil {
		t.Fatal(err)
	}
	script := line + `; printf %s "$T"; ` + words.Unassign("sh", "T") + `; printf %s "$T"`
	out, err := exec.CommandContext(t.Context(), sh, "-c", script).CombinedOutput()
	if err != nil || string(out) != hostile {
		t.Errorf("sh reads %q, %v", out, err)
	}
}
