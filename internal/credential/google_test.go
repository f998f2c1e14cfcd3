package credential_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// Google's libraries get no token for a resource of a host that is not listed.
func FuzzGoogle(f *testing.F) {
	for _, seed := range []string{
		"//git.acme.example/locations/global/workforcePools/p/providers/x", "//git.acme.example", "https://git.acme.example",
		"//evil.example/git.acme.example", "//git.acme.example@evil.example/",
		"//git.acme.example\n/", "//git.acme.example./",
	} {
		f.Add(seed, "urn:ietf:params:oauth:token-type:id_token")
	}
	f.Fuzz(func(t *testing.T, audience, tokenType string) {
		var out bytes.Buffer
		var s source
		c := s.call(&out, "")
		c.Lookup = func(name string) string {
			return map[string]string{
				"GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE": audience, "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE": tokenType,
			}[name]
		}
		err := credential.Google(context.Background(), c)
		if (err == nil) != s.handed || s.handed != strings.Contains(out.String(), secret) {
			t.Fatalf("error %v, and a token: %t", err, s.handed)
		}
		if s.handed && (!leadsToListed("https:"+audience, "https") || !strings.HasPrefix(audience, "//")) {
			t.Errorf("a token for %q", audience)
		}
	})
}
