package webui

import (
	"encoding/json"
	"net/http"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

type homeData struct {
	Known, Back    bool // Back: from the provider's logout
	Name, Initials string
	Email, Issuer  string
	Picture, Pages bool
}

// home shows who is logged in, or one way to log in.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	claims, ok := s.visitor(r)
	state := r.URL.Query().Get("state")
	back := state != "" && s.logouts.returned(state)
	data := homeData{Known: ok, Back: !ok && back, Pages: s.pages != nil}
	if ok {
		data.Name = words.Name(claims)
		data.Initials = words.Initials(data.Name)
		data.Email, data.Issuer = words.Line(claims.Text("email"), 120), s.cfg.Provider.Issuer()
		data.Picture = claims.Text("picture") != ""
	}
	s.layout.Render(w, r, http.StatusOK, &homeTemplate, layout.Page{Section: "home", Script: "live.js", Data: data})
}

// protected answers an API client and a browser alike, once they are known.
func (s *Server) protected(w http.ResponseWriter, r *http.Request) {
	claims, ok := s.visitor(r)
	if !ok {
		s.stranger(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_ = json.NewEncoder(w).Encode(struct {
		Message string          `json:"message"`
		User    provider.Claims `json:"user"`
	}{"You are logged in as " + words.Name(claims) + ".", claims})
}
