// Command program uses loopkey's packages as a program in a module of its own: it logs a user in, calls an API, and
// serves a page for logged-in users. TestProgram builds and runs it, and the README shows logIn and guard.
//
//	program ISSUER CLIENT_ID BASE_URL API
//
// It ends at the end of its stdin. The session is in memory, so that the test needs no keychain.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// logIn returns the session of a user, who logs in with a browser where nobody is logged in yet.
func logIn(ctx context.Context, options session.Options, baseURL string) (*session.Session, error) {
	s, err := session.Open(ctx, options)
	if err != nil {
		return nil, err
	}
	if _, err := s.Info(ctx); errors.Is(err, session.ErrNotLoggedIn) {
		login := loopback.Config{Provider: s.Provider(), Store: s.Begin, BaseURL: baseURL}
		if _, err := loopback.Login(ctx, login); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// guard returns a server in which only the logged-in user's browser reaches app.
func guard(ctx context.Context, s *session.Session, baseURL string, app http.Handler) (http.Handler, error) {
	server, err := webui.New(ctx, webui.Config{Session: s, BaseURL: baseURL})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/app/", server.Guard(app))
	mux.Handle("/", server.Handler()) // the login, the logout and the pages
	go server.Run(ctx)                // keeps open pages current
	return mux, nil
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: program ISSUER CLIENT_ID BASE_URL API")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(issuer, clientID, baseURL, api string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s, err := logIn(ctx, session.Options{
		Issuer: issuer, ClientID: clientID, AppName: "program", Store: keystore.Memory(),
	}, baseURL)
	if err != nil {
		return err
	}
	if err := callAPI(ctx, s, api); err != nil {
		return err
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := webui.User(r)
		fmt.Fprintf(w, "Hello %s.", user.Text("name"))
	})
	handler, err := guard(ctx, s, baseURL, app)
	if err != nil {
		return err
	}
	at, err := url.Parse(baseURL)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+at.Port())
	if err != nil {
		return err
	}
	fmt.Println("serving")
	go http.Serve(listener, handler)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// callAPI calls an API with an access token that stays fresh. The API says who the user is.
func callAPI(ctx context.Context, s *session.Session, api string) error {
	client := oauth2.NewClient(ctx, s.TokenSource(ctx, session.Request{}))
	resp, err := client.Get(api)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var claims provider.Claims
	if err := json.NewDecoder(resp.Body).Decode(&claims); err != nil {
		return err
	}
	fmt.Println(resp.StatusCode, claims.Text("name"))
	return nil
}
