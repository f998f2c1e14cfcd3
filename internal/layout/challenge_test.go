package layout

import "testing"

// The challenge names the program, in a form that needs no escape.
func TestChallenge(t *testing.T) {
	t.Parallel()
	for app, want := range map[string]string{
		"": `Bearer realm="loopkey"`, "acme": `Bearer realm="acme"`, "a\"b\\c\r\nd é": `Bearer realm="a_b_c__d _"`,
	} {
		if got := (&Layout{App: app}).Challenge(); got != want {
			t.Errorf("%q: %s", app, got)
		}
	}
}
