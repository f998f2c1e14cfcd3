package mcp

import (
	"testing"
	"time"
)

// What another process has noted of a login decides whether a browser opens. A time of the future was noted while the
// clock was wrong, and counts as none.
func TestLoginThatOthersBegan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		state          state
		alive          bool
		pending, quiet bool
	}{
		"nothing":                        {state{}, true, false, false},
		"begun":                          {state{Began: at(-2 * time.Minute)}, true, true, true},
		"begun, and its process is gone": {state{Began: at(-2 * time.Minute)}, false, false, true},
		"begun just now":                 {state{Began: at(-time.Second)}, false, true, true},
		"ended":                          {state{Began: at(-time.Hour), Ended: at(-time.Minute)}, true, false, true},
		"ended long ago":                 {state{Began: at(-time.Hour), Ended: at(-time.Hour)}, true, false, false},
		"logged in": {
			state{Began: at(-time.Hour), Ended: at(-time.Minute), LoggedIn: at(-time.Minute)}, true, false, false,
		},
		"begun in the future":                {state{Began: at(day)}, true, false, false},
		"begun, after an end in the future":  {state{Began: at(-time.Second), Ended: at(day)}, true, true, true},
		"begun, after a login in the future": {state{Began: at(-time.Second), LoggedIn: at(day)}, true, true, true},
		"begun by a clock that runs ahead":   {state{Began: at(30 * time.Second)}, true, true, true},
		"all of them in the future": {
			state{Began: at(day), Ended: at(day), LoggedIn: at(2 * day)}, true, false, false,
		},
		"ended in the future, begun long ago": {state{Began: at(-day), Ended: at(day)}, false, false, false},
	} {
		if pending := c.state.isPending(now, c.alive); pending != c.pending {
			t.Errorf("%s: pending %t", name, pending)
		}
		if quiet := c.state.isQuiet(now); quiet != c.quiet {
			t.Errorf("%s: quiet %t", name, quiet)
		}
	}
}
