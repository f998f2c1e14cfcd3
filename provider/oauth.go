package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

const wellKnownOAuth = "/.well-known/oauth-authorization-server"

// metadataURLs returns where the metadata may be, in the order in which they are asked: where DiscoveryURL or OpenID
// Connect Discovery 1.0 says, or, of an authorization server without OpenID Connect, first the two forms of RFC 8414,
// sections 3.1 and 5.
func (p *Provider) metadataURLs() []string {
	usual := strings.TrimSuffix(p.cfg.Issuer, "/") + wellKnown
	switch u, err := url.Parse(p.cfg.Issuer); {
	case p.cfg.DiscoveryURL != "":
		return []string{p.cfg.DiscoveryURL}
	case !p.cfg.OAuth || err != nil: // New has parsed it
		return []string{usual}
	default:
		origin, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
		return slices.Compact([]string{origin + wellKnownOAuth + path, origin + wellKnown + path, usual})
	}
}

// isNoMetadata reports whether a response says that the metadata is not at this URL, so that the next one is asked. A
// page of HTML is what some servers send for every path that they do not know.
func (p *Provider) isNoMetadata(resp *response) bool {
	return p.cfg.OAuth && (resp.status >= 300 || object(resp.body, &map[string]json.RawMessage{}) != nil)
}

// checkOAuth wants S256 in the metadata of an authorization server without OpenID Connect. Without an ID token, whose
// nonce and at_hash bind a login, the code challenge is all that does. A server that knows no code challenge passes it
// over in silence.
func (p *Provider) checkOAuth(m *metadata) error {
	if slices.Contains(m.CodeChallengeMethods, "S256") {
		return nil
	}
	return &UntrustedError{
		Check: ErrMalformed, Reason: ReasonNoPKCE,
		detail: "the authorization server does not say that it knows PKCE with S256 (code_challenge_methods_supported)",
	}
}

// checkResource compares the resource that was asked for with the audience of an access token that is a JWT, as far as
// that can be compared: many authorization servers put an ID of their own there. A token whose audiences are all URLs
// of other origins is for others, and a resource server that names a foreign authorization server must not be sent it.
func checkResource(claims Claims, resource string, reason Reason) error {
	aud, told := claims["aud"]
	got := audiences(aud)
	if !told || len(got) == 0 || resource == "" {
		return nil
	}
	wanted, err := url.Parse(resource)
	if err != nil {
		return nil //nolint:nilerr // New and the caller have checked it: it is compared to the letter alone
	}
	for _, one := range got {
		u, err := url.Parse(one)
		isURL := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
		if one == resource || !isURL || u.Scheme == wanted.Scheme && strings.EqualFold(u.Host, wanted.Host) {
			return nil
		}
	}
	return &AudienceError{Asked: resource, got: got, Reason: reason}
}

// ListsScope reports, for callers that add one, whether the provider's scopes_supported has a scope.
func (p *Provider) ListsScope(ctx context.Context, scope string) (bool, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return false, err
	}
	return slices.Contains(m.ScopesSupported, scope), nil
}

// A Registration describes, for callers of Register, a public native client (RFC 7591, section 2).
type Registration struct {
	Name         string
	RedirectURIs []string
	LogoutURIs   []string // of RP-Initiated Logout 1.0, section 3.1
}

// A RegisteredClient is, for callers of Register, the client that the server made.
type RegisteredClient struct {
	ID     string
	Secret Secret // zero: the client is public, as it asked to be
}

// Register registers a client at an authorization server by RFC 7591, for callers that have none there. The client in
// cfg is not read. ErrNoEndpoint says that the server registers no clients.
func Register(ctx context.Context, cfg Config, r Registration) (*RegisteredClient, error) {
	cfg.ClientID = "unregistered" // New wants one; no request of this Provider has it
	p, err := New(cfg)
	if err != nil {
		return nil, err
	}
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	if m.RegistrationEndpoint == "" {
		return nil, ErrNoEndpoint
	}
	metadata := map[string]any{
		"client_name": r.Name, "redirect_uris": r.RedirectURIs, "application_type": "native",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": "none",
	}
	if len(r.LogoutURIs) > 0 {
		metadata["post_logout_redirect_uris"] = r.LogoutURIs
	}
	body, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RegistrationEndpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint", ErrMalformed)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.send(ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.status != http.StatusCreated && resp.status != http.StatusOK {
		return nil, p.refused(resp)
	}
	return parseRegistration(resp.body)
}

// mostClientID is how long a client ID may be. It goes into URLs.
const mostClientID = 2 << 10

// parseRegistration decodes the response to a registration (RFC 7591, section 3.2.1).
func parseRegistration(raw []byte) (*RegisteredClient, error) {
	var registered struct {
		ClientID string `json:"client_id"`
		Secret   string `json:"client_secret"`
	}
	if err := document(raw, &registered); err != nil {
		return nil, malformed("the response to the registration is not the JSON that it should be")
	}
	printable := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) }
	switch {
	case registered.ClientID == "" || len(registered.ClientID) > mostClientID || !printable(registered.ClientID):
		return nil, malformed("the response to the registration holds no usable client ID")
	case len(registered.Secret) > mostClientID || !printable(registered.Secret):
		return nil, malformed("the response to the registration holds an unusable client secret")
	}
	return &RegisteredClient{ID: registered.ClientID, Secret: NewSecret(registered.Secret)}, nil
}

// noMetadata is the error about an authorization server whose metadata is nowhere.
func (p *Provider) noMetadata(status int) error {
	description := fmt.Sprintf("%s has no authorization server metadata (HTTP %d)",
		words.Printable(p.cfg.Issuer), status)
	return &RefusedError{Status: status, description: description, Reason: ReasonDiscoveryUnavailable}
}
