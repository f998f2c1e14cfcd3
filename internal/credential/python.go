package credential

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
)

// Python is the command keyring, as pip, uv and others run it: get URL [USERNAME]. They ask for the URL of an index
// first, and then for its host alone.
type Python struct {
	Mode string // creds: the username too, on a line of its own before the password
}

// Run replies with the token as a password.
func (p *Python) Run(ctx context.Context, c Call) error {
	if len(c.Args) > 0 && (c.Args[0] == "set" || c.Args[0] == "del") {
		return fmt.Errorf("%w: keyring %s: loopkey keeps no password that others bring", ErrStores, c.Args[0])
	}
	if len(c.Args) < 2 || len(c.Args) > 3 || c.Args[0] != "get" || p.Mode != "password" && p.Mode != "creds" {
		return fmt.Errorf("%w: the keyring knows get URL [USERNAME]", ErrInput)
	}
	parse := hosts.ParseURL
	if !strings.Contains(c.Args[1], "://") {
		parse = func(host string) (hosts.Origin, error) { return hosts.ParseOrigin("https", host) }
	}
	origin, err := parse(c.Args[1])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	h, err := c.match("python", origin)
	if err != nil {
		return err
	}
	asked := ""
	if len(c.Args) == 3 {
		asked = c.Args[2]
	}
	if asked != "" && h.Username != "" && asked != h.Username {
		return fmt.Errorf("%w for another user than %s: %s", ErrUnlisted, h.Username, origin)
	}
	t, err := c.token(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	reply := t.Secret.Reveal() + "\n"
	if p.Mode == "creds" {
		username := cmp.Or(asked, h.Username, "oauth2")
		if strings.ContainsFunc(username, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%w: a username with a control character", ErrInput)
		}
		reply = username + "\n" + reply
	}
	return c.write(reply)
}
