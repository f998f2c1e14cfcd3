package session_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/kept"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// authenticated returns the tokens of a login that demands what need says.
func (s *scene) authenticated(need provider.Requirement, audience string) *provider.Tokens {
	s.t.Helper()
	ctx, sum := s.t.Context(), sha256.Sum256([]byte(verifier))
	prover, err := s.process().StepUpProver(ctx)
	if err != nil && !errors.Is(err, session.ErrNotLoggedIn) {
		s.t.Fatal(err)
	}
	target, err := s.p.AuthorizationURL(ctx, provider.AuthorizationRequest{
		RedirectURI: redirect, State: "s", Nonce: "n", Scope: "openid profile email offline_access", Audience: audience,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]), ACR: need.ACR, Extra: need.Params(),
		Prover: prover,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	page, err := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: redirect}.Visit(ctx, target)
	if err != nil {
		s.t.Fatal(err)
	}
	back, err := url.Parse(page.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := s.p.Exchange(ctx, provider.CodeExchange{
		Code: provider.NewSecret(back.Query().Get("code")), RedirectURI: redirect, Audience: audience,
		CodeVerifier: provider.NewSecret(verifier), Nonce: "n", ACR: need.ACR, MaxAge: need.MaxAge,
		Prover: prover,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return tokens
}

func (s *scene) stepUp(need provider.Requirement, audience string) {
	s.t.Helper()
	if err := s.process().StepUp(s.t.Context(), s.authenticated(need, audience), need); err != nil {
		s.t.Fatal(err)
	}
	s.tenant.Reset()
}

// records counts what is in the keystore of the session and its step-ups.
func (s *scene) records() (n int) {
	s.t.Helper()
	entries, err := os.ReadDir(s.cfg.StateDir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".lock")
		if _, err := s.store.Head(s.t.Context(), name); ok && err == nil {
			n++
		}
	}
	return n
}

func lacks(err error, factor bool) bool {
	step := new(session.StepUpError)
	return errors.As(err, &step) && step.Factor == factor && errors.Is(err, session.ErrCannotRenew)
}

var (
	mfa    = provider.Requirement{ACR: "mfa"}
	recent = provider.Requirement{MaxAge: 10 * time.Minute}
)

// A step-up is kept beside the session, is used for what it meets, is renewed, and ends with the session.
func TestStepUp(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Rotate: true})
	s.cfg.Apart = func(ctx context.Context, order []byte) ([]byte, error) {
		apart := s.cfg
		apart.Apart = nil
		return renewed(ctx, session.New(apart), order), nil
	}
	own := s.login(api).AccessToken.Reveal()
	if _, err := s.get(session.Request{Need: mfa}); !lacks(err, false) {
		t.Fatalf("without a step-up: %v", err)
	}
	if token, err := s.get(session.Request{Need: recent}); err != nil || token.Token.Reveal() != own {
		t.Errorf("the session's own authentication is recent: %v", err)
	}
	s.requests(0)
	s.stepUp(mfa, api)
	token, err := s.get(session.Request{Need: mfa})
	if err != nil || token.Token.Reveal() == own {
		t.Fatalf("the token of the step-up: %v", err)
	}
	if again, err := s.get(session.Request{}); err != nil || again.Token.Reveal() != own {
		t.Errorf("the session has another token than before: %v", err)
	}
	if stored, ok, err := s.process().StoredToken(t.Context(), session.Request{Need: mfa}); err != nil || !ok ||
		stored.Token != token.Token && stored.Token.Reveal() != token.Token.Reveal() {
		t.Errorf("StoredToken: %v, %v", ok, err)
	}
	for _, need := range []provider.Requirement{{ACR: "hw"}, {ACR: "mfa hw", MaxAge: provider.MaxAgeNow}} {
		if _, err := s.get(session.Request{Need: need}); !lacks(err, false) {
			t.Errorf("%+v: %v", need, err)
		}
	}
	if _, err := s.get(session.Request{Need: mfa, Audience: other}); !lacks(err, false) {
		t.Errorf("for another audience: %v", err)
	}
	s.requests(0)

	s.ahead.Store(int64(2 * time.Hour)) // an access token lives for one
	if _, err := s.get(session.Request{Need: recent}); !lacks(err, false) {
		t.Errorf("hours later: %v", err)
	}
	later, err := s.get(session.Request{Need: mfa})
	if err != nil || later.Token.Reveal() == token.Token.Reveal() {
		t.Fatalf("the step-up is not renewed: %v", err)
	}
	s.requests(1)
	refusal := session.Refusal{Request: session.Request{Need: mfa}, Token: later.Token}
	if err := s.process().Refuse(t.Context(), refusal); err != nil {
		t.Fatal(err)
	}
	if after, err := s.get(session.Request{Need: mfa}); err != nil || after.Token.Reveal() == later.Token.Reveal() {
		t.Errorf("a refused token is handed out again: %v", err)
	}
	s.requests(1)

	s.stepUp(mfa, api) // in place of the one before, whose refresh token is revoked with the session
	if n := s.records(); n != 2 {
		t.Errorf("%d records", n)
	}
	ended, err := s.process().End(t.Context(), session.EndOptions{})
	if err != nil || !ended.Revoked || s.tenant.Requests("revoke") != 3 || s.records() != 0 {
		t.Errorf("%+v, %v: %d revocations, %d records left", ended, err, s.tenant.Requests("revoke"), s.records())
	}
	if _, err := s.get(session.Request{Need: mfa}); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("after the logout: %v", err)
	}
}

