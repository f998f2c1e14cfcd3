package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/loopkey/loopkey/internal/hosts"
)

// Bazel is a credential helper of Bazel, and of what else follows its specification
// (github.com/EngFlow/credential-helper-spec). Input that it does not support is an error, never an empty reply.
func Bazel(ctx context.Context, c Call) error {
	if len(c.Args) != 1 || c.Args[0] != "get" {
		return fmt.Errorf("%w: bazel runs a helper with the one argument get", ErrInput)
	}
	data, err := c.input()
	if err != nil {
		return err
	}
	request, err := jsonObject(data)
	if err != nil {
		return err
	}
	uri, ok := text(request["uri"])
	if !ok {
		return fmt.Errorf("%w: bazel sends an object with the text uri", ErrInput)
	}
	origin, err := hosts.ParseURL(uri)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	h, err := c.match("bazel", origin)
	if err != nil {
		return err
	}
	t, err := c.tokenInTime(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	return c.writeJSON(struct {
		Headers map[string][]string `json:"headers"`
		Expires time.Time           `json:"expires"`
	}{
		map[string][]string{"Authorization": {"Bearer " + t.Secret.Reveal()}},
		c.told(t).UTC().Truncate(time.Second),
	})
}

// Bazel gives up on a helper after ten seconds.
const (
	bazelLimit   = 8 * time.Second // for the keychain and a renewal together
	bazelRenewal = 7 * time.Second // of that; then a token that still lives is looked for
)

// ErrLate is the error where a tool would not wait for the token any longer.
var ErrLate = errors.New("the token comes too late for the tool that asked")

// tokenInTime returns a token while Bazel waits for it: one that still lives, if a renewal takes too long.
func (c *Call) tokenInTime(ctx context.Context, a Ask) (Token, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bazelLimit, ErrLate)
	defer cancel()
	renewing, stop := context.WithTimeoutCause(ctx, bazelRenewal, ErrLate)
	defer stop()
	t, err := c.token(renewing, a)
	if err == nil || renewing.Err() == nil {
		return t, err
	}
	a.Stored, a.MinLifetime = true, margin
	if living, storedErr := c.token(ctx, a); storedErr == nil && !living.Secret.IsZero() {
		return living, nil
	}
	return Token{}, fmt.Errorf("%w: bazel waits for ten seconds", ErrLate)
}
