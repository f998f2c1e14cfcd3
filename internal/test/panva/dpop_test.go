package panva_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A session whose tokens are bound to its key (DPoP), at a provider that wants its own nonce in each proof: the login
// costs one request more for it, a renewal none. UserInfo takes the token with a proof, and not as a bearer token.
func TestDPoP(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := panva.Start(t, panva.Options{ProofNonce: true})
	p, err := provider.New(provider.Config{Issuer: s.Issuer, ClientID: panva.Public, DPoP: true})
	if err != nil {
		t.Fatal(err)
	}
	mine := session.New(session.Config{Profile: "default", Provider: p, Store: keystore.Memory(), StateDir: t.TempDir()})
	before := s.Requests(t)["POST /token"]
	tokens, err := loopback.Login(ctx, loopback.Config{
		Provider: p, BaseURL: baseURL(t), Params: url.Values{"prompt": {"consent"}}, OpenBrowser: s.Browse,
		Store: mine.Begin,
	})
	if err != nil || tokens.TokenType != "DPoP" {
		t.Fatal(tokens, err)
	}
	if got := s.Requests(t)["POST /token"] - before; got != 2 {
		t.Errorf("the login made %d token requests", got)
	}
	if tokens.UserInfo.Text("name") != "Ada Lovelace" {
		t.Errorf("UserInfo was not asked with a proof: %v", tokens.UserInfo)
	}
	before = s.Requests(t)["POST /token"]
	for range 2 {
		if _, err := mine.AccessToken(ctx, session.Request{Force: true, Proves: true}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Requests(t)["POST /token"] - before; got != 2 {
		t.Errorf("two renewals made %d requests", got)
	}
	if _, err := mine.AccessToken(ctx, session.Request{}); !errors.Is(err, session.ErrBound) {
		t.Errorf("as a bearer token: %v", err)
	}
	get := func(c *http.Client, change func(*http.Request)) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	if status, body := get(mine.Client(ctx, session.Request{}), func(*http.Request) {}); status != http.StatusOK ||
		!strings.Contains(body, panva.Subject) {
		t.Errorf("UserInfo by Client: %d %s", status, body)
	}
	token, err := mine.AccessToken(ctx, session.Request{Proves: true})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := get(new(http.Client), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token.Token.Reveal())
	})
	if status != http.StatusUnauthorized {
		t.Errorf("as a bearer token: %d", status)
	}

	// To a client whose tokens are bound to keys, and that sends no proof, it says no more than invalid_grant.
	unbound, err := provider.New(provider.Config{Issuer: s.Issuer, ClientID: "bound"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = loopback.Login(ctx, loopback.Config{Provider: unbound, BaseURL: baseURL(t), OpenBrowser: s.Browse})
	if provider.Diagnose(err).Reason != provider.ReasonMaybeProofMissing {
		t.Errorf("without a proof: %v, %+v", err, provider.Diagnose(err))
	}

	// By a code on another device: with a key of its own, whose nonce is asked for once.
	own := token.Prover.Key().Reveal()
	device, err := p.StartDevice(ctx, "openid profile email offline_access", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Visit(ctx, device.VerificationURIComplete); err != nil {
		t.Fatal(err)
	}
	before = s.Requests(t)["POST /token"]
	tokens, err = p.WaitDevice(ctx, device)
	if err != nil || tokens.TokenType != "DPoP" {
		t.Fatal(tokens, err)
	}
	if got := s.Requests(t)["POST /token"] - before; got != 2 {
		t.Errorf("the login by a code made %d token requests", got)
	}
	if err := mine.Begin(ctx, tokens); err != nil {
		t.Fatal(err)
	}
	before = s.Requests(t)["POST /token"]
	token, err = mine.AccessToken(ctx, session.Request{Force: true, Proves: true})
	if got := s.Requests(t)["POST /token"] - before; err != nil || got != 1 || token.Prover.Key().Reveal() == own {
		t.Errorf("its renewal made %d requests: %v", got, err)
	}
	if status, body := get(mine.Client(ctx, session.Request{}), func(*http.Request) {}); status != http.StatusOK ||
		!strings.Contains(body, panva.Subject) {
		t.Errorf("UserInfo by Client: %d %s", status, body)
	}
}
