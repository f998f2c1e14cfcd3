package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/ready"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/session"
)

// A user logs in where nobody is logged in yet, and the program calls an API with an access token that stays fresh.
func Example() {
	world, err := newWorld()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer world.close()
	for range 2 { // the second time the user is logged in already
		text, err := world.greeting(context.Background(), world.provider.Issuer(), "example", world.api.URL)
		fmt.Println(text, err)
	}
	fmt.Println(world.provider.Requests("token"), "request for tokens")
	// Output:
	// Hello, Bearer! <nil>
	// Hello, Bearer! <nil>
	// 1 request for tokens
}

func (w *world) greeting(ctx context.Context, issuer, clientID, api string) (string, error) {
	options := session.Options{Issuer: issuer, ClientID: clientID}
	options.Store, options.StateDir, options.CacheDir = w.store, w.dir, w.dir // not the user's own, in an example
	s, err := session.Open(ctx, options)
	if err != nil {
		return "", err
	}
	if _, err := s.Info(ctx); errors.Is(err, session.ErrNotLoggedIn) {
		login := loopback.Config{Provider: s.Provider(), Store: s.Begin}
		login.BaseURL, login.OpenBrowser = w.baseURL, w.browser // likewise
		if _, err := loopback.Login(ctx, login); err != nil {
			return "", err
		}
	}
	client := oauth2.NewClient(ctx, s.TokenSource(ctx, session.Request{}))
	resp, err := client.Get(api)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// A world is what an example needs that nobody else does: a provider, an API, and a user at a browser.
type world struct {
	provider *tenant.Tenant
	api      *httptest.Server
	store    keystore.Store
	dir      string
	baseURL  string
	close    func()
}

func newWorld() (*world, error) {
	ctx := context.Background()
	port, giveBack, err := ready.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	w := &world{store: keystore.Memory(), baseURL: "http://localhost:" + strconv.Itoa(port)}
	if w.dir, err = os.MkdirTemp("", "loopkey-example"); err != nil {
		return nil, err
	}
	w.provider, err = tenant.Start(ctx, tenant.Config{
		Clients: []tenant.Client{{ID: "example", RedirectURIs: []string{w.baseURL + "/auth/callback"}}},
		Users:   []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada", Password: "x"}},
	})
	if err != nil {
		return nil, err
	}
	w.api = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		_, _ = fmt.Fprintf(rw, "Hello, %s!", scheme)
	}))
	w.close = func() {
		w.api.Close()
		w.provider.Close()
		_ = os.RemoveAll(w.dir)
		giveBack()
	}
	return w, nil
}

// browser goes where a browser would, and logs in there.
func (w *world) browser(ctx context.Context, url string) error {
	go func() {
		_, _ = tenant.Person{Email: "ada@example.com", Password: "x"}.Visit(context.WithoutCancel(ctx), url)
	}()
	return nil
}
