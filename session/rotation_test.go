package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A renewal whose response is not believed hands nothing out, and the session goes on. Where refresh tokens rotate and
// a second use is taken for theft, the refresh token in that response is the only one that still works.
func TestRotationOutlivesLies(t *testing.T) {
	t.Parallel()
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	for name, c := range map[string]struct {
		idToken, response func(map[string]any)
		keys              int // the status of the key set; 0: honest
		want              error
	}{
		"another person":    {idToken: set("sub", "mallory"), want: provider.ErrSubject},
		"another issuer":    {idToken: set("iss", "https://mallory.example.com"), want: provider.ErrIssuer},
		"another client":    {idToken: set("aud", "mallory"), want: provider.ErrAudience},
		"of the future":     {idToken: set("iat", time.Now().Add(time.Hour).Unix()), want: provider.ErrIssuedAt},
		"no ID token":       {response: set("id_token", "opaque"), want: provider.ErrMalformed},
		"no Bearer":         {response: set("token_type", "DPoP"), want: provider.ErrTokenType},
		"no access token":   {response: set("access_token", ""), want: provider.ErrMalformed},
		"an expiry past":    {response: set("expires_in", -1), want: provider.ErrExpired},
		"keys not there":    {keys: http.StatusNotFound, want: provider.ErrRefused},
		"keys out of reach": {keys: http.StatusServiceUnavailable, want: provider.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lying atomic.Bool
			lie := func(change func(map[string]any)) func(map[string]any) {
				return func(m map[string]any) {
					if lying.Load() && change != nil {
						change(m)
					}
				}
			}
			s := newScene(t, tenant.Config{Rotate: true, OnIDToken: lie(c.idToken), OnTokenResponse: lie(c.response),
				Intercept: func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
					if endpoint != "keys" || c.keys == 0 || !lying.Load() {
						return false
					}
					w.WriteHeader(c.keys)
					return true
				}})
			good := s.login("").AccessToken.Reveal()
			if c.keys != 0 {
				s.forgetKeys()
			}
			s.cfg.Notice = func(err error) { t.Errorf("it is said that %v", err) }
			lying.Store(true)
			for range 2 { // the second has the rotated refresh token
				token, err := s.get(session.Request{Force: true})
				if !errors.Is(err, c.want) || !token.Token.IsZero() {
					t.Fatalf("got %v", err)
				}
			}
			lying.Store(false)
			if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != good {
				t.Errorf("the token from before is not handed out: %v", err)
			}
			for range 2 {
				if token, err := s.get(session.Request{Force: true}); err != nil || token.Token.Reveal() == good {
					t.Errorf("the session is of no more use: %v", err)
				}
			}
			if got := s.tenant.ReusedFamilies(); got != 0 {
				t.Errorf("%d refresh tokens were used twice", got)
			}
		})
	}
}

// A refresh token that came beside another subject's ID token hands out nothing until the provider says whose it is.
func TestUnprovenRefreshToken(t *testing.T) {
	t.Parallel()
	const (
		honest = iota
		another
		silent
		crooked
	)
	var mood atomic.Int32
	s := newScene(t, tenant.Config{Rotate: true,
		OnIDToken: func(claims map[string]any) {
			if mood.Load() == another {
				claims["sub"] = "mallory"
			}
		},
		OnTokenResponse: func(response map[string]any) {
			switch mood.Load() {
			case silent:
				delete(response, "id_token")
			case crooked:
				response["token_type"] = "DPoP"
			}
		}})
	s.login("")
	for _, c := range []struct {
		mood int32
		want error
	}{
		{silent, nil}, {another, provider.ErrSubject}, {silent, provider.ErrSubject}, {crooked, provider.ErrTokenType},
		{silent, provider.ErrSubject}, {honest, nil}, {silent, nil},
	} {
		mood.Store(c.mood)
		if _, err := s.get(session.Request{Force: true}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("mood %d: got %v, want %v", c.mood, err, c.want)
		}
	}
	if got := s.tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d refresh tokens were used twice", got)
	}
}

// A clock that was ahead at the login and is set right since has left tokens with a wrong expiry. They are renewed,
// both when they are asked for and by force.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true, OpaqueAccessTokens: true})
	s.ahead.Store(int64(90 * time.Minute))
	old := s.login("").AccessToken.Reveal()
	s.ahead.Store(0)
	token, err := s.get(session.Request{MinLifetime: time.Minute})
	if err != nil || token.Token.Reveal() == old || token.Expiry.After(time.Now().Add(time.Hour)) {
		t.Errorf("until %v: %v", token.Expiry, err)
	}
	s.requests(1)
	s.ahead.Store(int64(90 * time.Minute))
	s.login("")
	s.ahead.Store(0)
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Error(err)
	}
	s.requests(1)
}

// A login that waits for a logout to end is noted after it, so that the next command finds it.
func TestLoginBesideLogout(t *testing.T) {
	t.Parallel()
	revoking, goOn := make(chan struct{}), make(chan struct{})
	s := newScene(t, tenant.Config{Intercept: func(endpoint string, _ http.ResponseWriter, _ *http.Request) bool {
		if endpoint == "revoke" {
			close(revoking)
			<-goOn
		}
		return false
	}})
	s.cfg.Known = known.Client{Profile: "default", Issuer: s.p.Issuer(), ClientID: clientID}
	s.login("")
	next := s.tokens("")
	ended := make(chan error, 1)
	go func() {
		_, err := s.process().End(context.Background(), session.EndOptions{})
		ended <- err
	}()
	<-revoking
	begun := make(chan error, 1)
	go func() {
		err := s.process().Begin(context.Background(), next)
		begun <- err
	}()
	close(goOn)
	if err := errors.Join(<-ended, <-begun); err != nil {
		t.Fatal(err)
	}
	noted, err := known.All(s.cfg.StateDir)
	if _, infoErr := s.process().Info(t.Context()); infoErr != nil || err != nil || len(noted) != 1 {
		t.Errorf("known: %v, %v; the session: %v", noted, err, infoErr)
	}
}
