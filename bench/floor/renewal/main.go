// Command renewal does what any program has to do that renews a token and keeps the refresh token in the keychain: one
// Get, one request, one Set. The bench compares loopkey with it. It takes the token endpoint and the client ID.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/zalando/go-keyring"
	"golang.org/x/oauth2"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "renewal:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("want the token endpoint and the client ID")
	}
	const service, user = "loopkey-bench", "renewal"
	refresh, err := keyring.Get(service, user)
	if err != nil {
		return err
	}
	config := oauth2.Config{
		ClientID: args[1],
		Endpoint: oauth2.Endpoint{TokenURL: args[0], AuthStyle: oauth2.AuthStyleInParams},
	}
	token, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return err
	}
	fmt.Println(token.AccessToken) //nolint:forbidigo // this is a main
	return keyring.Set(service, user, token.RefreshToken)
}
