package tenant

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// otherGrant handles the token requests by which nobody logs in.
func (t *Tenant) otherGrant(w http.ResponseWriter, r *http.Request, client *Client) {
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" && name != "audience" { // RFC 6749, section 3.2; RFC 8693, section 2.1
			refuse(w, http.StatusBadRequest, "invalid_request", "a parameter stands twice: "+name)
			return
		}
	}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
		t.grantToClient(w, r.PostForm, client)
	case exchangeType:
		t.exchange(w, r.PostForm, client)
	case jwtBearerType:
		t.redeemAssertion(w, r.PostForm, client)
	case connectionType:
		t.redeemConnection(w, r.PostForm, client)
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "this grant type is not offered")
	}
}

// grantToClient handles token requests for the client itself (RFC 6749, section 4.4): only a client that authenticates
// gets a token, for an API of its own and scopes of its own, and no refresh token.
func (t *Tenant) grantToClient(w http.ResponseWriter, form url.Values, client *Client) {
	if t.isPublic(client) && !form.Has("client_assertion") {
		refuse(w, http.StatusBadRequest, "unauthorized_client", "a public client gets no token for itself")
		return
	}
	audience, ok := t.target(w, form, client)
	if !ok {
		return
	}
	scopes, ok := granted(form, client.Scopes)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_scope", "the client may not have this scope")
		return
	}
	itself := &family{client: client, user: &User{Subject: client.ID + "@clients"}, scopes: scopes}
	t.sendTokens(w, tokenGrant{family: itself, scopes: scopes, audience: audience})
}

// target returns the audience that a client asks for, which must be one of its own. Auth0 wants one to be named. Where
// target returns false it has responded with the error.
func (t *Tenant) target(w http.ResponseWriter, form url.Values, client *Client) (string, bool) {
	asked := append(slices.Clone(form["audience"]), form["resource"]...)
	if t.cfg.Auth0 {
		asked = form["audience"]
	}
	for _, one := range asked {
		if slices.Contains(client.Audiences, one) {
			continue
		}
		if t.cfg.Auth0 {
			refuse(w, http.StatusForbidden, "access_denied", "Client is not authorized to access "+one)
		} else {
			refuse(w, http.StatusBadRequest, "invalid_target", "the client may not have a token for "+one)
		}
		return "", false
	}
	if len(asked) == 0 {
		if t.cfg.Auth0 {
			refuse(w, http.StatusForbidden, "access_denied", "Non-global clients are not allowed access to APIv1")
			return "", false
		}
		return "", true
	}
	return asked[0], true
}

// granted returns the scopes that a form asks for, all of which must be among those that may be had. Without a scope
// those are granted.
func granted(form url.Values, mayHave []string) ([]string, bool) {
	asked := strings.Fields(form.Get("scope"))
	if len(asked) == 0 {
		return mayHave, true
	}
	for _, scope := range asked {
		if !slices.Contains(mayHave, scope) {
			return nil, false
		}
	}
	return asked, true
}
