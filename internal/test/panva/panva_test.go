package panva_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/provider"
)

const redirectURI = "http://localhost:3000/auth/callback"

func client(t *testing.T, s *panva.Server, id string) *provider.Provider {
	t.Helper()
	cfg := provider.Config{Issuer: s.Issuer, ClientID: id}
	if strings.HasPrefix(id, panva.Confidential) {
		cfg.ClientSecret = provider.NewSecret(panva.Secret)
	}
	p, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A login does what a browser and a callback do, without either.
type login struct {
	scope, audience string
	need            provider.Requirement
}

func (l login) run(t *testing.T, s *panva.Server, p *provider.Provider) *provider.Tokens {
	t.Helper()
	tokens, err := l.attempt(t, s, p)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (l login) attempt(t *testing.T, s *panva.Server, p *provider.Provider) (*provider.Tokens, error) {
	t.Helper()
	ctx := t.Context()
	if l.scope == "" {
		l.scope = "openid profile email offline_access"
	}
	state, nonce, verifier := rand.Text(), rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	extra := l.need.Params()
	extra.Set("prompt", "consent") // without it there is no offline_access (OpenID Connect Core 1.0, section 11)
	target, err := p.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: redirectURI, State: state, Nonce: nonce, Scope: l.scope, Audience: l.audience,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(challenge[:]),
		ACR:           l.need.ACR, Extra: extra,
	})
	if err != nil {
		return nil, err
	}
	final, err := s.Visit(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(final)
	if err != nil || !strings.HasPrefix(final, redirectURI+"?") || back.Query().Get("state") != state {
		t.Fatalf("the browser came to %q, %v", final, err)
	}
	code, err := p.CheckResponse(ctx, back.Query())
	if err != nil {
		return nil, err
	}
	return p.Exchange(ctx, provider.CodeExchange{
		Code: code, RedirectURI: redirectURI, CodeVerifier: provider.NewSecret(verifier), Nonce: nonce,
		Scope: l.scope, Audience: l.audience, ACR: l.need.ACR, MaxAge: l.need.MaxAge,
	})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		panva.Options
		client string
	}{
		"public":               {client: panva.Public},
		"client_secret_basic":  {client: panva.Confidential},
		"client_secret_post":   {client: panva.ConfidentialPost},
		"pushed":               {panva.Options{RequirePush: true}, panva.Public},
		"pushed with a secret": {panva.Options{RequirePush: true}, panva.Confidential},
		"PS256":                {panva.Options{Algorithm: "PS256"}, panva.Public},
		"ES256":                {panva.Options{Algorithm: "ES256"}, panva.Public},
		"EdDSA":                {panva.Options{Algorithm: "EdDSA"}, panva.Public},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := panva.Start(t, test.Options)
			tokens := login{}.run(t, s, client(t, s, test.client))
			claims := tokens.Claims.With(tokens.UserInfo)
			if claims.Subject() != panva.Subject || claims.Text("email") != "ada@example.com" ||
				claims.Text("name") != "Ada Lovelace" {
				t.Errorf("claims %v", claims)
			}
			left := time.Until(tokens.Expiry)
			if tokens.RefreshToken.IsZero() || tokens.AccessToken.IsZero() || left > 10*time.Minute || left < 9*time.Minute {
				t.Errorf("tokens %+v", tokens)
			}
			requests := s.Requests(t)
			want := map[string]int{
				"POST /token": 1, "GET /jwks": 1, "GET /.well-known/openid-configuration": 1, "GET /me": 1, "POST /request": 0,
			}
			if test.RequirePush {
				want["POST /request"] = 1
			}
			for name, n := range want {
				if requests[name] != n {
					t.Errorf("%s: %d requests, want %d", name, requests[name], n)
				}
			}
		})
	}
}

