package cli

import (
	"strings"
	"testing"
)

// A line is broken between words, a command is not, and no word is lost.
func TestFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"short", "short"},
		{"one two three four five six", "one two three four\nfive six"},
		{"nobody is in: run loopkey login -p work --port 4000, or try",
			"nobody is in: run\nloopkey login -p work --port 4000,\nor try"},
		{"run `loopkey serve -p work` in a terminal", "run\n`loopkey serve -p work`\nin a terminal"},
		{"look, then run loopkey login -p x again and again", "look, then run\nloopkey login -p x\nagain and again"},
		{"  a line that is to be copied whole", "  a line that is to be copied whole"},
		{"first\nsecond that is longer than it", "first\nsecond that is\nlonger than it"},
		{"https://a.example/a/very/long/address is it", "https://a.example/a/very/long/address\nis it"},
		{"", ""},
	} {
		got := fold(c.text, 20)
		if got != c.want || strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(c.text), "") {
			t.Errorf("%q:\n%q, not\n%q", c.text, got, c.want)
		}
	}
}
