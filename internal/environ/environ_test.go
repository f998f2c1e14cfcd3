package environ

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	environ := []string{"A=1", "AB=2", "a=3", "B=first", "B=last", "EMPTY=full", "EMPTY=", "broken", "=C:=x"}
	if runtime.GOOS == "windows" {
		environ = slices.DeleteFunc(environ, func(pair string) bool { return pair == "a=3" })
	}
	for name, want := range map[string]string{"A": "1", "AB": "2", "B": "last", "EMPTY": "", "broken": "", "C": ""} {
		if got := Lookup(environ, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	environ := []string{
		"A=1", "LOOPKEY_CLIENT_SECRET=x", "AUTH0_CLIENT_SECRET=x", "LOOPKEY_PASSPHRASE=x",
		"LOOPKEY_PASSPHRASES=2", "AUTH0_CLIENT_ID=y", "=C:=x", "broken",
	}
	before := slices.Clone(environ)
	want := []string{"A=1", "LOOPKEY_PASSPHRASES=2", "AUTH0_CLIENT_ID=y", "=C:=x", "broken"}
	if got := WithoutSecrets(environ); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(environ, before) {
		t.Errorf("the environment that was given became %q", environ)
	}
}

// A URL is too long for the launchers of Windows alone, which WSL uses too.
func TestTooLong(t *testing.T) {
	t.Parallel()
	long := "https://provider.example.com/authorize?x=" + strings.Repeat("a", longestLaunched)
	for name, c := range map[string]struct {
		environ []string
		target  string
		want    bool
	}{
		"WSL":                {[]string{"WSL_INTEROP=/run/x"}, long, runtime.GOOS == "linux" || runtime.GOOS == "windows"},
		"WSL, another name":  {[]string{"WSL_DISTRO_NAME=D"}, long, runtime.GOOS == "linux" || runtime.GOOS == "windows"},
		"the longest in WSL": {[]string{"WSL_INTEROP=/run/x"}, long[:longestLaunched], false},
		"no WSL":             {[]string{"WSL_INTEROP="}, long, runtime.GOOS == "windows"},
	} {
		if got := TooLong(c.environ, c.target); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
