package environ

import (
	"runtime"
	"slices"
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
