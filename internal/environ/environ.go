// Package environ reads environments, in the form that os.Environ returns them: which variables are secrets, and what
// they tell of the terminal's surroundings.
package environ

import (
	"runtime"
	"slices"
	"strings"
)

// Lookup returns the last value that an environment gives to a variable, or "".
// Windows does not tell upper case from lower case in the names of variables.
func Lookup(environ []string, name string) string {
	for _, pair := range slices.Backward(environ) {
		if len(pair) <= len(name) || pair[len(name)] != '=' {
			continue
		}
		if key := pair[:len(name)]; key == name || runtime.GOOS == "windows" && strings.EqualFold(key, name) {
			return pair[len(name)+1:]
		}
	}
	return ""
}

// isSecret reports whether a variable holds one of loopkey's own secrets.
func isSecret(name string) bool {
	switch strings.ToUpper(name) {
	case "LOOPKEY_CLIENT_SECRET", "AUTH0_CLIENT_SECRET", "LOOPKEY_PASSPHRASE", "LOOPKEY_CI_TOKEN":
		return true
	}
	return false
}

// Secrets returns the values of the variables that hold loopkey's own secrets.
func Secrets(environ []string) []string {
	var values []string
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); isSecret(name) && value != "" {
			values = append(values, value)
		}
	}
	return values
}

// WithoutSecrets returns a copy of an environment for a program that loopkey starts:
// a browser or a person's own command needs none of loopkey's secrets.
func WithoutSecrets(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, pair := range environ {
		if name, _, _ := strings.Cut(pair, "="); !isSecret(name) {
			kept = append(kept, pair)
		}
	}
	return kept
}

// Without returns a copy of an environment without variables of these names.
func Without(environ []string, names ...string) []string {
	kept := make([]string, 0, len(environ))
	for _, pair := range environ {
		key, _, _ := strings.Cut(pair, "=")
		isNamed := func(name string) bool {
			return key == name || runtime.GOOS == "windows" && strings.EqualFold(key, name)
		}
		if !slices.ContainsFunc(names, isNamed) {
			kept = append(kept, pair)
		}
	}
	return kept
}
