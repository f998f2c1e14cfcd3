package setup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// An object is a JSON object whose members stay as they are written.
type object = map[string]json.RawMessage

// dockerHelper is the name after docker-credential-.
func dockerHelper(o Options) string {
	if o.Profile != "" {
		return "loopkey-" + o.Profile
	}
	return "loopkey"
}

func dockerLines(o Options) string {
	var entries []string
	for _, host := range o.Hosts {
		entries = append(entries, text(host)+": "+text(dockerHelper(o)))
	}
	return "{\n  \"credHelpers\": {" + strings.Join(entries, ", ") + "}\n}\n"
}

func dockerEdit(content string, o Options) (string, error) {
	return editMember(content, "credHelpers", func(helpers object) error {
		for _, host := range o.Hosts {
			if strings.HasPrefix(host, "*") {
				return fmt.Errorf("%w: docker has no names like %s: give each registry", ErrCannotEdit, host)
			}
			helpers[host] = json.RawMessage(text(dockerHelper(o)))
		}
		return nil
	})
}

func dockerUndo(content string, o Options) string {
	undone, err := editMember(content, "credHelpers", func(helpers object) error {
		for host, helper := range helpers {
			if string(helper) == text(dockerHelper(o)) {
				delete(helpers, host)
			}
		}
		return nil
	})
	if err != nil {
		return content
	}
	return undone
}

// googleSource returns the part of a credential configuration that runs loopkey. No shell runs it: it is split at
// spaces.
func googleSource(o Options) string {
	return fmt.Sprintf(`{"executable": {"command": %s, "timeout_millis": 30000}}`,
		text(strings.Join(o.words("credential", "google"), " ")))
}

// googleEdit makes loopkey the source of an external account that has none. Any other file stays as it is: it may hold
// a key.
func googleEdit(content string, o Options) (string, error) {
	if strings.TrimSpace(content) == "" {
		return googleLines(o), nil
	}
	var is struct {
		Type   string          `json:"type"`
		Source json.RawMessage `json:"credential_source"`
	}
	switch err := json.Unmarshal([]byte(content), &is); {
	case err != nil:
		return "", fmt.Errorf("%w: it is not JSON", ErrCannotEdit)
	case is.Type != "external_account":
		return "", fmt.Errorf("%w: its type is not external_account", ErrCannotEdit)
	case isSame(string(is.Source), googleSource(o)):
		return content, nil
	case len(is.Source) > 0:
		return "", fmt.Errorf("%w: it has another credential_source", ErrCannotEdit)
	}
	return editMember(content, "credential_source", func(source object) error {
		return json.Unmarshal([]byte(googleSource(o)), &source)
	})
}

// googleUndo takes loopkey out of a credential configuration. Of one that is loopkey's own nothing is left.
func googleUndo(content string, o Options) string {
	if isSame(content, googleLines(o)) {
		return ""
	}
	var is struct {
		Source json.RawMessage `json:"credential_source"`
	}
	if json.Unmarshal([]byte(content), &is) != nil || !isSame(string(is.Source), googleSource(o)) {
		return content
	}
	undone, err := editMember(content, "credential_source", func(source object) error {
		clear(source)
		return nil
	})
	if err != nil {
		return content
	}
	return undone
}

// isSame reports whether two texts are the same JSON, however it is spaced.
func isSame(a, b string) bool {
	var first, second bytes.Buffer
	return json.Compact(&first, []byte(a)) == nil && json.Compact(&second, []byte(b)) == nil &&
		bytes.Equal(first.Bytes(), second.Bytes())
}

func mcpServer(o Options) string {
	return fmt.Sprintf(`{"command": %s, "args": %s}`, text(o.Program), list(o.words("mcp", o.URL)[1:]))
}

func mcpLines(o Options) string {
	return fmt.Sprintf("{\n  \"mcpServers\": {\n    %s: %s\n  }\n}\n", text(o.name()), mcpServer(o))
}

func mcpEdit(content string, o Options) (string, error) {
	return editMember(content, "mcpServers", func(servers object) error {
		servers[o.name()] = json.RawMessage(mcpServer(o))
		return nil
	})
}

func mcpUndo(content string, o Options) string {
	undone, err := editMember(content, "mcpServers", func(servers object) error {
		delete(servers, o.name())
		return nil
	})
	if err != nil {
		return content
	}
	return undone
}

// editMember changes an object that is a member of a JSON object. It writes members in the order of their names, as
// docker does, with the indentation that the text has. A member that becomes empty goes.
func editMember(content, name string, change func(object) error) (string, error) {
	outer, inner := object{}, object{}
	if strings.TrimSpace(content) != "" {
		if err := json.Unmarshal([]byte(content), &outer); err != nil || outer == nil {
			return "", fmt.Errorf("%w: it is not JSON", ErrCannotEdit)
		}
	}
	if raw, ok := outer[name]; ok {
		if err := json.Unmarshal(raw, &inner); err != nil || inner == nil {
			return "", fmt.Errorf("%w: its %s is no object", ErrCannotEdit, name)
		}
	}
	if err := change(inner); err != nil {
		return "", err
	}
	delete(outer, name)
	if len(inner) > 0 {
		raw, err := json.Marshal(inner)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrCannotEdit, err)
		}
		outer[name] = raw
	}
	compact, err := json.Marshal(outer)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCannotEdit, err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", indentOf(content)); err != nil {
		return "", fmt.Errorf("%w: %w", ErrCannotEdit, err)
	}
	return b.String() + "\n", nil
}

// indentOf returns the indentation of the second line of a text; a tab if there is none.
func indentOf(content string) string {
	_, rest, _ := strings.Cut(content, "\n")
	if indent := rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))]; indent != "" {
		return indent
	}
	return "\t"
}
