package cli

import (
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A prompt and a list tell a token that is renewed when needed from one that has expired for good.
func TestLifeInFewWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 12, 0, 0, 0, time.Local)
	past, soon, tomorrow := now.Add(-time.Minute), now.Add(time.Hour), now.Add(24*time.Hour)
	for name, c := range map[string]struct {
		info         session.Info
		expiry       time.Time
		short, until string
	}{
		"renewable": {
			session.Info{Renewable: true}, soon, "ada@x until 13:00", "13:00, renewed when needed",
		},
		"renewable, and expired":   {session.Info{Renewable: true}, past, "ada@x renewable", "renewed when needed"},
		"not renewable":            {session.Info{}, soon, "ada@x until 13:00", "13:00"},
		"neither":                  {session.Info{}, past, "ada@x expired", "-"},
		"no expiry":                {session.Info{Renewable: true}, time.Time{}, "ada@x renewable", "renewed when needed"},
		"no expiry, nor renewable": {session.Info{}, time.Time{}, "ada@x", "no expiry given"},
		"until tomorrow":           {session.Info{}, tomorrow, "ada@x until 2026-05-07 12:00", "2026-05-07 12:00"},
		"unusable":                 {session.Info{Unusable: session.ErrExpired}, soon, "ada@x expired", "-"},
		"the session ends before":  {session.Info{SessionExpiry: soon}, tomorrow, "ada@x until 13:00", "13:00"},
		"the refresh token ends": {
			session.Info{Renewable: true, RefreshExpiry: soon}, past, "ada@x renewable", "renewed until 13:00",
		},
		"the refresh token has ended": {session.Info{Renewable: true, RefreshExpiry: past}, past, "ada@x expired", "-"},
	} {
		c.info.Claims = provider.Claims{"email": "ada@x", "name": "Ada"}
		c.info.AccessTokens = []session.TokenInfo{{Obtained: now.Add(-time.Hour), Expiry: c.expiry}}
		if got := shortStatus(c.info, now); got != c.short {
			t.Errorf("%s: the prompt shows %q, want %q", name, got, c.short)
		}
		if got := until(c.info, now); got != c.until {
			t.Errorf("%s: the list shows %q, want %q", name, got, c.until)
		}
	}
	for _, claim := range []string{"email", "name"} {
		told := session.Info{Claims: provider.Claims{claim: "a$(touch x)`touch x`\\u%{b%}#[c]!d"}, Renewable: true}
		const want = "a?(touch x)?touch x??u?{b?}?[c]?d renewable"
		if got := shortStatus(told, now); got != want {
			t.Errorf("a shell that expands the prompt carries out %q", got)
		}
	}
	hostile := session.Info{Claims: provider.Claims{"email": "a\x1b[31m\nb"}, Renewable: true}
	if got := shortStatus(hostile, now); got != words.Printable(got) {
		t.Errorf("the prompt shows %q", got)
	}
}
