package pty

import "testing"

func TestEndOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, printed string
		end           int
	}{
		{"", "", 0},
		{"a", "", -1},
		{"a", "ba", 2},
		{"the login of", "x the login\r\nof 0s ago", 15},
		{"the login of", "the login  of", -1},
		{"the login of", "the login the login of", 22},
		{"the login of", "the login\nof", -1},
		{" of", "login\r\nof", 9},
		{" ", "login", -1},
		{"of\r\n", "of\r\n", 4},
	} {
		if end := endOf(c.text, c.printed); end != c.end {
			t.Errorf("%q in %q ends at %d, want %d", c.text, c.printed, end, c.end)
		}
	}
}
