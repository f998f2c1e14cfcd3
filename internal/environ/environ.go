// Package environ reads environments, in the form that os.Environ returns them.
package environ

import (
	"os"
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

// InWSL reports whether an environment is that of a Linux inside of Windows.
func InWSL(environ []string) bool {
	return runtime.GOOS == "linux" &&
		(Lookup(environ, "WSL_DISTRO_NAME") != "" || Lookup(environ, "WSL_INTEROP") != "")
}

// OverSSH reports whether the person is at another machine.
func OverSSH(environ []string) bool {
	return Lookup(environ, "SSH_CONNECTION") != "" || Lookup(environ, "SSH_TTY") != ""
}

// InContainer reports whether this is a container, as far as its tools tell.
func InContainer(environ []string) bool {
	for _, name := range []string{"REMOTE_CONTAINERS", "CODESPACES", "container"} {
		if Lookup(environ, name) != "" {
			return true
		}
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return false
}

// longestLaunched is how long a URL may be that Windows is to open: its launchers cut off what is beyond 2,048
// characters, or open nothing.
const longestLaunched = 2000

// TooLong reports whether a URL is too long for the launchers of browsers in an environment.
func TooLong(environ []string, target string) bool {
	return len(target) > longestLaunched && (runtime.GOOS == "windows" || InWSL(environ))
}
