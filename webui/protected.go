package webui

import (
	"encoding/json"
	"net/http"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// protected shows what an API behind the guard knows of the user.
func (s *Server) protected(w http.ResponseWriter, r *http.Request) {
	claims, _ := User(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	_ = json.NewEncoder(w).Encode(struct {
		Message string          `json:"message"`
		User    provider.Claims `json:"user"`
	}{"You are logged in as " + words.Name(claims) + ".", claims})
}
