package terminal

import (
	"strings"
	"testing"
)

func TestDrawsLinks(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]bool{
		"":                                     false,
		"TERM=xterm-256color":                  false,
		"TERM=xterm-kitty":                     true,
		"TERM=xterm-256color VTE_VERSION=7006": true,
		"TERM=xterm-256color VTE_VERSION=5000": false,
		"TERM=xterm-256color TERM_PROGRAM=Apple_Terminal TERM_PROGRAM_VERSION=455":    false,
		"TERM=xterm-256color TERM_PROGRAM=iTerm.app TERM_PROGRAM_VERSION=3.5.4":       true,
		"TERM=xterm-256color TERM_PROGRAM=iTerm.app TERM_PROGRAM_VERSION=3.0.15":      false,
		"TERM=xterm-256color TERM_PROGRAM=vscode TERM_PROGRAM_VERSION=1.95.0":         true,
		"TERM=xterm-256color TERM_PROGRAM=vscode":                                     false,
		"WT_SESSION=0b9ab3e5-6b3c-4f0e-9d4a-1c8f":                                     true,
		"TERM=tmux-256color TERM_PROGRAM=tmux TERM_PROGRAM_VERSION=3.4 TMUX=x":        true,
		"TERM=screen TERM_PROGRAM=tmux TERM_PROGRAM_VERSION=3.5a TMUX=x":              true,
		"TERM=tmux-256color TERM_PROGRAM=tmux TERM_PROGRAM_VERSION=3.3a TMUX=x":       false,
		"TERM=tmux-256color TMUX=x VTE_VERSION=7006":                                  false,
		"TERM=xterm-256color TMUX=x VTE_VERSION=7006":                                 false,
		"TERM=screen.xterm-256color STY=1 TERM_PROGRAM=WezTerm":                       false,
		"TERM=xterm FORCE_HYPERLINK=1":                                                true,
		"TERM=xterm-kitty FORCE_HYPERLINK=0":                                          false,
		"TERM=xterm-256color TERM_PROGRAM=iTerm.app TERM_PROGRAM_VERSION=nonsense.10": false,
	} {
		if got := drawsLinks(strings.Fields(environ)); got != want {
			t.Errorf("%s: %v", environ, got)
		}
	}
}

// Nothing foreign gets into the sequence of a link, and what is no terminal gets none.
func TestLink(t *testing.T) {
	t.Parallel()
	term := &Terminal{links: true}
	const target = "https://acme.example/authorize?state=a%20b"
	if got := term.Link(target); got != "\x1b]8;;"+target+"\x1b\\"+target+"\x1b]8;;\x1b\\" {
		t.Errorf("%q", got)
	}
	for _, foreign := range []string{
		"https://acme.example/\x1b\\\x1b]0;owned\a", "https://acme.example/\a", "https://acme.example/\u009c",
		"https://acme.example/a b", "https://acme.example/\u202e", "javascript:alert(1)", "file:///etc/passwd", "",
		"https://acme.example/" + strings.Repeat("a", longestLink),
	} {
		if got := term.Link(foreign); got != foreign {
			t.Errorf("%q became %q", foreign, got)
		}
	}
	var out strings.Builder
	plain := New(nil, &out, []string{"TERM=xterm-kitty", "FORCE_HYPERLINK=1"}, func() bool { return true })
	if got := plain.Link(target); got != target {
		t.Errorf("without a terminal: %q", got)
	}
}
