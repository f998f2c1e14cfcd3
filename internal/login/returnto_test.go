package login_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/login"
)

func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "/profile?x=1", "//evil.example", `/\evil.example`, "https:evil.example",
		"/%2Fevil.example", "/%5Cevil", "/a/..//evil", "/.//evil", "/\tevil", "/%09/evil", "http://localhost/x", "/x#y"} {
		f.Add(seed)
	}
	home, err := url.Parse("http://localhost:3000/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, ok := login.ReturnTo(raw)
		if !ok {
			return
		}
		u, err := url.Parse(path)
		if err != nil {
			t.Fatalf("ReturnTo(%q) is no URL: %q", raw, path)
		}
		if home.ResolveReference(u).Host != home.Host || strings.HasPrefix(path, "//") ||
			strings.ContainsAny(path, "\\\t\r\n") {
			t.Errorf("ReturnTo(%q) leaves our origin: %q", raw, path)
		}
		if again, ok := login.ReturnTo(path); !ok || again != path {
			t.Errorf("ReturnTo(%q) is not stable: %q then %q (%v)", raw, path, again, ok)
		}
	})
}
