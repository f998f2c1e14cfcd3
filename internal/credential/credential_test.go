package credential_test

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
)

// What the helpers of these tests may hand out, and the one host that is listed.
const (
	secret = "the-token"
	listed = "git.acme.example"
)

// source hands out one token, and remembers that it did.
type source struct{ handed, refused bool }

func (s *source) Token(context.Context, credential.Ask) (credential.Token, error) {
	s.handed = true
	return credential.Token{Secret: provider.NewSecret(secret), Expiry: time.Now().Add(time.Hour)}, nil
}

func (s *source) Refused(context.Context, credential.Ask, provider.Secret) error {
	s.refused = true
	return nil
}

// run runs a helper, and reports whether it asked for a token.
func run(
	helper func(context.Context, credential.Call) error, out io.Writer, input string, args ...string,
) (handed bool, err error) {
	var s source
	err = helper(context.Background(), s.call(out, input, args...))
	return s.handed, err
}

// call returns a run of a helper that gets its tokens of s.
func (s *source) call(out io.Writer, input string, args ...string) credential.Call {
	return credential.Call{
		Args: args, Lookup: func(string) string { return "" }, Stdin: strings.NewReader(input), Stdout: out,
		Hosts:  hosts.List{{Pattern: listed}},
		Tokens: func() (credential.Tokens, error) { return s, nil },
		Now:    time.Now, Explain: error.Error,
	}
}

// leadsToListed reports whether a client that is sent to a URL goes to the listed host.
func leadsToListed(raw string, schemes ...string) bool {
	scheme, rest, _ := strings.Cut(raw, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 { // a path that url.Parse does not take leads nowhere else
		if strings.ContainsAny(rest[end:], "\\\r\n\t ") {
			return false
		}
		rest = rest[:end]
	}
	u, err := url.Parse(scheme + "://" + rest)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.User == nil &&
		strings.EqualFold(strings.TrimSuffix(u.Host, ":443"), listed)
}
