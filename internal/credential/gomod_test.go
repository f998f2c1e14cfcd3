package credential_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// go never gets a token for a URL of another host, whatever the URL and the response hold.
func FuzzGo(f *testing.F) {
	for _, seed := range []string{
		"https://git.acme.example/mod/@v/list", "https://GIT.acme.example:443/", "http://git.acme.example/",
		"https://git.acme.example\r\n\r\nhttps://evil.example", "https://evil.example/git.acme.example",
		"https://evil.example#@git.acme.example", "https://a@git.acme.example/", "https://git.acme.example.", "",
	} {
		f.Add(seed, "HTTP/1.1 401 Unauthorized\nWww-Authenticate: Bearer\n\n")
	}
	f.Fuzz(func(t *testing.T, raw, response string) {
		var out bytes.Buffer
		handed, err := run(credential.Go, &out, response, raw)
		if (err == nil) != handed || handed != strings.Contains(out.String(), secret) || !handed && out.Len() > 0 {
			t.Fatalf("error %v, a token: %t, output %q", err, handed, out.String())
		}
		if !handed {
			return
		}
		if !leadsToListed(raw, "https") {
			t.Errorf("a token for %q", raw)
		}
		host, _, _ := strings.Cut(strings.TrimPrefix(raw, "https://"), "/")
		host, _, _ = strings.Cut(host, "?")
		host, _, _ = strings.Cut(host, "#")
		if want := "https://" + host + "\n\nAuthorization: Bearer " + secret + "\n\n"; out.String() != want {
			t.Errorf("the reply for %q is %q", raw, out.String())
		}
	})
}

// Only a response that refuses a token is taken for one.
func TestGoRefuses(t *testing.T) {
	t.Parallel()
	const plain, challenge = "https://" + listed + "/x", "\nWww-Authenticate: Bearer\n\n"
	const port = "https://" + listed + ":443/x" // go knows no default ports, so it got no token for this one before
	for name, c := range map[string]struct {
		url, response string
		want          bool
	}{
		"401":                      {plain, "HTTP/1.1 401 Unauthorized" + challenge, true},
		"401 over HTTP/2":          {plain, "HTTP/2.0 401 Unauthorized\n\n", true},
		"403":                      {plain, "HTTP/1.1 403 Forbidden\n\n", false},
		"404":                      {plain, "HTTP/1.1 404 Not Found\nX: 401 invalid_token\n\n", false},
		"410":                      {plain, "HTTP/1.1 410 Gone\n\n", false},
		"by hand":                  {plain, "", false},
		"no response":              {plain, "FTP 401\n\n", false},
		"no token was sent":        {port, "HTTP/1.1 401 Unauthorized" + challenge, false},
		"a bad token was sent":     {port, "HTTP/1.1 401 No\nWww-Authenticate: Bearer error=\"invalid_token\"\n\n", true},
		"no token by upper case":   {"https://" + strings.ToUpper(listed), "HTTP/1.1 401 Unauthorized\n\n", false},
		"another host, though 401": {"https://evil.example/x", "HTTP/1.1 401 Unauthorized\n\n", false},
	} {
		var s source
		call := s.call(new(bytes.Buffer), c.response, c.url)
		_ = credential.Go(t.Context(), call)
		if s.refused != c.want {
			t.Errorf("%s: reported: %t", name, s.refused)
		}
	}
}
