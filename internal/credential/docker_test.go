package credential_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// docker gets a token for the listed registry alone, however the registry is written.
func FuzzDocker(f *testing.F) {
	for _, seed := range []string{
		listed, "https://" + listed + "/v2/", listed + "\n", "http://" + listed, listed + ":443", listed + ":5000",
		"user@" + listed, listed + ".", listed + "\\.evil.example", "evil.example/" + listed, listed + "%2e", "://" + listed,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, server string) {
		var out bytes.Buffer
		handed, err := run(credential.Docker, &out, server, "get")
		if (err == nil) != handed || handed != strings.Contains(out.String(), secret) {
			t.Fatalf("error %v, and a token: %t", err, handed)
		}
		if !handed {
			return
		}
		name := strings.ToLower(strings.TrimSpace(server))
		name = strings.TrimPrefix(name, "https://")
		if end := strings.IndexAny(name, "/?#"); end >= 0 {
			name = name[:end]
		}
		if strings.TrimSuffix(name, ":443") != listed {
			t.Errorf("a token for %q", server)
		}
	})
}
