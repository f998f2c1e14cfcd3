package session

import (
	"errors"
	"testing"
	"time"
)

// What a server that has read the session says later is what a command would say that reads it then.
func TestUnusableAt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	unknownExpiry := func(st *state) { st.Current.Expiry, st.RefreshToken = time.Time{}, "" }
	for name, c := range map[string]struct {
		change func(*state)
		at     time.Duration
		want   error
	}{
		"a living token":  {func(*state) {}, time.Minute, nil},
		"renewable":       {func(*state) {}, 3 * time.Hour, nil},
		"refused":         {func(st *state) { st.RefreshRefused = true }, 3 * time.Hour, ErrCannotRenew},
		"not renewable":   {func(st *state) { st.RefreshToken = "" }, 3 * time.Hour, ErrCannotRenew},
		"all has expired": {func(st *state) { st.RefreshExpiry = in(2 * time.Hour) }, 3 * time.Hour, ErrRefreshRefused},
		"a token, and nothing to renew it": {
			func(st *state) { st.RefreshExpiry = in(time.Minute) }, 2 * time.Minute, nil,
		},
		"the end of the session":      {func(st *state) { st.SessionExpiry = in(time.Minute) }, 2 * time.Minute, ErrExpired},
		"unknown expiry":              {unknownExpiry, time.Hour, nil},
		"unknown expiry, a day later": {unknownExpiry, 25 * time.Hour, ErrCannotRenew},
		"unknown expiry, of the future": {func(st *state) {
			unknownExpiry(st)
			st.Current.Obtained = in(time.Hour)
		}, 0, ErrCannotRenew},
		"a token for another audience": {func(st *state) {
			st.RefreshToken, st.Others = "", []storedToken{{Token: "o", Obtained: now, Expiry: in(9 * time.Hour)}}
		}, 3 * time.Hour, nil},
	} {
		st := &state{}
		st.Current = storedToken{Token: "t", Obtained: now, Expiry: in(time.Hour)}
		st.RefreshToken = "r"
		c.change(st)
		s := &Session{cfg: Config{Now: func() time.Time { return now }}}
		if got := s.info(st).UnusableAt(in(c.at)); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if got := st.unusable(in(c.at)); (got == nil) != (c.want == nil) {
			t.Errorf("%s: a command says %v, want %v", name, got, c.want)
		}
	}
}
