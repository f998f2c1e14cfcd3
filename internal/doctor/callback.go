package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A probed is what the authorization endpoint thinks of a login that nobody makes.
type probed struct {
	silent provider.Landing // of a request that allows no question (prompt=none); "": none was made
	said   error            // with silent
	plain  provider.Landing // of a request that allows all questions; "": none was needed
	err    error            // why a login can't be made; nil: it can
}

// redirectURI returns the callback URL.
func (x *examination) redirectURI() string { return localurl.At(x.Config.BaseURL, login.CallbackPath) }

// probe asks the authorization endpoint. A response at the callback to a request that allows no question shows that the
// provider knows the callback. Where there is none, a request that allows all questions shows the login page, or the
// error page that a login would show.
func (x *examination) probe(ctx context.Context) probed {
	var p probed
	p.silent, p.said = x.land(ctx, "none")
	refused := new(provider.RefusedError)
	isRefused := errors.As(p.said, &refused)
	switch {
	case p.silent == provider.LandsAtLogin, p.silent == provider.LandsAtCallback && p.said == nil,
		p.silent == provider.LandsAtCallback && refused.Reason == provider.ReasonInteractionRequired:
		return p
	case p.silent == "" || !isRefused:
		p.err = p.said
		return p
	}
	p.plain, p.err = x.land(ctx, "")
	return p
}

// land sends an authorization request as a login does, with a prompt.
func (x *examination) land(ctx context.Context, prompt string) (provider.Landing, error) {
	chosen := ""
	if x.Config.Origin("scope") != "default" {
		chosen = x.Config.Scope
	}
	scope, err := x.provider.LoginScope(ctx, chosen)
	if err != nil {
		return "", err
	}
	extra := url.Values{}
	maps.Copy(extra, x.Config.Params)
	if extra.Del("prompt"); prompt != "" {
		extra.Set("prompt", prompt)
	}
	return x.provider.Probe(ctx, provider.AuthorizationRequest{
		RedirectURI: x.redirectURI(), State: rand.Text(), Nonce: rand.Text(),
		CodeChallenge: oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier()),
		Scope:         scope, Audience: x.Config.Audience, Extra: extra,
	})
}

// askable returns why the provider can't be asked about the client, or "".
func (x *examination) askable() string {
	switch {
	case x.provider == nil:
		return noProvider
	case x.Config.Needs("audience", "scope", "base-url") != nil:
		return "the configuration has to be corrected first"
	}
	support, err := x.discover()
	if err != nil {
		return noDiscovery
	}
	secret, err := x.Config.ClientSecret()
	switch {
	case support.PushRequired && (secret != "" || err != nil):
		return "the provider wants requests to be pushed to it, with the client secret, and that is not sent here"
	case (support.PushRequired || support.SignedRequired) && x.hasKey():
		return "the provider wants requests that the client signs, and its key is not used here"
	}
	return ""
}

// callback asks the provider whether it knows the client and its callback URL. Nobody logs in for that.
func callback(_ context.Context, x *examination) []Finding {
	if why := x.askable(); why != "" {
		return one(Skipped, why)
	}
	uri := words.Printable(x.redirectURI())
	p := x.probed()
	if p.err == nil {
		return one(OK, "the provider knows the client, and takes it back to "+uri)
	}
	refused := new(provider.RefusedError)
	if !errors.As(p.err, &refused) {
		return failed(p.err)
	}
	switch {
	case refused.Reason == provider.ReasonCallbackNotAllowed:
		return []Finding{{
			State: Broken, Message: "the provider does not know " + uri + " as a callback URL of the client",
			Err: p.err, About: refused.Diagnosis(),
		}}
	case refused.Reason == provider.ReasonUnknownClient:
		id := words.Printable(x.Config.ClientID)
		return because(Broken, ReasonUnknownClient, "the provider does not know the client "+id)
	case p.plain == provider.LandsAtError && refused.Reason == "":
		return because(Broken, ReasonLoginPage, words.Printable(strings.TrimPrefix(refused.Error(), "the provider ")))
	}
	return failed(p.err)
}

