package webui

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// profile shows the claims and the tokens' lifetimes; never a token.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	now := s.cfg.Now()
	info, _ := guarded(r)
	claims := info.Claims
	name := words.Name(claims)
	s.layout.Render(w, r, http.StatusOK, &profileTemplate, layout.Page{Title: "Profile", Section: "profile", Script: "live.js", Data: struct {
		Name, Initials, Email string
		Picture               bool
		Tokens                []tokenView
		Groups                []claimGroup
		Renewable             bool
		LoggedIn              moment
		SessionEnds           *moment
	}{
		Name: name, Initials: words.Initials(name), Email: words.Line(claims.Text("email"), 120), Picture: claims.Text("picture") != "",
		Tokens: tokenViews(info, now), Groups: groupClaims(claims), Renewable: info.Renewable,
		LoggedIn: momentOf(info.LoggedInAt), SessionEnds: optional(info.SessionExpiry),
	}})
}

// A moment is a time as a page shows it.
type moment struct{ Text, Machine string }

func momentOf(t time.Time) moment {
	return moment{t.Local().Format("2 January 2006, 15:04:05 MST"), t.UTC().Format(time.RFC3339)}
}

func optional(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := momentOf(t)
	return &m
}

// A tokenView is a token without the token: what it is for, and how much of its life is left.
type tokenView struct {
	Kind, Audience string
	Scopes         []string
	From, Until    *moment
	Total, Left    int64 // seconds, for the bar; Total 0: no expiry was told
	State          string
	Life           string
}

func tokenViews(info session.Info, now time.Time) []tokenView {
	var views []tokenView
	for _, t := range info.AccessTokens {
		views = append(views, viewToken("Access token", t.Audience, t.Scope, t.Obtained, t.Expiry, now))
	}
	if !info.IDTokenExpiry.IsZero() {
		issued := info.Claims.Time("iat")
		views = append(views, viewToken("ID token", info.ClientID, "", issued, info.IDTokenExpiry, now))
	}
	return views
}

func viewToken(kind, audience, scope string, from, until, now time.Time) tokenView {
	v := tokenView{Kind: kind, Audience: words.Line(audience, 200), Scopes: strings.Fields(words.Line(scope, 2000)), From: optional(from), Until: optional(until)}
	if until.IsZero() {
		v.Life = "no expiry told"
		return v
	}
	v.Total = max(int64(until.Sub(from)/time.Second), 1)
	v.Left = min(max(int64(until.Sub(now)/time.Second), 0), v.Total)
	switch {
	case v.Left == 0:
		v.State, v.Life = "over", "expired"
	case v.Left*5 < v.Total:
		v.State = "low"
	}
	if v.Life == "" {
		v.Life = words.Duration(time.Duration(v.Left)*time.Second) + " left"
	}
	return v
}

// A claimGroup is a part of the claims under a heading.
type claimGroup struct {
	Title  string
	Claims []claimView
}

type claimView struct {
	Name, Value string
	Time        *moment
}

// The claims by what they tell (OpenID Connect Core 1.0, sections 2 and 5.1); all others are "the rest".
func identityClaims() []string {
	return []string{"sub", "name", "given_name", "middle_name", "family_name", "nickname", "preferred_username", "email", "email_verified",
		"phone_number", "phone_number_verified", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "address", "updated_at"}
}

func loginClaims() []string {
	return []string{"auth_time", "amr", "acr", "org_id", "org_name", "sid", "iss", "aud", "azp", "iat", "exp", "nbf", "nonce", "at_hash", "session_expiry"}
}

func groupClaims(claims provider.Claims) []claimGroup {
	identity, login := identityClaims(), loginClaims()
	var rest []string
	for name := range claims {
		if !slices.Contains(identity, name) && !slices.Contains(login, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	var groups []claimGroup
	for _, g := range []struct {
		title string
		names []string
	}{{"Identity", identity}, {"How and when they logged in", login}, {"Everything else", rest}} {
		var views []claimView
		for _, name := range g.names {
			if value, ok := claims[name]; ok {
				views = append(views, viewClaim(claims, name, value))
			}
		}
		if views != nil {
			groups = append(groups, claimGroup{g.title, views})
		}
	}
	return groups
}

func viewClaim(claims provider.Claims, name string, value any) claimView {
	v := claimView{Name: words.Line(name, 200)}
	if slices.Contains([]string{"auth_time", "iat", "exp", "nbf", "updated_at", "session_expiry"}, name) {
		if t := claims.Time(name); !t.IsZero() {
			v.Time = optional(t)
			return v
		}
	}
	switch value := value.(type) {
	case string:
		v.Value = words.Line(value, 1000)
	case []any:
		var parts []string
		for _, one := range value {
			parts = append(parts, words.Claim(one))
		}
		v.Value = words.Line(strings.Join(parts, ", "), 1000)
	default:
		if text, err := json.Marshal(value); err == nil {
			v.Value = words.Line(string(text), 1000)
		}
	}
	return v
}
