package webui

import (
	"encoding/json"
	"net/http"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// protected shows what an API behind the guard knows of the user.
func (s *Server) protected(w http.ResponseWriter, r *http.Request) {
	claims, _ := User(r)
	w.Header().Set("Content-Type", "application/json")
	localhost.Secure(w.Header()) // again: Guard leaves the policy to us
	_ = json.NewEncoder(w).Encode(struct {
		Message string          `json:"message"`
		User    provider.Claims `json:"user"`
	}{"You are logged in as " + words.Name(claims) + ".", claims})
}
