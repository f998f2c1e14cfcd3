package setup

import "strings"

// mark returns the name of a tool's block in its configuration, so that each profile has its own.
func (t *Tool) mark(o Options) string {
	name := "loopkey setup " + t.Name
	if o.Profile != "" {
		name += " --profile " + o.Profile
	}
	if t.Name == "aws" {
		name += " " + o.name()
	}
	return name
}

const (
	begin = "# >>> "
	end   = "# <<< "
)

// put returns a text with lines in the block of a name: where the block was, or at the end.
func put(text, name, lines string) string {
	block := begin + name + "\n" + strings.TrimRight(lines, "\n") + "\n" + end + name + "\n"
	if before, after, ok := around(text, name); ok {
		return before + block + after
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if text != "" {
		text += "\n"
	}
	return text + block
}

// cut returns a text without the block of a name.
func cut(text, name string) string {
	before, after, ok := around(text, name)
	if !ok {
		return text
	}
	if after == "" {
		return strings.TrimSuffix(before, "\n") // the empty line that put wrote
	}
	return before + after
}

// around returns what is before and after the block of a name.
func around(text, name string) (before, after string, ok bool) {
	first, last := begin+name+"\n", end+name+"\n"
	start := strings.Index(text, first)
	if start < 0 || start > 0 && text[start-1] != '\n' {
		return "", "", false
	}
	length := strings.Index(text[start:], last)
	if length < 0 {
		return "", "", false
	}
	return text[:start], text[start+length+len(last):], true
}
