package webui

import (
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
)

// profileData is what the profile shows.
type profileData struct {
	Name, Initials, Email string
	Picture               bool
	About, Login          []fact
	Tokens                []tokenView
	Groups                []claimGroup
	Renewable             bool
	LoggedIn              moment
}

// profile shows the claims and the lifetimes of the tokens, and never a token.
func (s *Server) profile(w http.ResponseWriter, r *http.Request, v view) {
	info, now := v.info, s.cfg.Now()
	page, err := s.profilePage.of(v, secondsLeft(info, now), func() ([]byte, error) {
		name := words.Name(info.Claims)
		return s.layout.Draw(r, &profileTemplate, layout.Page{
			Title: "Profile", Section: "profile", Script: "live.js", Visitor: name, Data: profileData{
				Name: name, Initials: words.Initials(name),
				Email: words.Line(info.Claims.Text("email"), mostEmail), Picture: info.Claims.Text("picture") != "",
				Tokens: tokenViews(info, now), Groups: groupClaims(info.Claims), Renewable: info.Renewable,
				About: aboutUser(info), Login: aboutLogin(info), LoggedIn: momentOf(info.LoggedInAt),
			},
		})
	})
	send(w, r, page, err)
}

// mostEmail is how many characters of an email address are shown.
const mostEmail = 120

// A moment is a time as a page shows it.
type moment struct{ Text, Machine string }

func momentOf(t time.Time) moment {
	return moment{words.Date(t), t.UTC().Format(time.RFC3339)}
}

// optional returns nil for the zero time.
func optional(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := momentOf(t)
	return &m
}
