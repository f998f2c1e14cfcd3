package terminal

import (
	"strconv"
	"strings"

	env "github.com/loopkey/loopkey/internal/environ"
)

// longestLink is how long a URL may be that a terminal takes as the target of a link: VTE drops what is longer.
const longestLink = 2083

// Link returns a URL as a link (OSC 8) where the terminal is known to draw links: a URL that fills several lines is
// one link then, wherever it is clicked. The text is the URL itself, so that nobody is led elsewhere than they read.
// In other terminals, and for what is no http URL of ASCII characters that print, it returns target as it is.
func (t *Terminal) Link(target string) string {
	if !t.links || !isLinkable(target) {
		return target
	}
	return "\x1b]8;;" + target + "\x1b\\" + target + "\x1b]8;;\x1b\\"
}

// isLinkable reports whether a text can stand in an OSC 8 sequence: nothing in it ends the sequence or begins another.
func isLinkable(target string) bool {
	return len(target) <= longestLink &&
		(strings.HasPrefix(target, "https://") || strings.HasPrefix(target, "http://")) &&
		!strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c > '~' })
}

// drawsLinks reports whether a terminal is known to draw links, as environ tells. FORCE_HYPERLINK overrides what is
// known: 0 turns links off. What can't be known, as over SSH in most terminals, gets none.
func drawsLinks(environ []string) bool {
	get := func(name string) string { return env.Lookup(environ, name) }
	if force := get("FORCE_HYPERLINK"); force != "" {
		return force != "0"
	}
	name, program, version := get("TERM"), get("TERM_PROGRAM"), get("TERM_PROGRAM_VERSION")
	// A multiplexer hands on the variables of the terminal around it, which says nothing of itself. tmux passes links
	// on from 3.4, and only to terminals that draw them; before that, and in screen, they are lost or garble the line.
	if get("TMUX") != "" || get("STY") != "" || strings.HasPrefix(name, "tmux") || strings.HasPrefix(name, "screen") {
		return program == "tmux" && from(version, 3, 4)
	}
	switch name {
	case "xterm-kitty", "xterm-ghostty", "alacritty", "alacritty-direct", "foot", "foot-extra", "wezterm", "contour":
		return true
	}
	switch program {
	case "WezTerm", "ghostty", "mintty", "rio":
		return true
	case "iTerm.app":
		return from(version, 3, 1)
	case "vscode":
		return from(version, 1, 72)
	}
	vte, _ := strconv.Atoi(get("VTE_VERSION")) // 0.50.1 is 5001; 0.50.0 crashes
	return vte > 5000 || get("WT_SESSION") != "" || get("KONSOLE_VERSION") != ""
}

// from reports whether a version such as 3.4a is major.minor or a later one.
func from(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	a, err := strconv.Atoi(first)
	b, _ := strconv.Atoi(second)
	return err == nil && (a > major || a == major && b >= minor)
}
