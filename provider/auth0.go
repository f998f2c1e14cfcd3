package provider

import (
	"fmt"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// checkOrganization wants the organization that Auth0 was asked for: else a login through another organization of the
// same tenant would do. An ID begins with org_; a name is compared in lower case. A renewed ID token need not have the
// claim, nor need one of another provider, to which the parameter may mean something else.
func (c *candidate) checkOrganization() error {
	if c.want.organization == "" {
		return nil
	}
	claim, asked := "org_id", c.want.organization
	if !strings.HasPrefix(asked, "org_") {
		claim, asked = "org_name", strings.ToLower(asked)
	}
	got, told := c.claims[claim]
	e := &UntrustedError{Check: ErrOrganization}
	switch {
	case got == asked, !told && (c.want.renewed || !c.p.cfg.Auth0):
		return nil
	case c.want.renewed:
		e.detail = "the renewed ID token is of another organization"
	case !told && claim == "org_name":
		e.Reason, e.detail = ReasonOrganizationUnnamed, "the ID token does not name the organization of the login"
	case !told:
		e.Reason, e.detail = ReasonOrganizationMissing, "the login is of no organization"
	default:
		e.Reason = ReasonOrganizationOther
		e.detail = fmt.Sprintf("the login is of organization %q, not %q",
			words.Printable(c.claims.Text(claim)), words.Printable(asked))
	}
	return e
}
