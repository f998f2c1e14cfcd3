package provider

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// An authMethod is how a client authenticates, by its name in discovery (OpenID Connect Core 1.0, section 9).
type authMethod string

const (
	authNone        authMethod = "none" // the client is public, and sends its ID
	authSecretBasic authMethod = "client_secret_basic"
	authSecretPost  authMethod = "client_secret_post"
	authKey         authMethod = "private_key_jwt"
	authCertificate authMethod = "tls_client_auth" // or self_signed_tls_client_auth: what is sent is the same
)

// authMethod returns how the client authenticates. A client secret goes into the Authorization header, unless it is
// known that the provider wants it in the form: that is what is meant if discovery says nothing (OpenID Connect
// Discovery 1.0, section 3).
func (p *Provider) authMethod(m *metadata) authMethod {
	offers := func(method authMethod) bool { return slices.Contains(m.TokenEndpointAuthMethods, string(method)) }
	switch {
	case p.cfg.Public:
		return authNone
	case p.cfg.ClientSecret.IsZero() && p.cfg.ClientKey != nil:
		return authKey
	case p.cfg.ClientSecret.IsZero() && p.cfg.ClientCertificate != nil:
		return authCertificate
	case p.cfg.ClientSecret.IsZero():
		return authNone
	case p.noted(secretPost), !offers(authSecretBasic) && offers(authSecretPost):
		return authSecretPost
	}
	return authSecretBasic
}

// compareMethod notes in a refusal how clients may authenticate, and says of it that the provider does not offer the
// way in which the client authenticates, where discovery tells how clients may.
func (p *Provider) compareMethod(m *metadata, method authMethod, refused *RefusedError) {
	offered := m.TokenEndpointAuthMethods
	if refused != nil && (refused.Reason == ReasonClientSecretMissing || refused.Reason == ReasonClientSecretWrong) {
		refused.methods = words.Line(words.Printable(strings.Join(offered, " ")), 500)
	}
	isOther := refused != nil && len(offered) > 0 && !slices.Contains(offered, string(method))
	switch {
	case !isOther:
	case refused.Reason == ReasonClientKeyRefused,
		refused.Reason == ReasonCertificateRefused && !slices.Contains(offered, "self_signed_tls_client_auth"):
		refused.Reason = ReasonMethodNotOffered
	}
}

// CheckKey reads the client's key, if it has one, and returns why that can't be used. Otherwise it is read when a
// request needs it. CheckKey sends nothing.
func (p *Provider) CheckKey(ctx context.Context) error {
	if p.cfg.ClientKey == nil {
		return nil
	}
	_, err := p.cfg.ClientKey(ctx)
	return err
}

// CheckCertificate is CheckKey for the client's certificate.
func (p *Provider) CheckCertificate(ctx context.Context) error {
	if p.cfg.ClientCertificate == nil {
		return nil
	}
	_, err := p.readCertificate(ctx)
	return err
}

// canAuthenticate reads what the client needs to redeem the code of a login, and returns why it can't be used.
func (p *Provider) canAuthenticate(ctx context.Context, m *metadata) error {
	if err := p.CheckCertificate(ctx); err != nil || p.authMethod(m) != authKey {
		return err
	}
	_, _, err := p.clientKey(ctx, m.AssertionAlgorithms, "client assertions")
	return err
}

// identify puts into a form or a header what tells the provider who the client is.
func (p *Provider) identify(
	ctx context.Context, m *metadata, method authMethod, form url.Values, header http.Header,
) error {
	if p.cfg.ClientCertificate != nil { // so that one that can't be read is told of by itself
		if _, err := p.readCertificate(ctx); err != nil {
			return err
		}
	}
	if method == authSecretBasic { // form-encoded first: RFC 6749, section 2.3.1
		login := url.QueryEscape(p.cfg.ClientID) + ":" + url.QueryEscape(p.cfg.ClientSecret.Reveal())
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(login)))
		return nil
	}
	form.Set("client_id", p.cfg.ClientID)
	switch method {
	case authSecretPost:
		form.Set("client_secret", p.cfg.ClientSecret.Reveal())
	case authKey:
		assertion, err := p.assertion(ctx, m)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	return nil
}
