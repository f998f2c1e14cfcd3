package credential_test

import (
	"context"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
)

var errHanded = errors.New("a token would be handed out")

// dry is asked for a token and hands out none, so that nothing is sent.
type dry struct{ asked int }

func (d *dry) Token(context.Context, credential.Ask) (credential.Token, error) {
	d.asked++
	return credential.Token{}, errHanded
}

func (*dry) Refused(context.Context, credential.Ask, provider.Secret) error { return nil }

// No flag sends an ID token to another place than a host that is listed for ID tokens, or AWS's own service.
func FuzzAWS(f *testing.F) {
	for _, seed := range []string{
		"https://" + listed, "https://git.acme.example:443/sts/", "https://sts.amazonaws.com/", "https://access.acme.example",
		"https://sts.eu-west-1.amazonaws.com", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
		"https://sts.s3-us-west-2.amazonaws.com", "https://sts.cn-north-1.amazonaws.com.cn",
		"https://amazonaws.com.evil.example",
		"https://git.acme.example@evil.example", "https://evil.example#.amazonaws.com",
		"https://evil.example\\.amazonaws.com", "https://git.acme.example\r\n.evil.example",
		"https://x.execute-api.eu-west-1.amazonaws.com", "http://git.acme.example",
		"https://git.acme.example./", "https://git.acme.example%2eevil.example", "https://sts.amazonaws.com:8443",
	} {
		f.Add(seed)
	}
	mayGo := regexp.MustCompile(`(?i)^(git\.acme\.example|sts(-fips)?(\.[a-z]{2}-[a-z0-9-]+)?\.amazonaws\.com(\.cn)?|` +
		`[a-z0-9_-]+\.sts(-fips)?\.[a-z]{2}-[a-z0-9-]+\.vpce\.amazonaws\.com(\.cn)?)$`)
	f.Fuzz(func(t *testing.T, endpoint string) {
		var d dry
		aws := credential.AWS{RoleARN: "arn:aws:iam::123456789012:role/dev", Endpoint: endpoint}
		err := aws.Run(context.Background(), credential.Call{
			Lookup: func(string) string { return "" }, Stdin: strings.NewReader(""), Stdout: io.Discard,
			Hosts:  hosts.List{{Pattern: listed, Token: hosts.IDToken}, {Pattern: "access.acme.example"}},
			Tokens: func() (credential.Tokens, error) { return &d, nil },
			Now:    time.Now, Explain: error.Error,
		})
		if errors.Is(err, errHanded) != (d.asked > 0) || err == nil {
			t.Fatalf("error %v, and %d times asked for a token", err, d.asked)
		}
		if d.asked == 0 || endpoint == "" {
			return
		}
		u, err := url.Parse(endpoint) // what net/http makes of it
		if err != nil || !strings.EqualFold(u.Scheme, "https") || u.User != nil || !mayGo.MatchString(u.Hostname()) ||
			u.Port() != "" && u.Port() != "443" {
			t.Errorf("a token for %q", endpoint)
		}
	})
}
