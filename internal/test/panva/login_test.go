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

// baseURL is one with a port that was free a moment ago, on both loopbacks or on 127.0.0.1 alone.
func baseURL(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// The whole story: log in through the loopback server, keep the session, renew it, get
// a token that the login did not name, and end it all.
func TestTheMainJob(t *testing.T) {
	t.Parallel()
	for _, id := range []string{panva.Public, panva.Confidential} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := panva.Start(t, panva.Options{})
			p := client(t, s, id)
			store := keystore.Memory()
			mine := session.New(session.Config{Profile: "default", Provider: p, Store: store, StateDir: t.TempDir()})
			base := baseURL(t)
			tokens, err := loopback.Login(ctx, loopback.Config{
				Provider: p, BaseURL: base, Scope: "openid profile email offline_access read", Audience: panva.Orders,
				Params: url.Values{"prompt": {"consent"}}, OpenBrowser: s.Browse,
				Store: func(ctx context.Context, t *provider.Tokens) error {
					_, err := mine.Begin(ctx, t)
					return err
				},
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
				t.Errorf("a token that is good made a request")
			}
			last := first
			for range 3 { // each takes the refresh token that the last one brought
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
			// This provider would take the refresh token for a resource that was not granted: it is not asked.
			if _, err := mine.AccessToken(ctx, session.Request{Audience: panva.Invoices}); !errors.Is(err, session.ErrCannotRenew) {
				t.Errorf("another audience: %v", err)
			}
			if _, err := mine.AccessToken(ctx, session.Request{Force: true}); err != nil {
				t.Errorf("and after it: %v", err)
			}
			ended, err := mine.End(ctx, session.EndOptions{PostLogoutRedirectURI: base, State: "back"})
			if err != nil {
				t.Fatalf("%+v, %v", ended, err)
			}
			if err := loopback.EndSession(ctx, loopback.EndSessionConfig{URL: ended.EndSessionURL, State: "back", BaseURL: base, OpenBrowser: s.Browse}); err != nil {
				t.Errorf("the provider's session: %v", err)
			}
			if _, err := mine.AccessToken(ctx, session.Request{}); !errors.Is(err, session.ErrNotLoggedIn) {
				t.Errorf("after the logout: %v", err)
			}
			if _, err := p.Refresh(ctx, provider.RefreshRequest{RefreshToken: tokens.RefreshToken, Subject: panva.Subject}); !errors.Is(err, provider.ErrInvalidGrant) {
				t.Errorf("the refresh token after the logout: %v", err)
			}
		})
	}
}

// A second login in the same browser shares the grant of the first, and revoking the
// refresh token that it replaced revokes both: the browser is sent through once more.
func TestSecondLogin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
				replaced, err := mine.Begin(ctx, t)
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
	t.Logf("%d of 3 logins were made once more", repeated)
	if repeated > 1 {
		t.Errorf("the browser was sent through %d times more: it is not remembered that this provider revokes both", repeated)
	}
}
