package webui

import (
	"cmp"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

// A tokenView describes a token: what it is for, and how much of its life is left. It does not hold the token.
type tokenView struct {
	Kind, Audience string
	Bound          bool    // to a key of the session (DPoP)
	StepUp         string  // of a step-up's: the kind of authentication (acr)
	At             *moment // likewise: when that was
	Scopes         []string
	From, Until    *moment
	Total, Left    int64  // of its life, in seconds; Total 0: the provider gave no expiry
	State          string // expired, renewable, low or ""
	Life           string // how much is left, in words
	Then, ThenLife string // State and Life once it has expired
}

// accessToken is what pages call one.
const accessToken = "Access token"

func tokenViews(info session.Info, now time.Time) []tokenView {
	var views []tokenView
	for _, t := range info.AccessTokens {
		v := viewToken(accessToken, t.Audience, t.Scope, t.Obtained, t.Expiry, now, info.Renewable)
		v.Bound = info.Bound
		views = append(views, v)
	}
	for _, u := range info.StepUps {
		v := viewToken(accessToken, u.Audience, "", u.Obtained, u.Expiry, now, u.Renewable)
		v.Bound, v.At, v.StepUp = info.Bound, optional(u.AuthTime), cmp.Or(words.Line(u.ACR, 100), "step-up")
		views = append(views, v)
	}
	if !info.IDTokenExpiry.IsZero() {
		issued := info.Claims.Time("iat")
		views = append(views, viewToken("ID token", info.ClientID, "", issued, info.IDTokenExpiry, now, info.Renewable))
	}
	return views
}

// secondsLeft returns how many seconds each token has, which is all of tokenViews that time alone changes.
func secondsLeft(info session.Info, now time.Time) []int64 {
	left := make([]int64, 0, len(info.AccessTokens)+len(info.StepUps)+1)
	for _, t := range info.AccessTokens {
		left = append(left, int64(t.Expiry.Sub(now)/time.Second))
	}
	for _, u := range info.StepUps {
		left = append(left, int64(u.Expiry.Sub(now)/time.Second))
	}
	return append(left, int64(info.IDTokenExpiry.Sub(now)/time.Second))
}

func viewToken(kind, audience, scope string, from, until, now time.Time, renewable bool) tokenView {
	v := tokenView{
		Then: "expired", ThenLife: "expired",
		Kind: kind, Audience: words.Line(audience, 200), Scopes: strings.Fields(words.Line(scope, 2000)),
		From: optional(from), Until: optional(until),
	}
	if renewable {
		v.Then, v.ThenLife = "renewable", "renewed when it is needed"
	}
	if until.IsZero() {
		v.Life = "the provider gave no expiry"
		return v
	}
	v.Total = max(int64(until.Sub(from)/time.Second), 1)
	v.Left = min(max(int64(until.Sub(now)/time.Second), 0), v.Total)
	v.Life = words.Duration(time.Duration(v.Left)*time.Second) + " left"
	switch {
	case v.Left == 0:
		v.State, v.Life = v.Then, v.ThenLife
	case v.Left*5 < v.Total:
		v.State = "low"
	}
	return v
}
