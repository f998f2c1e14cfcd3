package hostile

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/pty"
)

// What a step-up brings is bound to the key of its session (RFC 9449), whoever makes its login, or it is not stored.
func TestBoundStepUp(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer(), "TERM=xterm")
	honest := Lies{
		Discovery: set("dpop_signing_alg_values_supported", []string{"ES256"}), Token: set("token_type", "DPoP"),
	}
	p.Lie(honest)
	h.Must("login", "--dpop")
	honest.Claims = set("acr", "mfa")
	stepUp := func(lies Lies, acr string, code int, words string) {
		t.Helper()
		p.Lie(lies)
		person := pty.Start(t, h.Command(t.Context(), "token", "--acr", acr, "--dpop-proof", "GET", "https://a.example/"))
		person.Expect("The token needs an authentication")
		if got := person.Exit(); got != code || !strings.Contains(person.Screen(), words) {
			t.Errorf("exit code %d, and the screen shows %q", got, person.Screen())
		}
	}
	foreign := forge.RS256().Token(map[string]any{
		"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
	})
	for words, lie := range map[string]func(map[string]any){
		"bound to no key": set("token_type", "Bearer"),
		"bound to another key": func(body map[string]any) {
			body["token_type"], body["access_token"] = "DPoP", foreign
		},
	} {
		lies := honest
		lies.Token = lie
		stepUp(lies, "mfa", 4, words)
		if shown := h.Must("status", "-o", "json"); strings.Contains(shown, "step_ups") {
			t.Errorf("a step-up is kept: %s", shown)
		}
	}
	stepUp(honest, "mfa", 0, "Authorization: DPoP ")
	h.Serve()
	honest.Claims = set("acr", "sms")
	stepUp(honest, "sms", 0, "Authorization: DPoP ")
	keys := map[string]bool{}
	for _, q := range p.Queries() {
		keys[q.Get("dpop_jkt")] = true
	}
	if len(keys) != 1 || keys[""] {
		t.Errorf("the logins were for the keys %v", keys)
	}
}
