package cli

import (
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

func TestTokenLife(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 12, 0, 0, 0, time.Local)
	secret := provider.NewSecret("refresh")
	oneHour, twoHours := words.Moment(now.Add(time.Hour), now), words.Moment(now.Add(2*time.Hour), now)
	for name, test := range map[string]struct {
		tokens provider.Tokens
		want   string
	}{
		"renewed": {
			provider.Tokens{Expiry: now.Add(time.Hour), RefreshToken: secret},
			"The access token lives until " + oneHour + " and is renewed when needed.",
		},
		"renewed until the refresh token expires": {
			provider.Tokens{Expiry: now.Add(time.Hour), RefreshToken: secret, RefreshExpiry: now.Add(2 * time.Hour)},
			"The access token lives until " + oneHour + " and is renewed when needed, until " + twoHours + ".",
		},
		"not renewed": {
			provider.Tokens{Expiry: now.Add(time.Hour)},
			"The access token lives until " + oneHour + ".",
		},
		"no expiry": {
			provider.Tokens{RefreshToken: secret},
			"The provider gave no expiry for the access token; it is renewed when needed.",
		},
		"neither": {
			provider.Tokens{},
			"The provider gave no expiry for the access token.",
		},
		"a clock that is ahead": {
			provider.Tokens{Expiry: now.Add(-time.Minute), RefreshToken: secret},
			"By this computer's clock the access token has expired already: " +
				"the clock is ahead of the provider's, so set it.",
		},
	} {
		if got := tokenLife(&test.tokens, now); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
