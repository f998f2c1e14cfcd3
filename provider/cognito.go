package provider

import (
	"net/url"
	"strings"
)

// isCognito reports whether the issuer is a user pool of Amazon Cognito. Its pages, /logout among them, are on the host
// of its authorization endpoint (Amazon Cognito developer guide, "The managed login sign-out endpoint").
func (p *Provider) isCognito() bool {
	u, err := url.Parse(p.cfg.Issuer)
	return err == nil &&
		strings.HasPrefix(u.Hostname(), "cognito-idp.") && strings.HasSuffix(u.Hostname(), ".amazonaws.com")
}
