package provider

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// ownParameters are the authorization parameters that every login sets itself, or whose effect it could not follow: a
// response that comes another way, a request object in place of the request, a secret in a URL.
var ownParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"audience", "resource", "response_mode", "request", "request_uri",
	"dpop_jkt", "client_secret", "client_assertion", "client_assertion_type", "code_verifier",
}

// IsOwnParameter reports whether a login sets an authorization parameter itself, so that AuthorizationRequest.Extra
// can't. Some providers know no case in names, so none is known here.
func IsOwnParameter(name string) bool {
	return slices.Contains(ownParameters, strings.ToLower(name))
}

// UnlistedScopes returns which scopes of a login's scope the provider's scopes_supported lacks. Discovery need not name
// every scope, so a provider may know them all the same.
func (p *Provider) UnlistedScopes(ctx context.Context, scope string) ([]string, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil || len(m.ScopesSupported) == 0 {
		return nil, err
	}
	return slices.DeleteFunc(strings.Fields(scope), func(s string) bool {
		return slices.Contains(m.ScopesSupported, s)
	}), nil
}

// TakesPrompt reports whether a login may send a value of prompt: the provider's prompt_values_supported names it, or
// says nothing (Initiating User Registration via OpenID Connect 1.0, section 4). It is false where that can't be read.
func (p *Provider) TakesPrompt(ctx context.Context, value string) bool {
	m, err := p.metadata(ctx, forLogin)
	return err == nil && (len(m.PromptValues) == 0 || slices.Contains(m.PromptValues, value))
}

// LoginScope returns the scope of a login. A chosen one is the caller's, and stays as it is, because discovery need not
// name every scope. "" means DefaultScope, without offline_access where scopes_supported lacks it: such providers
// (Google, Cognito, GitLab) may refuse the whole login for it. With Config.OAuth "" means no scope.
func (p *Provider) LoginScope(ctx context.Context, chosen string) (string, error) {
	if chosen != "" || p.cfg.OAuth {
		return chosen, nil
	}
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return "", err
	}
	if len(m.ScopesSupported) == 0 || slices.Contains(m.ScopesSupported, "offline_access") {
		return DefaultScope, nil
	}
	// Azure B2C names openid alone, and gives a refresh token only for offline_access.
	if u, err := url.Parse(m.AuthorizationEndpoint); err == nil && strings.HasSuffix(u.Hostname(), ".b2clogin.com") {
		return DefaultScope, nil
	}
	kept := slices.DeleteFunc(strings.Fields(DefaultScope), func(s string) bool { return s == "offline_access" })
	return strings.Join(kept, " "), nil
}
