package hosts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// Tools are the tools that an entry may name.
func Tools() []string {
	return []string{
		"agent", "aws", "bazel", "cargo", "docker", "git", "go", "google", "kubernetes", "proxy", "python", "terraform",
	}
}

// Parse returns the hosts of a profile, as a TOML decoder gives them. Its errors name the entry and quote no value but
// a host's name.
func Parse(tables any) (List, error) {
	entries, ok := tables.([]any)
	if !ok {
		return nil, errors.New("hosts must be tables [[profile.NAME.hosts]]")
	}
	var l List
	for i, entry := range entries {
		table, ok := entry.(map[string]any)
		if !ok {
			return nil, errors.New("hosts must be tables [[profile.NAME.hosts]]")
		}
		h, err := parseEntry(table)
		if err != nil {
			return nil, fmt.Errorf("hosts, entry %d: %w", i+1, err)
		}
		if slices.ContainsFunc(l, func(o Host) bool { return o.Pattern == h.Pattern && o.Port == h.Port }) {
			return nil, fmt.Errorf("hosts, entry %d: %s is listed twice", i+1, h.String())
		}
		l = append(l, h)
	}
	return l, nil
}

func parseEntry(table map[string]any) (Host, error) {
	var h Host
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if key == "tools" {
			tools, err := parseTools(table[key])
			if err != nil {
				return h, err
			}
			h.Tools = tools
			continue
		}
		text, ok := table[key].(string)
		if !ok {
			return h, fmt.Errorf("%q must be text in quotes", words.Printable(key))
		}
		if err := h.set(key, text); err != nil {
			return h, err
		}
	}
	if h.Token == IDToken && (h.ACR != "" || h.MaxAge > 0) {
		return h, errors.New("acr_values and max_age are for access tokens")
	}
	if h.Pattern == "" {
		return h, errors.New(`it has no host, such as host = "git.acme.example"`)
	}
	return h, nil
}

// set sets one value of an entry.
func (h *Host) set(key, text string) error {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%q is empty or has a control character", words.Printable(key))
	}
	switch key {
	case "host":
		return h.setHost(text)
	case "audience":
		h.Audience = text
	case "scope":
		h.Scope = strings.Join(strings.Fields(text), " ")
	case "username":
		h.Username = text
	case "acr_values":
		h.ACR = strings.Join(strings.Fields(text), " ")
	case "max_age":
		age, err := time.ParseDuration(text)
		if err != nil || age < time.Second {
			return errors.New(`max_age is how long ago the authentication may be, at most, such as "10m"`)
		}
		h.MaxAge = age.Truncate(time.Second)
	case "token":
		h.Token = text
		return oneOf(key, text, AccessToken, IDToken)
	case "authtype":
		h.AuthType = text
		return oneOf(key, text, "basic", "bearer")
	case "authorization":
		h.Authorization = text
		return oneOf(key, text, "bearer", "raw")
	default:
		return fmt.Errorf("%q is no key of a host: there are host, audience, scope, token, username, tools, "+
			"acr_values, max_age, authtype and authorization", words.Printable(key))
	}
	return nil
}

func oneOf(key, text string, values ...string) error {
	if slices.Contains(values, text) {
		return nil
	}
	return fmt.Errorf(`%s must be "%s"`, key, strings.Join(values, `" or "`))
}

// setHost reads a host of an entry.
func (h *Host) setHost(text string) error {
	below, wildcard := strings.CutPrefix(text, "*.")
	if strings.Contains(below, "://") {
		return fmt.Errorf("the host %q is a URL: leave out what is before and after the host", words.Printable(text))
	}
	name, port, err := split(below)
	if err != nil {
		return fmt.Errorf("the host %q is no host, host:port or *.host: a name of another script is written as punycode",
			words.Printable(text))
	}
	if wildcard && (isLoopback(name) || !strings.Contains(name, ".")) {
		return fmt.Errorf("the host %q covers too much", words.Printable(text))
	}
	if port == defaultPort("https") {
		port = 0
	}
	h.Pattern, h.Port = name, port
	if wildcard {
		h.Pattern = "*." + name
	}
	return nil
}

func parseTools(written any) ([]string, error) {
	list, ok := written.([]any)
	if !ok || len(list) == 0 {
		return nil, errors.New(`tools must be a list, such as ["git", "go"]`)
	}
	var tools []string
	for _, entry := range list {
		tool, ok := entry.(string)
		if !ok || !slices.Contains(Tools(), tool) {
			return nil, fmt.Errorf("tools has one that is not known: there are %s", strings.Join(Tools(), ", "))
		}
		tools = append(tools, tool)
	}
	return tools, nil
}
