package credential_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// git never gets a token for input that names no listed host, whatever else is in it.
func FuzzGit(f *testing.F) {
	for _, seed := range []string{
		"protocol=https\nhost=git.acme.example\n\n",
		"protocol=https\nhost=git.acme.example\r\nhost=evil.example\n",
		"protocol=https\nhost=evil.example\nhost=git.acme.example\n",
		"protocol=https\nhost=git.acme.example\nhost=evil.example\n",
		"protocol=https\nhost=git.acme.example\x00\n", "protocol=http\nhost=git.acme.example\n", "host=\nprotocol=https\n",
		"capability[]=authtype\nprotocol=https\nhost=git.acme.example\nwwwauth[]=Bearer\nwwwauth[]=\n\nhost=x\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input string) {
		var out bytes.Buffer
		handed, err := run(credential.Git, &out, input, "get")
		if (err == nil) != handed || handed != strings.Contains(out.String(), secret) {
			t.Fatalf("error %v, and a token: %t", err, handed)
		}
		if !handed {
			if out.Len() > 0 {
				t.Errorf("without a token the reply is %q", out.String())
			}
			return
		}
		// What git itself takes for the host: the last one before the first empty line.
		request, _, _ := strings.Cut(strings.ReplaceAll(input, "\r\n", "\n"), "\n\n")
		host := ""
		for line := range strings.Lines(request) {
			if value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "host="); ok {
				host = value
			}
		}
		if !strings.EqualFold(strings.TrimSuffix(host, ":443"), listed) || strings.HasPrefix(input, "\n") {
			t.Errorf("a token for %q", input)
		}
		if strings.Count(out.String(), "\n") > 5 {
			t.Errorf("input came through into the reply: %q", out.String())
		}
	})
}

// A helper that took a carriage return for the end of a line gave other hosts' credentials away (CVE-2024-52006).
func TestGitRefuses(t *testing.T) {
	t.Parallel()
	const head = "protocol=https\nhost=" + listed + "\n"
	for name, c := range map[string]struct {
		input string
		want  error
	}{
		"a carriage return in a value": {"protocol=https\nhost=evil.example\rhost=" + listed + "\n\n", credential.ErrInput},
		"a carriage return at the end": {"protocol=https\nhost=" + listed + "\r", credential.ErrInput},
		"NUL":                          {"protocol=https\nhost=" + listed + "\x00.evil.example\n\n", credential.ErrInput},
		"no =":                         {"protocol=https\nhost=" + listed + "\nquit\n\n", credential.ErrInput},
		"no host":                      {"protocol=https\nhost=\n\n", credential.ErrInput},
		"no protocol":                  {"host=" + listed + "\n\n", credential.ErrInput},
		"a long line":                  {head + "path=" + strings.Repeat("a", 65536), credential.ErrInput},
		"too much":                     {head + strings.Repeat("a=b\n", 1<<19), credential.ErrInput},
		"ssh":                          {"protocol=ssh\nhost=" + listed + "\n\n", credential.ErrUnlisted},
		"another host":                 {"protocol=https\nhost=evil.example\n\n", credential.ErrUnlisted},
		"a user before the host":       {"protocol=https\nhost=evil@" + listed + "\n\n", credential.ErrUnlisted},
		"a path in the host":           {"protocol=https\nhost=" + listed + "/\n\n", credential.ErrUnlisted},
	} {
		var out bytes.Buffer
		if handed, err := run(credential.Git, &out, c.input, "get"); handed || !errors.Is(err, c.want) || out.Len() > 0 {
			t.Errorf("%s: %v is not %v; a token: %t; output %q", name, err, c.want, handed, out.String())
		}
	}
}

// The names under which tools run a bare program.
func TestArguments(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"loopkey token":                                    "token",
		"/opt/bin/git-credential-loopkey get":              "credential git get",
		"git-credential-loopkey-work get":                  "--profile work credential git get",
		"docker-credential-loopkey get":                    "credential docker get",
		"DOCKER-credential-loopkey.EXE get":                "credential docker get",
		"terraform-credentials-loopkey -p work get host":   "credential terraform -p work get host",
		"bazel-credential-loopkey get":                     "credential bazel get",
		"loopkey --cargo-plugin":                           "credential cargo",
		"cargo-credential-loopkey --cargo-plugin":          "credential cargo",
		"kubectl-oidc_login get-token --oidc-client-id=a":  "credential kubernetes get-token --oidc-client-id=a",
		"loopkey oidc-login get-token --oidc-client-id=a":  "credential kubernetes get-token --oidc-client-id=a",
		"keyring get https://pypi.acme.example/simple/ me": "credential python get https://pypi.acme.example/simple/ me",
		"git-credential-loopkeyx get":                      "get",
		"loopkey":                                          "",
	} {
		if got := strings.Join(credential.Arguments(strings.Fields(line)), " "); got != want {
			t.Errorf("%s is %q, not %q", line, got, want)
		}
	}
}
