package credential_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/provider"
)

// Bazel never gets a token for input that names no listed host, whatever else is in it.
func FuzzBazel(f *testing.F) {
	for _, seed := range []string{
		`{"uri":"https://git.acme.example/a"}`, `{"uri":"grpcs://git.acme.example/a.B/C","more":[{"uri":"x"}]}`,
		`{"uri":"https://evil.example","URI":"https://git.acme.example"}`, `{"uri":["https://git.acme.example"]}`,
		`{"uri":"https://evil.example","uri":"https://git.acme.example"}`, `{"uri":"https://git.acme.example"}{}`,
		`{"uri":"https:\/\/git.acme.example\u002fa"}`, `{"uri":"https://evil.example\\@git.acme.example"}`, `null`, `{`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		var out bytes.Buffer
		handed, err := run(credential.Bazel, &out, input, "get")
		if (err == nil) != handed || handed != strings.Contains(out.String(), secret) || !handed && out.Len() > 0 {
			t.Fatalf("error %v, a token: %t, output %q", err, handed, out.String())
		}
		if !handed {
			return
		}
		var request map[string]any // as a client has it that compares names exactly
		if err := json.Unmarshal([]byte(input), &request); err != nil {
			t.Fatalf("a token for %q: %v", input, err)
		}
		if uri := request["uri"].(string); !leadsToListed(uri, "https", "grpcs") {
			t.Errorf("a token for %q", uri)
		}
	})
}

// What is no request of Bazel's is an error.
func TestBazelRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"uri":"https://` + listed + `/a"}`
	for name, c := range map[string]struct {
		args, input string
		want        error
	}{
		"no operation":           {"", good, credential.ErrInput},
		"another operation":      {"store", good, credential.ErrInput},
		"more arguments":         {"get x", good, credential.ErrInput},
		"nothing":                {"get", "", credential.ErrInput},
		"no object":              {"get", `["uri"]`, credential.ErrInput},
		"no uri":                 {"get", `{"url":"https://` + listed + `"}`, credential.ErrInput},
		"a uri that is no text":  {"get", `{"uri":null}`, credential.ErrInput},
		"two uris":               {"get", `{"uri":"https://a.example","uri":"https://` + listed + `"}`, credential.ErrInput},
		"more after the request": {"get", good + good, credential.ErrInput},
		"too much":               {"get", good + strings.Repeat(" ", 1<<20), credential.ErrInput},
		"another host":           {"get", `{"uri":"https://evil.example/"}`, credential.ErrUnlisted},
		"plain grpc":             {"get", `{"uri":"grpc://` + listed + `/a/b"}`, credential.ErrUnlisted},
		"another port":           {"get", `{"uri":"https://` + listed + `:8443/"}`, credential.ErrUnlisted},
	} {
		var out bytes.Buffer
		handed, err := run(credential.Bazel, &out, c.input, strings.Fields(c.args)...)
		if handed || !errors.Is(err, c.want) || out.Len() > 0 {
			t.Errorf("%s: %v is not %v; a token: %t; output %q", name, err, c.want, handed, out.String())
		}
	}
}

// stuck has a renewal that comes to no end, and perhaps a token that still lives.
type stuck struct {
	living string
	lives  time.Duration
}

func (s stuck) Token(ctx context.Context, a credential.Ask) (credential.Token, error) {
	if !a.Stored {
		<-ctx.Done()
		return credential.Token{}, context.Cause(ctx)
	}
	if s.lives <= a.MinLifetime {
		return credential.Token{}, nil
	}
	return credential.Token{Secret: provider.NewSecret(s.living), Expiry: time.Now().Add(s.lives)}, nil
}

func (stuck) Refused(context.Context, credential.Ask, provider.Secret) error { return nil }

// Bazel gives up after ten seconds: until then it has a token, perhaps one that should have been renewed, or an error.
func TestBazelLimit(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]stuck{"a token that lives": {secret, 30 * time.Second}, "none": {}} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			call := (&source{}).call(&out, `{"uri":"grpcs://`+listed+`/a.B/C"}`, "get")
			call.MinLifetime = time.Minute
			call.Tokens = func() (credential.Tokens, error) { return s, nil }
			began := time.Now()
			err := credential.Bazel(t.Context(), call)
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("%s: it took %s", name, took)
			}
			if (err == nil) != (s.living != "") || (err == nil) != strings.Contains(out.String(), secret) {
				t.Errorf("%s: %v, and the reply is %q", name, err, out.String())
			}
		})
	}
}
