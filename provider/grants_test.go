package provider

import (
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

func (f *fake) provider(t *testing.T, change func(*Config)) *Provider {
	t.Helper()
	cfg := Config{Issuer: f.URL, ClientID: fakeClient}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An identity assertion is of its own type, from the provider, and for the one server that it was asked for.
func TestIdentityAssertion(t *testing.T) {
	t.Parallel()
	const at = "https://crm.example.com/"
	f := newFake(t)
	p := f.provider(t, nil)
	for name, c := range map[string]struct {
		response, header, claims map[string]any
		want                     error
	}{
		"honest":             {},
		"no typ":             {header: map[string]any{"typ": "JWT"}, want: ErrMalformed},
		"another issuer":     {claims: map[string]any{"iss": "https://mallory.example.com/"}, want: ErrIssuer},
		"another server":     {claims: map[string]any{"aud": "https://mallory.example.com/"}, want: ErrAudience},
		"several servers":    {claims: map[string]any{"aud": []any{at, "https://mallory.example.com/"}}, want: ErrAudience},
		"no server":          {claims: map[string]any{"aud": nil}, want: ErrAudience},
		"expired":            {claims: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, want: ErrExpired},
		"an access token":    {response: map[string]any{"issued_token_type": TypeAccessToken}, want: ErrTokenType},
		"no type":            {response: map[string]any{"issued_token_type": ""}, want: ErrTokenType},
		"opaque":             {response: map[string]any{"access_token": "opaque"}, want: ErrMalformed},
		"the ID token again": {response: map[string]any{"access_token": "id-token"}, want: ErrMalformed},
	} {
		header := map[string]any{"alg": "RS256", "kid": "rsa-1", "typ": "oauth-id-jag+jwt"}
		claims := map[string]any{
			"iss": f.URL, "sub": "ada", "aud": at, "client_id": fakeClient, "exp": time.Now().Add(time.Minute).Unix(),
		}
		for key, value := range c.header {
			header[key] = value
		}
		for key, value := range c.claims {
			claims[key] = value
		}
		response := map[string]any{
			"access_token": forge.RS256().Sign(header, claims), "token_type": "N_A", "issued_token_type": typeIDJAG,
			"expires_in": 60,
		}
		for key, value := range c.response {
			response[key] = value
		}
		f.on("/token", 200, response)
		got, err := p.IdentityAssertion(t.Context(), NewSecret("id-token"), at, Target{})
		if !errors.Is(err, c.want) || (c.want == nil) == got.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refresh token that Auth0's token vault replaces is returned also beside an error: the old one may be used up.
func TestConnectionToken(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	honest := map[string]any{
		"access_token": "token-of-google", "token_type": "Bearer", "issued_token_type": typeConnection, "expires_in": 60,
		"refresh_token": "second",
	}
	if _, _, err := f.provider(t, nil).ConnectionToken(t.Context(), NewSecret("first"), "c"); !errors.Is(err, ErrNoVault) {
		t.Errorf("not Auth0: %v", err)
	}
	p := f.provider(t, func(cfg *Config) { cfg.Auth0 = true })
	for name, c := range map[string]struct {
		key     string
		value   any
		want    error
		renewed string
	}{
		"honest":                   {renewed: "second"},
		"no refresh token":         {key: "refresh_token", value: ""},
		"the same refresh token":   {key: "refresh_token", value: "first"},
		"another type":             {key: "issued_token_type", value: TypeAccessToken, want: ErrTokenType, renewed: "second"},
		"the refresh token itself": {key: "access_token", value: "first", want: ErrMalformed, renewed: "second"},
		"no bearer":                {key: "token_type", value: "mac", want: ErrTokenType, renewed: "second"},
	} {
		response := map[string]any{}
		for key, value := range honest {
			response[key] = value
		}
		if c.key != "" {
			response[c.key] = c.value
		}
		f.on("/token", 200, response)
		issued, renewed, err := p.ConnectionToken(t.Context(), NewSecret("first"), "c")
		if !errors.Is(err, c.want) || (issued == nil) != (c.want != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if (renewed == nil) != (c.renewed == "") || renewed != nil && renewed.RefreshToken.Reveal() != c.renewed {
			t.Errorf("%s: another refresh token than %q", name, c.renewed)
		}
	}
}

// Where tokens are to be bound to a login's key, no grant without a login brings one that anybody could use, and
// nothing is sent.
func TestUnboundGrants(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t, func(cfg *Config) { cfg.DPoP, cfg.Auth0, cfg.ClientSecret = true, true, NewSecret("s3cret") })
	ctx, token := t.Context(), NewSecret("token")
	_, credentials := p.ClientCredentials(ctx, Target{})
	_, exchange := p.ExchangeToken(ctx, TokenExchange{Subject: token, SubjectType: TypeIDToken})
	_, bearer := p.JWTBearer(ctx, token, Target{})
	_, identity := p.IdentityAssertion(ctx, token, "https://api.example.com/", Target{})
	_, _, connection := p.ConnectionToken(ctx, token, "c")
	for name, err := range map[string]error{
		"client credentials": credentials, "exchange": exchange, "JWT bearer": bearer, "ID-JAG": identity,
		"connection": connection,
	} {
		if !errors.Is(err, ErrUnboundGrant) || MaybeSent(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a refusal of a grant without a login means is not what it means at a login.
func TestGrantReasons(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(t, func(cfg *Config) { cfg.ClientSecret = NewSecret("s3cret") })
	for code, want := range map[string]Reason{
		"unsupported_grant_type": ReasonGrantOff, "unauthorized_client": ReasonGrantOff,
		"access_denied": ReasonClientNotAuthorized, "invalid_scope": ReasonScope, "invalid_target": ReasonTarget,
		"invalid_client": ReasonClientSecretWrong,
	} {
		f.on("/token", 400, map[string]any{"error": code})
		_, err := p.ClientCredentials(t.Context(), Target{Audience: "https://api"})
		if got := Diagnose(err).Reason; got != want {
			t.Errorf("%s: %q, not %q", code, got, want)
		}
	}
	for _, code := range []string{"invalid_request", "invalid_grant"} {
		f.on("/token", 400, map[string]any{"error": code, "error_description": "the-assertion is not good."})
		_, err := p.JWTBearer(t.Context(), NewSecret("the-assertion"), Target{})
		if got := Diagnose(err).Reason; got != ReasonSubjectRefused || err.Error() !=
			"the provider refused: "+code+": [secret] is not good" {
			t.Errorf("%s: %q: %v", code, got, err)
		}
	}
	if _, err := f.provider(t, nil).ClientCredentials(t.Context(), Target{}); !errors.Is(err, ErrPublicClient) {
		t.Errorf("a public client: %v", err)
	}
}
