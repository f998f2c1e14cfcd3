package provider

// Stand-ins so that the other rooms compile while this one is being written. Each is replaced by its real file.

import (
	"context"
	"net/url"
)

type Provider struct{ cfg Config }

// New checks the configuration; it makes no request and reads no file. Errors wrap ErrConfig.
func New(cfg Config) (*Provider, error) { panic("wip") }

func (p *Provider) Issuer() string   { return p.cfg.Issuer }
func (p *Provider) ClientID() string { return p.cfg.ClientID }
func (p *Provider) Auth0() bool      { return p.cfg.Auth0 }

// Warm fetches discovery (and nothing else) if the cache has none that is fresh.
func (p *Provider) Warm(ctx context.Context) error { panic("wip") }

// AuthorizationURL returns the URL to send the browser to (pushes the request first where RFC 9126 is demanded).
func (p *Provider) AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error) {
	panic("wip")
}

// CheckResponse judges the parameters of a callback whose state was right: RFC 9207's iss first (ErrUntrusted),
// then error (a *RefusedError with Next), then that there is exactly one code.
func (p *Provider) CheckResponse(ctx context.Context, q url.Values) (code Secret, err error) {
	panic("wip")
}

// Exchange redeems a code and verifies everything that comes.
func (p *Provider) Exchange(ctx context.Context, x CodeExchange) (*Tokens, error) { panic("wip") }

// Refresh makes exactly one token request.
func (p *Provider) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, error) { panic("wip") }

// Revoke revokes a token (RFC 7009); ErrNoEndpoint where there is no revocation endpoint.
func (p *Provider) Revoke(ctx context.Context, refreshToken Secret) error { panic("wip") }

// EndSessionURL returns the URL that ends the provider's browser session; ErrNoEndpoint where there is none.
func (p *Provider) EndSessionURL(ctx context.Context, idTokenHint Secret, postLogoutRedirectURI, state string) (string, error) {
	panic("wip")
}

// StartDevice begins a device login (RFC 8628).
func (p *Provider) StartDevice(ctx context.Context, scope, audience string) (*DeviceCode, error) {
	panic("wip")
}

// WaitDevice polls until the person has answered, at the pace that the provider asks for.
func (p *Provider) WaitDevice(ctx context.Context, d *DeviceCode) (*Tokens, error) { panic("wip") }

// VerifyLogoutToken verifies a back-channel logout token.
func (p *Provider) VerifyLogoutToken(ctx context.Context, raw string) (*LogoutToken, error) {
	panic("wip")
}

// AudienceParameter is "audience" or "resource": what this provider is sent to name an API.
func (p *Provider) AudienceParameter() string { panic("wip") }
