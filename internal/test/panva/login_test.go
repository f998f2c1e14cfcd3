package panva_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// baseURL returns a base URL whose port was free a moment ago.
func baseURL(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// All of it: log in through the loopback server, store the session, renew it, ask for an audience that the login did
// not name, and log out.
func TestTheMainJob(t *testing.T) {
	t.Parallel()
	for _, id := range []string{panva.Public, panva.Confidential} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			s := panva.Start(t, panva.Options{})
			p := client(t, s, id)
			store := keystore.Memory()
			mine := session.New(session.Config{Profile: "default", Provider: p, Store: store, StateDir: t.TempDir()})
			base := baseURL(t)
			tokens, err := loopback.Login(ctx, loopback.Config{
				Provider: p, BaseURL: base, Scope: "openid profile email offline_access read", Audience: panva.Orders,
				Params: url.Values{"prompt": {"consent"}}, OpenBrowser: s.Browse,
				Store: mine.Begin,
			})
			if err != nil {
				t.Fatal(err)
			}
			before := s.Requests(t)
			first, err := mine.AccessToken(ctx, session.Request{MinLifetime: time.Minute})
			if err != nil || first.Token.Reveal() != tokens.AccessToken.Reveal() {
				t.Fatalf("%+v, %v", first, err)
			}
			if got := s.Requests(t)["POST /token"]; got != before["POST /token"] {
				t.Errorf("a valid token cost a request")
			}
			last := first
			for range 3 { // each uses the refresh token of the one before
				renewed, err := mine.AccessToken(ctx, session.Request{Force: true})
				if err != nil {
					t.Fatal(err)
				}
				if renewed.Token.Reveal() == last.Token.Reveal() {
					t.Error("the token is the old one")
				}
				last = renewed
			}
			if got := s.Requests(t)["POST /token"]; got != before["POST /token"]+3 {
				t.Errorf("three renewals made %d requests", got-before["POST /token"])
			}
			// A request for a resource that was not granted would cost this provider's refresh token, so none is sent.
			_, err = mine.AccessToken(ctx, session.Request{Audience: panva.Invoices})
			if !errors.Is(err, session.ErrCannotRenew) {
				t.Errorf("another audience: %v", err)
			}
			if _, err := mine.AccessToken(ctx, session.Request{Force: true}); err != nil {
				t.Errorf("after the request for another audience: %v", err)
			}
			ended, err := mine.End(ctx, session.EndOptions{PostLogoutRedirectURI: base, State: "back"})
			if err != nil {
				t.Fatalf("%+v, %v", ended, err)
			}
			if err := loopback.EndSession(ctx, loopback.EndSessionConfig{
				URL: ended.EndSessionURL, State: "back", BaseURL: base, OpenBrowser: s.Browse,
			}); err != nil {
				t.Errorf("the provider's session: %v", err)
			}
			if _, err := mine.AccessToken(ctx, session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
				t.Errorf("after the logout: %v", err)
			}
			_, err = p.Refresh(ctx, provider.RefreshRequest{RefreshToken: tokens.RefreshToken, Subject: panva.Subject})
			if !errors.Is(err, provider.ErrInvalidGrant) {
				t.Errorf("the refresh token after the logout: %v", err)
			}
		})
	}
}

// A second login in the same browser shares the provider's grant with the first. Revoking the first login's refresh
// token revokes both, so the login is repeated, once.
func TestSecondLogin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	mine := session.New(session.Config{Profile: "default", Provider: p, Store: keystore.Memory(), StateDir: t.TempDir()})
	var repeated int
	login := func() {
		t.Helper()
		_, err := loopback.Login(ctx, loopback.Config{
			Provider: p, BaseURL: baseURL(t), Params: url.Values{"prompt": {"consent"}}, OpenBrowser: s.Browse,
			Store: func(ctx context.Context, t *provider.Tokens) error {
				replaced, err := mine.Replace(ctx, t, func(string) bool { return true })
				if err != nil {
					return err
				}
				again, err := mine.Retire(ctx, replaced)
				if again {
					repeated++
					return loopback.ErrAgain
				}
				return err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mine.AccessToken(ctx, session.Request{Force: true}); err != nil {
			t.Fatalf("the session after the login: %v", err)
		}
	}
	login()
	first := s.Requests(t)["POST /token/revocation"]
	login()
	if s.Requests(t)["POST /token/revocation"] == first {
		t.Error("the refresh token that was replaced was not revoked")
	}
	login()
	t.Logf("%d of 3 logins were repeated", repeated)
	if repeated > 1 {
		t.Errorf("%d logins were repeated: it was not remembered that this provider revokes both", repeated)
	}
}

// A provider that follows RFC 8252, section 7.3 takes a redirect URI with whatever port was free.
func TestAnyPort(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := panva.Start(t, panva.Options{})
	tokens, err := loopback.Login(ctx, loopback.Config{
		Provider: client(t, s, panva.Public), RedirectURI: "http://127.0.0.1:0/auth/callback", OpenBrowser: s.Browse,
	})
	if err != nil || tokens.Claims.Subject() != panva.Subject {
		t.Errorf("got %v, %v", tokens, err)
	}
}

// One login for several audiences (RFC 8707): a renewal for each gets a token for it alone. A provider that refuses one
// of them is asked again for the first alone, in the same browser.
func TestSeveralAudiences(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	mine := session.New(session.Config{Profile: "default", Provider: p, Store: keystore.Memory(), StateDir: t.TempDir()})
	logIn := func(audience string, further ...string) {
		t.Helper()
		if _, err := loopback.Login(ctx, loopback.Config{
			Provider: p, BaseURL: baseURL(t), Scope: "openid offline_access read", Audience: audience, Audiences: further,
			Params: url.Values{"prompt": {"consent"}}, OpenBrowser: s.Browse, Store: mine.Begin,
		}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(audience string) error {
		_, err := mine.AccessToken(ctx, session.Request{Audience: audience, Force: true})
		return err
	}
	for _, audience := range []string{panva.Orders, ""} { // with a token for one of them, and with the default one
		logIn(audience, panva.Invoices)
		for range 2 {
			for _, wanted := range []string{panva.Invoices, audience} {
				if err := get(wanted); err != nil { // whose aud is another
					t.Errorf("for %q of %q: %v", wanted, audience, err)
				}
			}
		}
	}
	logIn(panva.Orders, panva.Invoices, "https://unknown.example.com/")
	if err := get(panva.Invoices); !errors.As(err, new(*session.AudienceError)) {
		t.Errorf("what the provider refused at the login: %v", err)
	}
	if err := get(panva.Orders); err != nil {
		t.Error(err)
	}
}
