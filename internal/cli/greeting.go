package cli

import (
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// greet says who is logged in and until when, and what the login lacks.
func (a *app) greet(acc *account, t *provider.Tokens) {
	now := time.Now()
	a.say("Logged in as %s at %s.", words.NameAndEmail(t.Claims.All(t.UserInfo)), acc.config.Issuer)
	until := "The access token " + map[bool]string{true: "has no told expiry", false: "lives until " + words.Moment(t.Expiry, now)}[t.Expiry.IsZero()]
	switch {
	case !t.Expiry.IsZero() && !t.Expiry.After(now):
		a.say("By this computer's clock the access token is over already: the clock is ahead of the provider's, so set it.")
	case t.RefreshToken.IsZero():
		a.say("%s.", until)
	case !t.RefreshExpiry.IsZero():
		a.say("%s and is renewed when needed, until %s.", until, words.Moment(t.RefreshExpiry, now))
	default:
		a.say("%s and is renewed when needed.", until)
	}
	if !t.SessionExpiry.IsZero() {
		a.say("The provider ends the session at %s.", words.Moment(t.SessionExpiry, now))
	}
	if t.RefreshToken.IsZero() && hasScope(acc.config.Scope, "offline_access") {
		how := "try loopkey login --prompt consent"
		if acc.provider.Auth0() {
			how = "switch on Allow Offline Access (Dashboard → Applications → APIs → your API → Settings), " +
				"and Refresh Token among the application's grant types"
		}
		a.say("No refresh token came, though offline_access was asked for, so you will have to log in again then: %s.", how)
	}
}

func hasScope(scope, value string) bool {
	for _, s := range strings.Fields(scope) {
		if s == value {
			return true
		}
	}
	return false
}
