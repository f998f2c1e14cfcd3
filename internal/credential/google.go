package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/hosts"
)

// googleLimit is less than the 30 seconds that Google's libraries give an executable.
const googleLimit = 25 * time.Second

// ErrMayNotEnd says that a tool wants to end the session, which other tools use, too.
var ErrMayNotEnd = errors.New("a tool can't end the session")

const tokenTypes = "urn:ietf:params:oauth:token-type:" //nolint:gosec // names of RFC 8693, section 3

// Google is the executable of an external account (Workforce and Workload Identity Federation), as Google's libraries
// run it. The question is in the environment.
func Google(ctx context.Context, c Call) error {
	ctx, cancel := context.WithTimeoutCause(ctx, googleLimit, ErrLate)
	defer cancel()
	tokenType := c.Lookup("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE")
	switch {
	case len(c.Args) > 0:
		return fmt.Errorf("%w: google takes no argument %q", ErrInput, c.Args[0])
	case c.Lookup("GOOGLE_EXTERNAL_ACCOUNT_REVOKE") == "1":
		return fmt.Errorf("%w: %w", ErrInput, ErrMayNotEnd)
	case tokenType != tokenTypes+"id_token" && tokenType != tokenTypes+"jwt":
		return fmt.Errorf("%w: the token type is neither id_token nor jwt", ErrInput)
	}
	audience, ok := strings.CutPrefix(c.Lookup("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE"), "//")
	if !ok {
		return fmt.Errorf("%w: the audience is no resource, such as //iam.googleapis.com/locations/…", ErrInput)
	}
	origin, err := hosts.ParseURL("https://" + audience)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	h, err := c.match("google", origin)
	if err != nil {
		return err
	}
	t, err := c.token(ctx, c.ask(h, hosts.IDToken))
	if err != nil {
		return err
	}
	reply, err := json.Marshal(struct {
		Version   int    `json:"version"`
		Success   bool   `json:"success"`
		TokenType string `json:"token_type"`
		IDToken   string `json:"id_token"`
		Expiry    int64  `json:"expiration_time"`
	}{1, true, tokenType, t.Secret.Reveal(), c.told(t).Unix()})
	if err != nil {
		return fmt.Errorf("writing the reply: %w", err)
	}
	return c.write(string(reply) + "\n")
}
