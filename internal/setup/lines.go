package setup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// goAuth is what GOAUTH is while nothing sets it.
const goAuth = "netrc"

// goCommand is loopkey's part of GOAUTH, which is split as a shell splits, but for the semicolon.
func goCommand(o Options) string { return words.Shell(o.words("credential", "go")...) }

func goLines(o Options) string {
	return "go env -w GOAUTH=" + words.Shell(goCommand(o)+"; "+goAuth) + "\n"
}

// goFile returns the file that `go env -w` writes.
func goFile(o Options) string {
	if path := o.Lookup("GOENV"); path != "" && path != "off" {
		return path
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "go", "env")
}

func goEdit(content string, o Options) (string, error) {
	return setLine(content, "GOAUTH=", func(value string, set bool) string {
		if !set {
			value = goAuth
		}
		if strings.Contains(value, goCommand(o)) {
			return value
		}
		return goCommand(o) + "; " + value
	}), nil
}

func goUndo(content string, o Options) string {
	return setLine(content, "GOAUTH=", func(value string, _ bool) string {
		var others []string
		for part := range strings.SplitSeq(value, ";") {
			if part = strings.TrimSpace(part); part != "" && part != goCommand(o) {
				others = append(others, part)
			}
		}
		if rest := strings.Join(others, "; "); rest != goAuth {
			return rest
		}
		return ""
	})
}

// setLine replaces what follows a prefix on the line that begins with it, or adds that line. An empty value takes the
// line away.
func setLine(content, prefix string, change func(value string, set bool) string) string {
	var b strings.Builder
	found := false
	for line := range strings.Lines(content) {
		value, ok := strings.CutPrefix(line, prefix)
		if !ok || found {
			b.WriteString(line)
			continue
		}
		found = true
		if value = change(strings.TrimRight(value, "\r\n"), true); value != "" {
			b.WriteString(prefix + value + "\n")
		}
	}
	if !found {
		if value := change("", false); value != "" {
			if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
				b.WriteByte('\n')
			}
			b.WriteString(prefix + value + "\n")
		}
	}
	return b.String()
}

// cargoProvider is loopkey among cargo's credential providers, which are split at spaces.
func cargoProvider(o Options) string { return strings.Join(o.words(), " ") }

const cargoKey = "global-credential-providers"

func cargoLines(o Options) string {
	return "[registry]\n" + cargoKey + " = " + list([]string{"cargo:token", cargoProvider(o)}) + "\n"
}

// cargoEdit adds the block. TOML has each table once, so a file that has [registry] gets the key below that line.
func cargoEdit(content string, o Options) (string, error) {
	if strings.Contains(o.Program, " ") {
		return "", fmt.Errorf("%w: cargo splits the path of loopkey at its spaces: put loopkey into PATH", ErrCannotEdit)
	}
	t := Find("cargo")
	rest := cut(content, t.mark(o))
	table := -1
	at := 0
	for line := range strings.Lines(rest) {
		at += len(line)
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, cargoKey):
			return "", fmt.Errorf("%w: it sets %s already: add %s to that", ErrCannotEdit, cargoKey, text(cargoProvider(o)))
		case trimmed == "[registry]":
			table = at
		}
	}
	if table < 0 {
		return put(content, t.mark(o), cargoLines(o)), nil
	}
	_, key, _ := strings.Cut(cargoLines(o), "\n")
	return rest[:table] + put("", t.mark(o), key) + rest[table:], nil
}
