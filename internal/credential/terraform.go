package credential

import (
	"context"
	"errors"
	"fmt"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// ErrStores says that a tool wants to give loopkey a credential to keep.
var ErrStores = errors.New("loopkey keeps no credentials but those of its own logins")

// Terraform is a credentials helper of Terraform and OpenTofu (developer.hashicorp.com/terraform/internals/
// credentials-helpers). The last two arguments are the operation and the host; those before come from the
// configuration.
func Terraform(ctx context.Context, c Call) error {
	if len(c.Args) != 2 {
		return fmt.Errorf("%w: terraform gives an operation and a host", ErrInput)
	}
	operation, host := c.Args[0], c.Args[1]
	switch operation {
	case "get":
		return c.terraformGet(ctx, host)
	case "forget":
		return c.terraformForget(ctx, host)
	case "store":
		if _, err := c.input(); err != nil { // terraform writes it in any case
			return err
		}
		return ErrStores
	}
	return fmt.Errorf("%w: terraform has the operations get, store and forget", ErrInput)
}

func (c *Call) terraformHost(host string) (*hosts.Host, error) {
	origin, err := hosts.ParseOrigin("https", host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	return c.match("terraform", origin)
}

func (c *Call) terraformGet(ctx context.Context, host string) error {
	h, err := c.terraformHost(host)
	if err != nil {
		return err
	}
	t, err := c.token(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	return c.writeJSON(map[string]string{"token": t.Secret.Reveal()})
}

// terraformForget is run by terraform logout. The session is the person's and stays; the next token is a new one.
func (c *Call) terraformForget(ctx context.Context, host string) error {
	h, err := c.terraformHost(host)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to forget
	}
	err = c.refused(ctx, c.ask(h, hosts.AccessToken), provider.Secret{})
	if errors.Is(err, session.ErrNotLoggedIn) {
		return nil
	}
	return err
}
