package credential

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
)

// Go is a GOAUTH command of the go command (go help goauth). The go command runs it without arguments before its first
// request, and again with the URL and the response after each response of the 4xx kind.
func Go(ctx context.Context, c Call) error {
	switch len(c.Args) {
	case 0:
		return c.goStored(ctx)
	case 1:
		return c.goURL(ctx, c.Args[0])
	}
	return fmt.Errorf("%w: go gives a URL or nothing", ErrInput)
}

// goStored writes the tokens of all listed hosts that need no renewal. No prefix of a URL stands for a wildcard.
func (c *Call) goStored(ctx context.Context) error {
	var reply strings.Builder
	known := map[Ask]Token{} // an entry of the keystore is read once
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if !h.IsFor("go") || h.IsWildcard() {
			continue
		}
		a := c.ask(h, hosts.AccessToken)
		a.Stored = true
		t, ok := known[a]
		if !ok {
			var err error
			if t, err = c.token(ctx, a); err != nil {
				return err
			}
			known[a] = t
		}
		if !t.Secret.IsZero() {
			reply.WriteString(goCredential(goPrefix(h), t))
		}
	}
	return c.write(reply.String())
}

// goURL writes the token for a URL. A server that says 401 has refused the token that goStored gave.
func (c *Call) goURL(ctx context.Context, raw string) error {
	origin, err := hosts.ParseURL(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	rest, ok := strings.CutPrefix(raw, "https://")
	if !ok {
		return fmt.Errorf("%w: go sends tokens over https alone", ErrUnlisted)
	}
	h, err := c.match("go", origin)
	if err != nil {
		return err
	}
	response, err := c.input()
	if err != nil {
		return err
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	prefix := "https://" + rest // as go wrote it: it compares prefixes of URLs and knows no default ports
	a := c.ask(h, hosts.AccessToken)
	if refuses(response, prefix == goPrefix(h)) {
		if err := c.refused(ctx, a, provider.Secret{}); err != nil {
			return err
		}
	}
	t, err := c.token(ctx, a)
	if err != nil {
		return err
	}
	return c.write(goCredential(prefix, t))
}

// goPrefix returns the prefix of the URLs of a host.
func goPrefix(h *hosts.Host) string { return "https://" + h.String() }

// goCredential returns one set of credentials: prefixes of URLs, and the header fields for them.
func goCredential(prefix string, t Token) string {
	return prefix + "\n\nAuthorization: Bearer " + t.Secret.Reveal() + "\n\n"
}

// refuses reports whether a server refused a token. Proxies of modules say 404 and 410 all day, so only 401 counts. If
// the token was not offered before, as for a wildcard, go may have sent none; then the server has to say that a token
// was invalid (RFC 6750, section 3.1).
func refuses(response []byte, offered bool) bool {
	status, header, _ := bytes.Cut(response, []byte("\n"))
	words := bytes.Fields(status)
	if len(words) < 2 || !bytes.HasPrefix(words[0], []byte("HTTP/")) || string(words[1]) != "401" {
		return false
	}
	return offered || bytes.Contains(header, []byte("invalid_token"))
}