func TestRenewalRotates(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	first := login{}.run(t, s, p)
	before := s.Requests(t)
	renew := func(refreshToken provider.Secret) (*provider.Tokens, error) {
		return p.Refresh(t.Context(), provider.RefreshRequest{
			RefreshToken: refreshToken, Subject: first.Claims.Subject(), AuthTime: first.Claims.Time("auth_time"),
		})
	}
	second, err := renew(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if second.RefreshToken.IsZero() || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() ||
		second.AccessToken.Reveal() == first.AccessToken.Reveal() {
		t.Error("nothing was rotated")
	}
	after := s.Requests(t)
	for _, name := range []string{"POST /token", "GET /jwks", "GET /me"} {
		want := before[name]
		if name == "POST /token" {
			want++
		}
		if after[name] != want {
			t.Errorf("%s: %d requests, want %d", name, after[name], want)
		}
	}
	// The provider takes a refresh token that is used twice for stolen, and revokes all tokens of the login.
	if _, err := renew(first.RefreshToken); !errors.Is(err, provider.ErrInvalidGrant) {
		t.Errorf("reuse: %v", err)
	}
	if _, err := renew(second.RefreshToken); !errors.Is(err, provider.ErrInvalidGrant) {
		t.Errorf("the family after a reuse: %v", err)
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	tokens := login{scope: "openid offline_access read", audience: panva.Orders}.run(t, s, p)
	audience := func(token provider.Secret) string {
		t.Helper()
		parts := strings.Split(token.Reveal(), ".")
		if len(parts) != 3 {
			t.Fatal("the access token is no JWT")
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		return string(payload)
	}
	got := audience(tokens.AccessToken)
	if !strings.Contains(got, `"aud":"`+panva.Orders+`"`) || tokens.Audience != panva.Orders {
		t.Errorf("%s", got)
	}
	renewed, err := p.Refresh(t.Context(), provider.RefreshRequest{
		RefreshToken: tokens.RefreshToken, Audience: panva.Orders, Subject: panva.Subject,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := audience(renewed.AccessToken); !strings.Contains(got, `"aud":"`+panva.Orders+`"`) {
		t.Errorf("%s", got)
	}
	// A resource that was never granted is refused, and this provider has used up the refresh token.
	_, err = p.Refresh(t.Context(), provider.RefreshRequest{
		RefreshToken: renewed.RefreshToken, Audience: panva.Invoices, Subject: panva.Subject,
	})
	if !errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrInvalidGrant) {
		t.Errorf("another resource: %v", err)
	}
	_, err = login{scope: "openid", audience: "https://unknown.example.com/"}.attempt(t, s, p)
	if !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "invalid_target") {
		t.Errorf("a resource that the provider does not know: %v", err)
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	for _, id := range []string{panva.Public, panva.Confidential, panva.ConfidentialPost} {
		p := client(t, s, id)
		tokens := login{}.run(t, s, p)
		for range 2 { // to revoke a token twice is no error (RFC 7009, section 2.2)
			if err := p.Revoke(t.Context(), tokens.RefreshToken); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		_, err := p.Refresh(t.Context(), provider.RefreshRequest{RefreshToken: tokens.RefreshToken, Subject: panva.Subject})
		if !errors.Is(err, provider.ErrInvalidGrant) {
			t.Errorf("%s: a renewal after the revocation: %v", id, err)
		}
	}
}

func TestEndOfTheProvidersSession(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	tokens := login{}.run(t, s, p)
	target, err := p.EndSessionURL(t.Context(), tokens.IDToken, "http://localhost:3000", "a-state")
	if err != nil {
		t.Fatal(err)
	}
	if final, err := s.Visit(t.Context(), target); err != nil || final != "http://localhost:3000/?state=a-state" {
		t.Errorf("the browser came to %q, %v", final, err)
	}
	// Nobody is logged in at the provider any more, so a login with prompt=none is refused.
	silent, err := p.AuthorizationURL(t.Context(), provider.AuthorizationRequest{
		RedirectURI: redirectURI, State: "s", Nonce: "n", CodeChallenge: strings.Repeat("a", 43), Scope: "openid",
		Extra: url.Values{"prompt": {"none"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	final, err := s.Visit(t.Context(), silent)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(final)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.CheckResponse(t.Context(), back.Query())
	if !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "login_required") {
		t.Errorf("%v", err)
	}
}

func TestWrongClientSecret(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p, err := provider.New(provider.Config{
		Issuer: s.Issuer, ClientID: panva.Confidential, ClientSecret: provider.NewSecret("hush, this is wrong"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = login{}.attempt(t, s, p)
	if !errors.Is(err, provider.ErrRefused) || !strings.Contains(err.Error(), "invalid_client") ||
		strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	clientCredentials(t, s) // at the same server: each start of one takes a second
	tokenExchange(t, s)
}

func TestDevice(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, panva.Public)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	device, err := p.StartDevice(ctx, "openid profile email offline_access read", panva.Orders)
	if err != nil {
		t.Fatal(err)
	}
	if device.UserCode == "" || !strings.HasPrefix(device.VerificationURI, s.Issuer) ||
		!strings.Contains(device.VerificationURIComplete, device.UserCode) {
		t.Errorf("%+v", device)
	}
	if _, err := s.Visit(ctx, device.VerificationURIComplete); err != nil {
		t.Fatal(err)
	}
	tokens, err := p.WaitDevice(ctx, device)
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Claims.Subject() != panva.Subject || tokens.RefreshToken.IsZero() {
		t.Errorf("claims %v", tokens.Claims)
	}
	access, err := provider.PeekClaims(tokens.AccessToken)
	if err != nil || !slices.Contains(access.Audiences(), panva.Orders) || access.Text("scope") != "read" {
		t.Errorf("%v: the access token says %v", err, access)
	}
}

// This provider responds to an unknown client with HTML, which must not get into the error.
func TestUnknownClient(t *testing.T) {
	t.Parallel()
	s := panva.Start(t, panva.Options{})
	p := client(t, s, "nobody")
	_, err := p.Refresh(t.Context(), provider.RefreshRequest{
		RefreshToken: provider.NewSecret("none"), Subject: panva.Subject,
	})
	refused := new(provider.RefusedError)
	if !errors.As(err, &refused) || refused.Code != "invalid_client" || refused.Status != http.StatusUnauthorized {
		t.Errorf("%v", err)
	}
}
