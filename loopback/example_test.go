package loopback_test

import (
	"context"
	"fmt"
	"log"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/loopback"
)

// The user logs in at a provider that runs inside this example. Their browser is a program there; without OpenBrowser
// it is the user's own.
func ExampleLogin() {
	ctx := context.Background()
	issuer, stop := startTenant(ctx)
	defer stop()

	tokens, err := loopback.Login(ctx, loopback.Config{
		Issuer: issuer, ClientID: "example", AppName: "acme",
		RedirectURI: "http://127.0.0.1:0/callback",
		OpenBrowser: browser,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Hello", tokens.Claims.Text("name"))
	fmt.Println(tokens.AccessToken) // Reveal returns the token itself

	// Output:
	// Hello Ada Lovelace
	// [secret]
}

func startTenant(ctx context.Context) (issuer string, stop func()) {
	t, err := tenant.Start(ctx, tenant.Config{
		Clients: []tenant.Client{{ID: "example", RedirectURIs: []string{"http://127.0.0.1/callback"}, AnyPort: true}},
		Users:   []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return t.Issuer(), t.Close
}

// browser logs Ada in where url leads, and follows it back.
func browser(ctx context.Context, url string) error {
	_, err := tenant.Person{Email: "ada@example.com", Password: "x"}.Visit(context.WithoutCancel(ctx), url)
	return err
}
