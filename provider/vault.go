package provider

import (
	"context"
	"errors"
)

const (
	connectionGrant = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	typeConnection  = "http://auth0.com/oauth/token-type/federated-connection-access-token"
)

// ConnectionToken gets the access token that Auth0's token vault keeps of another provider, to which the user connected
// under a connection's name, such as google-oauth2. Auth0 asks for a refresh token that does not rotate. If another one
// comes back all the same, even beside an error, it is in renewed, and the caller must store it.
func (p *Provider) ConnectionToken(
	ctx context.Context, refresh Secret, connection string,
) (issued *Issued, renewed *Tokens, err error) {
	if !p.cfg.Auth0 {
		return nil, nil, ErrNoVault
	}
	form := Target{}.form(connectionGrant, "")
	form.Set("subject_token", refresh.Reveal())
	form.Set("subject_token_type", TypeRefreshToken)
	form.Set("requested_token_type", typeConnection)
	form.Set("connection", connection)
	r, err := p.grant(ctx, form)
	if errors.Is(err, ErrUntrusted) {
		return nil, nil, &unusableError{err}
	}
	if err != nil {
		return nil, nil, err
	}
	renewed = p.rotated(r, RefreshRequest{RefreshToken: refresh})
	if r.IssuedTokenType != "" {
		err = checkIssuedType(r.IssuedTokenType, typeConnection)
	}
	if err == nil {
		issued, _, err = p.issued(r, Target{}, refresh)
	}
	return issued, renewed, err
}
