package webui_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// A program puts a login and a guard into a server of its own.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	stateDir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(stateDir)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	baseURL := "http://localhost:" + port
	issuer, clientID, end := exampleProvider(ctx, baseURL) // in place of your own, at which baseURL is registered
	defer end()

	s, err := session.Open(ctx, session.Options{
		Issuer: issuer, ClientID: clientID,
		Store: keystore.Memory(), StateDir: stateDir, CacheDir: stateDir, // without these: the keychain, and your folders
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := webui.User(r)
		_, _ = fmt.Fprintf(w, "Hello %s.", user.Text("name"))
	})
	handler, err := guarded(ctx, s, baseURL, app)
	if err != nil {
		fmt.Println(err)
		return
	}
	own := &http.Server{Handler: handler}
	defer own.Close()
	go func() { _ = own.Serve(listener) }()

	page := baseURL + "/app/"
	ada, unknown := exampleBrowser(ctx, page), &http.Client{}
	fmt.Println("a known browser:    ", outcome(ctx, ada, http.MethodGet, page))
	fmt.Println("an unknown browser: ", outcome(ctx, unknown, http.MethodGet, page))
	fmt.Println("a cross-site POST:  ", outcome(ctx, ada, http.MethodPost, page, "Origin", "https://evil.example"))
	fmt.Println("a foreign Host:     ", outcome(ctx, ada, http.MethodGet, page, "Host", "evil.example"))
	// Output:
	// a known browser:     200 Hello Ada Lovelace.
	// an unknown browser:  401
	// a cross-site POST:   403
	// a foreign Host:      421
}

// guarded returns a server in which only the logged-in user's browser reaches app.
func guarded(ctx context.Context, s *session.Session, baseURL string, app http.Handler) (http.Handler, error) {
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

// exampleProvider starts the embedded tenant with one client and one user.
func exampleProvider(ctx context.Context, baseURL string) (issuer, clientID string, end func()) {
	at, err := tenant.Start(ctx, tenant.Config{
		Clients: []tenant.Client{{
			ID: "example", RedirectURIs: []string{baseURL + "/auth/callback"}, PostLogoutRedirectURIs: []string{baseURL},
		}},
		Users: []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}},
	})
	if err != nil {
		panic(err)
	}
	return at.Issuer(), "example", at.Close
}

// exampleBrowser is the browser of a user who opens a page and logs in on the way there.
func exampleBrowser(ctx context.Context, page string) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	if _, err := (tenant.Person{Email: "ada@example.com", Password: "x", Jar: jar}).Visit(ctx, page); err != nil {
		panic(err)
	}
	return &http.Client{Jar: jar}
}

// outcome returns the status, and the body where it is a page of the app.
func outcome(ctx context.Context, browser *http.Client, method, target string, headers ...string) string {
	req, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return err.Error()
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.Host = req.Header.Get("Host")
	resp, err := browser.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		body = nil
	}
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", string(body)))
}
