package hostile

import (
	"maps"
	"strings"
	"testing"
	"time"

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

// A step-up that is another user's, of another kind or too long ago is none: nothing is printed and nothing kept.
func TestStepUpLies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "TERM=xterm")
	honest := map[string]any{"acr": "mfa", "auth_time": ago(0)}
	for name, c := range house.Some(map[string]struct {
		claims map[string]any
		words  string
	}{
		"another_user": {map[string]any{"sub": "mallory"}, "another user than the one who is logged in"},
		"another_kind": {map[string]any{"acr": "pwd"}, "acr"},
		"no_kind":      {map[string]any{"acr": nil}, "acr"},
		"long_ago":     {map[string]any{"auth_time": ago(time.Hour)}, "authentication time"},
	}) {
		t.Run(name, func(t *testing.T) {
			w.Lie(Lies{
				Claims: func(claims map[string]any) {
					maps.Copy(claims, honest)
					maps.Copy(claims, c.claims)
				},
				UserInfo: func(claims map[string]any) { maps.Copy(claims, c.claims) },
			})
			person := pty.Start(t, w.house.Command(t.Context(), "token", "--acr", "mfa", "--max-age", "60"))
			person.Expect("The token needs an authentication")
			if got := person.Exit(); got != 4 || !strings.Contains(person.Screen(), c.words) {
				t.Errorf("exit code %d, and the screen shows %q", got, person.Screen())
			}
			for _, secret := range w.Secrets() {
				if strings.Contains(person.Screen(), secret) {
					t.Errorf("the screen shows a secret: %s", person.Screen())
				}
			}
			w.unharmed(t)
		})
	}
}
