package terminal

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// The drawing has a dark module where the code has one, with light ones around it.
func TestDrawQR(t *testing.T) {
	t.Parallel()
	code, err := qr.Encode("https://acme.example/device?user_code=ABCD-EFGH", qr.L)
	if err != nil {
		t.Fatal(err)
	}
	dark := map[rune][2]bool{' ': {}, '▀': {true, false}, '▄': {false, true}, '█': {true, true}}
	for row, line := range strings.Split(strings.TrimSuffix(drawQR(code), "\n"), "\n") {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
		if got := len([]rune(line)); got != code.Size+2*margin {
			t.Fatalf("row %d has %d columns", row, got)
		}
		for column, char := range []rune(line) {
			for half, got := range dark[char] {
				x, y := column-margin, 2*row+half-margin
				if want := code.Black(x, y); got != want {
					t.Fatalf("at %d, %d: %v, not %v", x, y, got, want)
				}
			}
		}
	}
}

// What is no terminal gets neither.
func TestPlain(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	term := New(nil, &out, []string{"TERM=xterm"}, func() bool { return true })
	if got := term.Bold("ABCD"); got != "ABCD" || term.ShowQR("https://acme.example/") || out.Len() > 0 {
		t.Errorf("%q, and %q", got, out.String())
	}
}
