package panva_test

import (
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/panva"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A step-up at a provider that others wrote: an essential acr and max_age=0 are met, renewed, and end with the session.
func TestStepUp(t *testing.T) {
	t.Parallel()
	const acr = "urn:example:mfa"
	s := panva.Start(t, panva.Options{ACR: acr})
	p := client(t, s, panva.Public)
	mine := session.New(session.Config{Profile: "default", Provider: p, Store: keystore.Memory(), StateDir: t.TempDir()})
	first := login{}.run(t, s, p)
	delete(first.Claims, "acr") // as if that login had been made by a password alone
	if err := mine.Begin(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	strong := session.Request{Need: provider.Requirement{ACR: "urn:example:another " + acr}}
	if _, err := mine.AccessToken(t.Context(), strong); !errors.Is(err, session.ErrStepUp) {
		t.Fatalf("without a step-up: %v", err)
	}
	now := provider.Requirement{ACR: strong.Need.ACR, MaxAge: provider.MaxAgeNow}
	tokens := login{need: now}.run(t, s, p)
	if at := tokens.Claims.Time("auth_time"); at.Before(first.Claims.Time("auth_time")) || time.Since(at) > time.Minute {
		t.Errorf("authenticated at %v", at)
	}
	if err := mine.StepUp(t.Context(), tokens, now); err != nil {
		t.Fatal(err)
	}
	token, err := mine.AccessToken(t.Context(), strong)
	if err != nil || token.Token.Reveal() != tokens.AccessToken.Reveal() {
		t.Fatalf("the token of the step-up: %v", err)
	}
	strong.Force = true
	if again, err := mine.AccessToken(t.Context(), strong); err != nil || again.Token.Reveal() == token.Token.Reveal() {
		t.Errorf("renewed: %v", err)
	}
	if own, err := mine.AccessToken(t.Context(), session.Request{}); err != nil ||
		own.Token.Reveal() != first.AccessToken.Reveal() {
		t.Errorf("the session's own token: %v", err)
	}
}
