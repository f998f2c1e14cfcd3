package panva_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/provider"
)

// clientCredentials checks the tokens that a client gets for itself.
func clientCredentials(t *testing.T, s *panva.Server) {
	t.Helper()
	machine := func(secret string) *provider.Provider {
		p, err := provider.New(provider.Config{
			Issuer: s.Issuer, ClientID: panva.Machine, ClientSecret: provider.NewSecret(secret),
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := machine(panva.Secret)
	token, err := p.ClientCredentials(t.Context(), provider.Target{Audience: panva.Orders, Scope: "read admin"})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := provider.PeekClaims(token.Token)
	if err != nil || !slices.Contains(claims.Audiences(), panva.Orders) || claims.Text("client_id") != panva.Machine ||
		token.Scope != "read" || token.TokenType != "Bearer" || !token.Expiry.Equal(claims.Time("exp")) {
		t.Errorf("%v: %v, %+v", err, claims, token)
	}
	opaque, err := p.ClientCredentials(t.Context(), provider.Target{})
	if err != nil || opaque.Expiry.IsZero() {
		t.Errorf("without a resource: %+v, %v", opaque, err)
	}
	for _, c := range []struct {
		p      *provider.Provider
		target provider.Target
		want   provider.Reason
	}{
		{p, provider.Target{Audience: "https://unknown.example.com/"}, provider.ReasonTarget},
		{machine("wrong"), provider.Target{}, provider.ReasonClientSecretWrong},
		{client(t, s, panva.Confidential), provider.Target{}, provider.ReasonGrantOff},
	} {
		_, err := c.p.ClientCredentials(t.Context(), c.target)
		if got := provider.Diagnose(err).Reason; got != c.want || !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%+v: %q: %v", c.target, got, err)
		}
	}
}

// tokenExchange checks the tokens that a client gets for one of the user's.
func tokenExchange(t *testing.T, s *panva.Server) {
	t.Helper()
	p := client(t, s, panva.Confidential)
	subject := login{}.run(t, s, p)
	exchange := func(change func(*provider.TokenExchange)) (*provider.Issued, error) {
		x := provider.TokenExchange{
			Subject: subject.AccessToken, SubjectType: provider.TypeAccessToken,
			Target: provider.Target{Audience: panva.Orders, Scope: "read"},
		}
		change(&x)
		return p.ExchangeToken(t.Context(), x)
	}
	token, err := exchange(func(x *provider.TokenExchange) { x.RequestedType = provider.TypeAccessToken })
	if err != nil {
		t.Fatal(err)
	}
	claims, err := provider.PeekClaims(token.Token)
	if err != nil || !slices.Contains(claims.Audiences(), panva.Orders) || claims.Subject() != panva.Subject ||
		token.Scope != "read" || token.Kind != provider.TypeAccessToken || token.TokenType != "Bearer" {
		t.Errorf("%v: %v, %+v", err, claims, token)
	}
	for name, c := range map[string]struct {
		change func(*provider.TokenExchange)
		want   provider.Reason
	}{
		"an ID token": {
			func(x *provider.TokenExchange) { x.Subject, x.SubjectType = subject.IDToken, provider.TypeIDToken },
			provider.ReasonSubjectRefused,
		},
		"no token of this provider": {
			func(x *provider.TokenExchange) { x.Subject = provider.NewSecret("stolen") }, provider.ReasonSubjectRefused,
		},
		"an unknown audience": {
			func(x *provider.TokenExchange) { x.Audience = "https://unknown.example.com/" }, provider.ReasonTarget,
		},
	} {
		_, err := exchange(c.change)
		if got := provider.Diagnose(err).Reason; got != c.want || !errors.Is(err, provider.ErrRefused) {
			t.Errorf("%s: %q: %v", name, got, err)
		}
	}
}
