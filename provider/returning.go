package provider

import (
	"net/url"
	"strings"
)

// returnsByHint reports whether the provider's logout refuses a post_logout_redirect_uri without an id_token_hint, and
// works without either: OneLogin (its API reference, "Logout") and authentik (its views/end_session.py), whose endpoint
// is at the path of its application.
func returnsByHint(endpoint *url.URL) bool {
	application, found := strings.CutPrefix(endpoint.Path, "/application/o/")
	return strings.HasSuffix(endpoint.Hostname(), ".onelogin.com") ||
		found && strings.HasSuffix(application, "/end-session/")
}
