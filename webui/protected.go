package webui

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// protectedPath is what Guard protects to be tried: a page for browsers, JSON for programs.
const protectedPath = "/protected"

// A protectedReply is what an API behind the guard knows of the user.
type protectedReply struct {
	Message string          `json:"message"`
	User    provider.Claims `json:"user"`
}

func protectedOf(v view) protectedReply {
	return protectedReply{"You are logged in as " + words.Name(v.info.Claims) + ".", v.info.Claims}
}

// protected shows what an API behind the guard knows of the user: as JSON, and on a page to a browser that navigates.
func (s *Server) protected(w http.ResponseWriter, r *http.Request, v view) {
	if layout.WantsPage(r) {
		page, err := s.protectedPage.of(v, nil, func() ([]byte, error) { return s.drawProtected(r, v) })
		send(w, r, page, err)
		return
	}
	content, err := s.protectedJSON.of(v, nil, func() ([]byte, error) {
		var out bytes.Buffer
		err := json.NewEncoder(&out).Encode(protectedOf(v))
		return out.Bytes(), err
	})
	if err != nil {
		s.failed(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

func (s *Server) drawProtected(r *http.Request, v view) ([]byte, error) {
	formatted, err := words.JSON(protectedOf(v))
	if err != nil {
		return nil, err
	}
	name := words.Name(v.info.Claims)
	return s.layout.Draw(r, &protectedTemplate, layout.Page{
		Title: "A protected page", Section: "home", Script: "live.js", Visitor: name,
		Data: struct{ Name, JSON, URL string }{name, string(formatted), s.url(protectedPath)},
	})
}
