package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// What JSON prints means what it was given, and steers no terminal.
func TestPrintJSON(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Ada", "A\x1b[31mda", "A\u202eda", "\u0000", "\U000e0001", "👩‍🚀", "<script>&", "\u2028",
		"é\u0301", "\u009b31m", "a\nb",
	} {
		var out strings.Builder
		a := &app{stdout: &out}
		if err := a.print("json", "", map[string]string{"name": name}); err != nil {
			t.Fatal(err)
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(out.String()), &back); err != nil || back["name"] != name {
			t.Errorf("%q became %q, %v", name, back["name"], err)
		}
		if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q: %q is not printable", name, out.String())
		}
	}
}

func TestPrintToken(t *testing.T) {
	t.Parallel()
	for output, want := range map[string]string{"raw": "secret\n", "header": "Authorization: Bearer secret\n"} {
		var out strings.Builder
		a := &app{stdout: &out}
		if err := a.print(output, "secret", nil); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v", output, out.String(), err)
		}
	}
}
