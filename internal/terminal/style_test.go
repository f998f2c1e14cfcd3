package terminal

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// The drawing has a dark module where the code has one, with light ones around it.
func TestDrawQR(t *testing.T) {
	t.Parallel()
	code, ok := encodeQR("https://acme.example/device?user_code=ABCD-EFGH")
	if !ok {
		t.Fatal("there is no code")
	}
	dark := map[rune][2]bool{' ': {}, '▀': {true, false}, '▄': {false, true}, '█': {true, true}}
	for row, line := range strings.Split(strings.TrimSuffix(drawQR(code), "\n"), "\n") {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
		if got := len([]rune(line)); got != code.size+2*margin {
			t.Fatalf("row %d has %d columns", row, got)
		}
		for column, char := range []rune(line) {
			for half, got := range dark[char] {
				x, y := column-margin, 2*row+half-margin
				if want := code.isDark(x, y); got != want {
					t.Fatalf("at %d, %d: %v, not %v", x, y, got, want)
				}
			}
		}
	}
}

// The codes are those that another library makes, of each version and of each length at which the next one begins.
func TestEncodeQR(t *testing.T) {
	t.Parallel()
	longest := 0
	for n := 1; ; n++ {
		text := "https://acme.example/device?user_code="
		text = (text + strings.Repeat("abcdefg-", 64))[:n]
		code, ok := encodeQR(text)
		if !ok {
			break
		}
		longest = n
		want, err := qr.Encode(text, qr.L)
		if err != nil || want.Size != code.size {
			t.Fatalf("%d characters: %d modules, %v", n, code.size, err)
		}
		for y := -1; y <= code.size; y++ {
			for x := -1; x <= code.size; x++ {
				if code.isDark(x, y) != want.Black(x, y) {
					t.Fatalf("%d characters: the module at %d, %d is not that of the other", n, x, y)
				}
			}
		}
	}
	if longest != 458 {
		t.Errorf("the longest text has %d characters", longest)
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
