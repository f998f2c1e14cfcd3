package credential_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// keyring never gets a token for a URL or a name that leads to no listed host.
func FuzzPython(f *testing.F) {
	for _, seed := range []string{
		"https://git.acme.example/simple/", "git.acme.example", "git.acme.example:443", "http://git.acme.example/simple/",
		"https://git.acme.example@evil.example/", "evil.example/git.acme.example",
		"https://git.acme.example\r\n.evil.example/",
		"git.acme.example.", "ftp://git.acme.example", "https://evil.example\\@git.acme.example/", "git.acme.example:8443",
	} {
		f.Add(seed, "oauth2", true)
	}
	f.Fuzz(func(t *testing.T, service, username string, creds bool) {
		var out bytes.Buffer
		python := credential.Python{Mode: "password"}
		if creds {
			python.Mode = "creds"
		}
		handed, err := run(func(ctx context.Context, c credential.Call) error { return python.Run(ctx, c) },
			&out, "", "get", service, username)
		if (err == nil) != (out.Len() > 0) || !handed && out.Len() > 0 {
			t.Fatalf("error %v, and the reply %q", err, out.String())
		}
		if !handed {
			return
		}
		if !strings.Contains(service, "://") {
			service = "https://" + service
		}
		if !leadsToListed(strings.ToLower(service[:5])+service[5:], "https") {
			t.Errorf("a token for %q", service)
		}
		if lines := strings.Count(out.String(), "\n"); lines > 2 || lines == 2 && !creds {
			t.Errorf("input came through into the reply: %q", out.String())
		}
	})
}