// What was just made for max_age=0 is good for the one who asked, and for nobody later.
func TestStepUpNow(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	now := provider.Requirement{MaxAge: provider.MaxAgeNow}
	begun := time.Now()
	s.stepUp(now, "")
	if _, err := s.get(session.Request{Need: now}.Since(begun)); err != nil {
		t.Errorf("the one who asked: %v", err)
	}
	if _, err := s.get(session.Request{Need: now}.Since(time.Now())); !lacks(err, false) {
		t.Errorf("the next one: %v", err)
	}
	s.ahead.Store(int64(5 * time.Minute))
	if _, err := s.get(session.Request{Need: now}.Since(begun)); !lacks(err, false) {
		t.Errorf("minutes later: %v", err)
	}
}

// A step-up is of the session's user and of the session's login.
func TestStepUpOfAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	tokens := s.authenticated(mfa, "")
	if err := s.process().StepUp(t.Context(), tokens, mfa); !errors.Is(err, session.ErrNotLoggedIn) {
		t.Errorf("without a session: %v", err)
	}
	s.login("")
	tokens.Claims["sub"] = "eve"
	if err := s.process().StepUp(t.Context(), tokens, mfa); !errors.Is(err, session.ErrAnotherUser) || s.records() != 1 {
		t.Errorf("of another user: %v, %d records", err, s.records())
	}

	// An older version of loopkey ends the session, and leaves what it does not know.
	s.stepUp(mfa, "")
	if err := s.store.Delete(t.Context(), s.process().Name()); err != nil {
		t.Fatal(err)
	}
	s.login("")
	if _, err := s.get(session.Request{Need: mfa}); !lacks(err, false) || s.records() != 1 {
		t.Errorf("after another login: %v, %d records", err, s.records())
	}
	s.stepUp(mfa, "")
	mine := s.process()
	replaced, err := mine.Replace(t.Context(), s.tokens(""), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	s.tenant.Reset()
	if again, err := mine.Retire(t.Context(), replaced); err != nil || again || s.tenant.Requests("revoke") != 2 {
		t.Errorf("%v, %v: %d revocations", again, err, s.tenant.Requests("revoke"))
	}
	if _, err := s.get(session.Request{Need: mfa}); !lacks(err, false) || s.records() != 1 {
		t.Errorf("after a login in its place: %v, %d records", err, s.records())
	}
}

// A renewal that tells of another authentication brings no token.
func TestStepUpRenewedWithout(t *testing.T) {
	t.Parallel()
	strong := true
	s := newScene(t, tenant.Config{OnIDToken: func(claims map[string]any) {
		if !strong {
			claims["acr"] = "pwd"
		}
	}})
	s.login("")
	s.stepUp(mfa, "")
	strong = false
	if _, err := s.get(session.Request{Need: mfa, Force: true}); !lacks(err, false) {
		t.Errorf("got %v", err)
	}
	if _, err := s.get(session.Request{Need: mfa}); !lacks(err, false) {
		t.Errorf("then %v", err)
	}
}

// Where the provider demands another factor before it renews, a step-up has the tokens, and a living token is still
// handed out.
func TestAnotherFactor(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{Auth0: true, Rotate: true})
	own := s.login(api).AccessToken.Reveal()
	s.tenant.DemandMFA()
	if token, err := s.get(session.Request{MinLifetime: 48 * time.Hour}); err != nil || token.Token.Reveal() != own {
		t.Errorf("the living token: %v", err)
	}
	if _, err := s.get(session.Request{Force: true}); !lacks(err, true) || !errors.Is(err, session.ErrAnotherFactor) {
		t.Fatalf("got %v", err)
	}
	multi := provider.Requirement{ACR: "http://schemas.openid.net/pape/policies/2007/06/multi-factor"}
	s.stepUp(multi, api)
	s.ahead.Store(int64(2 * time.Hour))
	token, err := s.get(session.Request{})
	if err != nil || token.Token.Reveal() == own {
		t.Fatalf("with a step-up: %v", err)
	}
	s.requests(2) // one that is refused, and the step-up's renewal
	if info, err := s.process().Info(t.Context()); err != nil || !info.Renewable {
		t.Errorf("the session has ended: %+v, %v", info, err)
	}
}

// The token of a step-up that a server refused is renewed, also for a program that keeps tokens in memory, and where
// the report does not say what the token was for.
func TestStepUpRefused(t *testing.T) {
	t.Parallel()
	for name, reported := range map[string]session.Request{
		"with what it was for": {Need: mfa, Audience: api}, "without": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, tenant.Config{Rotate: true})
			own := s.login(api).AccessToken.Reveal()
			s.stepUp(mfa, api)
			tokens := kept.New(s.process(), s.cfg.Now)
			last := ""
			for range 3 {
				token, err := tokens.AccessToken(t.Context(), session.Request{Need: mfa, Audience: api})
				if err != nil || token.Token.Reveal() == last {
					t.Fatalf("the refused token is handed out again, or none: %v", err)
				}
				last = token.Token.Reveal()
				if err := tokens.Refuse(t.Context(), session.Refusal{Request: reported, Token: token.Token}); err != nil {
					t.Fatal(err)
				}
			}
			s.requests(2)
			if token, err := s.get(session.Request{}); err != nil || token.Token.Reveal() != own {
				t.Errorf("the session has another token than before: %v", err)
			}
		})
	}
}

// What was stored of a step-up can't be used where the keystore can't be asked.
func TestStepUpKeystore(t *testing.T) {
	t.Parallel()
	s := newScene(t, tenant.Config{})
	s.login("")
	tokens := s.authenticated(mfa, "")
	s.cfg.Store = failing{s.store, keystore.ErrUnavailable}
	if err := s.process().StepUp(t.Context(), tokens, mfa); !errors.Is(err, keystore.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
