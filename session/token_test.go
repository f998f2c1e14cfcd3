package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

func TestCachedUntilItIsNot(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	tokens := s.login("")
	for range 3 {
		token, err := s.get(session.Request{MinLifetime: time.Minute})
		if err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
			t.Fatalf("got %v", err)
		}
	}
	s.requests(0)
	s.ahead.Store(int64(59*time.Minute + 30*time.Second)) // half a minute left
	if _, err := s.get(session.Request{}); err != nil {
		t.Fatal(err)
	}
	s.requests(0)
	renewed, err := s.get(session.Request{MinLifetime: time.Minute})
	if err != nil || renewed.Token.Reveal() == tokens.AccessToken.Reveal() {
		t.Fatalf("got %v", err)
	}
	s.requests(1)
	if _, err := s.get(session.Request{Force: true}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
	// A token that lives shorter than was asked is renewed once for each call, and handed out.
	if _, err := s.get(session.Request{MinLifetime: 10 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	s.requests(1)
}

func TestAudiences(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true})
	s.login(api)
	first, err := s.get(session.Request{Audience: other})
	if err != nil || first.Audience != other {
		t.Fatalf("got %+v, %v", first, err)
	}
	s.requests(1)
	again, err := s.get(session.Request{Audience: other})
	if err != nil || again.Token.Reveal() != first.Token.Reveal() {
		t.Errorf("it was not kept: %v", err)
	}
	if token, err := s.get(session.Request{Audience: api}); err != nil || token.Audience != api {
		t.Errorf("got %+v, %v", token, err)
	}
	s.requests(0)
	_, err = s.get(session.Request{Audience: "https://forbidden.example.com/"})
	if !errors.Is(err, provider.ErrAudience) {
		t.Errorf("got %v", err)
	}
	if info, err := s.process().Info(t.Context()); err != nil || len(info.AccessTokens) != 2 {
		t.Errorf("got %+v, %v", info.AccessTokens, err)
	}
	// A token of fewer scopes is asked for by their names, is kept apart, and is never handed out for more scopes.
	narrow, err := s.get(session.Request{Scope: "email openid"})
	if err != nil || narrow.Scope != "email openid" {
		t.Errorf("got %+v, %v", narrow, err)
	}
	same, err := s.get(session.Request{Scope: "openid  email"})
	if err != nil || same.Token.Reveal() != narrow.Token.Reveal() {
		t.Errorf("got %v", err)
	}
	if token, err := s.get(session.Request{}); err != nil || !strings.Contains(token.Scope, "profile") {
		t.Errorf("got %+v, %v", token, err)
	}
	if _, err := s.get(session.Request{Scope: "openid write:everything"}); !errors.Is(err, provider.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestIDToken(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.login("")
	id, expiry, err := s.process().IDToken(t.Context(), time.Minute, false)
	if err != nil || id.Reveal() != tokens.IDToken.Reveal() || time.Until(expiry) < 9*time.Hour {
		t.Fatalf("%v, %v", expiry, err)
	}
	s.requests(0)
	s.ahead.Store(int64(11 * time.Hour))
	id, _, err = s.process().IDToken(t.Context(), time.Minute, false)
	if err != nil || id.Reveal() == tokens.IDToken.Reveal() {
		t.Errorf("it was not renewed: %v", err)
	}
	s.requests(1)
}

func TestSessionsEndWhenTheProviderSays(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{OnIDToken: func(claims map[string]any) {
		claims["session_expiry"] = time.Now().Add(10 * time.Minute).Unix()
	}})
	s.login("")
	if _, err := s.get(session.Request{}); err != nil {
		t.Fatal(err)
	}
	s.ahead.Store(int64(11 * time.Minute))
	if _, err := s.get(session.Request{}); !errors.Is(err, session.ErrExpired) {
		t.Errorf("got %v", err)
	}
	s.requests(0)
}
