package private

import (
	"strings"
	"testing"
)

func TestIsDevice(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"NUL": true, "nul": true, "con.txt": true, "Aux.tar.gz": true, "prn .md": true, "conin$": true, "clock$": true,
		"COM0": true, "lpt9.txt": true, "com¹": true,
		"null": false, "COM": false, "COM10": false, "COMA": false, "LPT⁴": false, "a.nul": false, ".con": false, "": false,
	} {
		if got := IsDevice(name); got != want {
			t.Errorf("IsDevice(%q) is %v", name, got)
		}
	}
}

func TestIsSessionName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"default": true, "a": true, "Work-2.eu_1": true, strings.Repeat("a", 64): true,
		"": false, ".hidden": false, "-p": false, "_x": false, "a/b": false, `a\b`: false, "a b": false, "é": false,
		"a\x00": false, strings.Repeat("a", 65): false, "nul": false, "COM1.x": false, "..": false,
	} {
		if got := IsSessionName(name); got != want {
			t.Errorf("IsSessionName(%q) is %v", name, got)
		}
	}
}
