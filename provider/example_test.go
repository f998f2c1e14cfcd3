package provider_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
)

// logIn logs in with a browser that goes to a URL and comes back to the redirect URI with a query.
func logIn(ctx context.Context, issuer, redirectURI string, browse func(string) url.Values) (*provider.Tokens, error) {
	p, err := provider.New(provider.Config{Issuer: issuer, ClientID: "s6BhdRkqt3"})
	if err != nil {
		return nil, err
	}
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	target, err := p.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: redirectURI, State: state, Nonce: nonce, Scope: "openid profile",
		CodeChallenge: oauth2.S256ChallengeFromVerifier(verifier),
	})
	if err != nil {
		return nil, err
	}
	response := browse(target) // the query that comes to the redirect URI
	if response.Get("state") != state {
		return nil, errors.New("the response belongs to another login")
	}
	code, err := p.CheckResponse(ctx, response)
	if err != nil {
		return nil, err
	}
	return p.Exchange(ctx, provider.CodeExchange{
		Code: code, RedirectURI: redirectURI, CodeVerifier: provider.NewSecret(verifier), Nonce: nonce,
	})
}

// A provider runs here, and a user logs in there. A program that logs in with the user's own browser calls
// loopback.Login instead.
func Example() {
	const redirectURI = "http://localhost:3000/auth/callback"
	ctx := context.Background()
	there, err := tenant.Start(ctx, tenant.Config{
		Clients: []tenant.Client{{ID: "s6BhdRkqt3", RedirectURIs: []string{redirectURI}}},
		Users:   []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer there.Close()

	tokens, err := logIn(ctx, there.Issuer(), redirectURI, func(target string) url.Values {
		ada := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: redirectURI}
		page, err := ada.Visit(ctx, target)
		if err != nil {
			fmt.Println(err)
			return nil
		}
		u, err := url.Parse(page.URL)
		if err != nil {
			fmt.Println(err)
			return nil
		}
		return u.Query()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tokens.Claims.Text("name"), tokens.TokenType)
	fmt.Println(tokens.AccessToken)
	// Output:
	// Ada Lovelace Bearer
	// [secret]
}
