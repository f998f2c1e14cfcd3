package credential_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// Terraform never gets a token for another host than a listed one.
func FuzzTerraform(f *testing.F) {
	for _, seed := range []string{
		"git.acme.example", "GIT.acme.example:443", "git.acme.example:8443", "git.acme.example.", "a@git.acme.example",
		"git.acme.example/", "evil.example#git.acme.example", "git.acme.example\x00", "git.acme.example\n", "", "-h",
	} {
		f.Add("get", seed)
		f.Add("forget", seed)
	}
	f.Fuzz(func(t *testing.T, operation, host string) {
		var out bytes.Buffer
		handed, err := run(credential.Terraform, &out, "", operation, host)
		if operation == "get" && (err == nil) != handed || operation != "get" && (handed || out.Len() > 0) {
			t.Fatalf("%s: error %v, a token: %t", operation, err, handed)
		}
		if !handed && out.Len() > 0 || handed && out.String() != `{"token":"`+secret+`"}`+"\n" {
			t.Fatalf("the reply is %q", out.String())
		}
		if handed && !strings.EqualFold(strings.TrimSuffix(host, ":443"), listed) {
			t.Errorf("a token for %q", host)
		}
	})
}

// What Terraform does not ask, and what loopkey does not do for it.
func TestTerraformRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]error{
		"":                        credential.ErrInput,
		"get":                     credential.ErrInput,
		"get " + listed + " x":    credential.ErrInput,
		"list " + listed:          credential.ErrInput,
		"store " + listed:         credential.ErrStores,
		"store evil.example":      credential.ErrStores,
		"get evil.example":        credential.ErrUnlisted,
		"get ssh://" + listed:     credential.ErrUnlisted,
		"get " + listed + ":8443": credential.ErrUnlisted,
		"forget evil.example":     nil,
	} {
		var out bytes.Buffer
		handed, err := run(credential.Terraform, &out, `{"token":"x"}`, strings.Fields(args)...)
		if handed || !errors.Is(err, want) || out.Len() > 0 {
			t.Errorf("%s: %v is not %v; a token: %t; output %q", args, err, want, handed, out.String())
		}
	}
}