// hasKey reports whether the client authenticates by a key or a certificate.
func (x *examination) hasKey() bool {
	return x.Config.ClientKey != "" || x.Config.ClientCertificate != ""
}

// confirmation says whether Auth0 asks the person before it sends a browser to this machine.
func confirmation(_ context.Context, x *examination) []Finding {
	if x.provider == nil || !x.provider.Auth0() || x.askable() != "" {
		return nil
	}
	switch p := x.probed(); {
	case p.err != nil:
		return one(Skipped, "a login has to be possible first")
	case p.plain == "":
		return one(OK, "Auth0 sends the browser back without a question of its own")
	}
	return one(OK, "Auth0 asks the person to confirm before it sends the browser back to this machine, "+
		"so no login goes without a question")
}

// client asks the token endpoint whether the client has to authenticate. It sends a code that does not exist, and no
// secret: a client that has to authenticate is refused for that, and any other for the code.
func client(ctx context.Context, x *examination) []Finding {
	if why := x.askable(); why != "" {
		return one(Skipped, why)
	}
	if x.probed().err != nil {
		return one(Skipped, "a login has to be possible first")
	}
	secret, err := x.Config.ClientSecret()
	if err != nil {
		return one(Skipped, "the client secret can't be read")
	}
	_, err = x.provider.Exchange(ctx, provider.CodeExchange{
		Code: provider.NewSecret(rand.Text()), RedirectURI: x.redirectURI(),
		CodeVerifier: provider.NewSecret(oauth2.GenerateVerifier()), Nonce: rand.Text(),
	})
	refused := new(provider.RefusedError)
	switch {
	case err == nil, errors.Is(err, provider.ErrUntrusted):
		return because(Broken, ReasonAnyCode, "the provider gives tokens for a code that it never granted")
	case !errors.As(err, &refused):
		return failed(err)
	case refused.Reason == provider.ReasonClientSecretMissing && x.hasKey():
		return one(OK, "confidential, and a key or certificate is configured; a login shows whether it is the right one")
	case refused.Reason == provider.ReasonClientSecretMissing && secret == "":
		return []Finding{{
			State: Broken, Message: "the provider wants a client secret, and none is configured",
			Err: err, About: refused.Diagnosis(),
		}}
	case refused.Reason == provider.ReasonClientSecretMissing:
		return one(OK, "confidential, and a client secret is configured; a login shows whether it is the right one")
	case isEntra(x.address().Hostname()):
		return one(Skipped, "Entra ID does not tell before a login whether the client has to authenticate")
	case errors.Is(err, provider.ErrInvalidGrant) && secret != "":
		return because(Warning, ReasonNeedlessSecret, "the provider asks this client for no secret, and one is configured")
	case errors.Is(err, provider.ErrInvalidGrant):
		return one(OK, "public: it needs no secret, PKCE protects its logins")
	}
	return one(Skipped, "the provider does not tell whether the client has to authenticate")
}

// isEntra reports whether a host is Entra ID's.
func isEntra(host string) bool {
	return strings.HasSuffix(host, ".microsoftonline.com") || strings.HasSuffix(host, ".windows.net")
}

// logout says how the provider's own session can be ended.
func logout(ctx context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	support, err := x.discover()
	if err != nil {
		return one(Skipped, noDiscovery)
	}
	_, err = x.provider.EndSessionURL(ctx, provider.Secret{}, x.Config.BaseURL, "")
	switch {
	case errors.Is(err, provider.ErrNoEndpoint):
		return one(OK, "the provider names no page that ends its own session; a logout ends this one")
	case err != nil:
		return failed(err)
	case x.provider.Auth0() && !support.EndSession:
		return because(Warning, ReasonEndSessionHidden, "Auth0 does not name its end_session_endpoint, so a logout goes to "+
			"/v2/logout, which knows no id_token_hint")
	}
	return one(OK, "a logout ends the provider's own session, too")
}
