package hostile

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// Where this machine's clock is wrong, loopkey says by how much, and the session survives although the renewal used up
// the refresh token.
func TestClocks(t *testing.T) {
	t.Parallel()
	all := newWorlds(t)
	for name, c := range map[string]struct {
		ahead time.Duration // how far the provider's clock is ahead of ours
		words string
	}{
		"behind by minutes": {12 * time.Minute, "this computer's clock is 12m behind the provider's: set it"},
		"behind by hours":   {5*time.Hour + 30*time.Minute, "this computer's clock is 5h30m behind the provider's: set it"},
		"ahead by minutes":  {-70 * time.Minute, "this computer's clock is 1h10m ahead of the provider's: set it"},
		"ahead by a day":    {-24 * time.Hour, "this computer's clock is 24h0m ahead of the provider's: set it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := all.borrow(t)
			m := w.machine(t)
			var first string
			off := func() {
				w.Lie(Lies{Claims: func(claims map[string]any) {
					claims["iat"], claims["exp"] = ago(-c.ahead), ago(-c.ahead-time.Hour)
				}})
				for _, endpoint := range []string{Discovery, Keys, Token} {
					w.On(endpoint, func(w http.ResponseWriter, r *http.Request) bool {
						w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
						if token := r.PostFormValue("refresh_token"); token != "" {
							first = token
						}
						return false
					})
				}
			}
			off()
			house.Refused(t, m.run(t, "login"), 4, c.words)
			w.unharmed(t)
			house.Refused(t, m.run(t, "token", "--force-refresh"), 4, c.words)
			if now := w.stored(t); len(now.Head) == 0 || bytes.Equal(now.Body, w.was.Body) && bytes.Equal(now.Head, w.was.Head) {
				t.Error("the new refresh token was not kept")
			}
			w.Confess() // both clocks agree
			w.On(Token, func(w http.ResponseWriter, r *http.Request) bool {
				if r.PostFormValue("refresh_token") != first {
					return false
				}
				refuse(w, http.StatusBadRequest, "invalid_grant", "it was used before")
				return true
			})
			if r := m.run(t, "token", "--force-refresh"); r.Code != 0 || r.Stdout == "" {
				t.Errorf("exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
}

// Without an ID token there is only expires_in, which does not depend on the clock.
func TestClocksWithoutIDToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.machine(t)
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		w.Lie(Lies{Token: without("id_token")})
		w.On(Token, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			return false
		})
		if r := m.run(t, "token", "--force-refresh"); r.Code != 0 || r.Stdout == "" {
			t.Errorf("%s: exit %d: %s", ahead, r.Code, r.Stderr)
		}
		w.Reset()
		if r := m.run(t, "token"); r.Code != 0 || w.Requests(Token) != 0 {
			t.Errorf("%s: exit %d after %d requests: %s", ahead, r.Code, w.Requests(Token), r.Stderr)
		}
	}
}
