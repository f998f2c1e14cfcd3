package webui

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// protected shows what an API behind the guard knows of the user.
func (s *Server) protected(w http.ResponseWriter, r *http.Request, v view) {
	content, err := s.protectedJSON.of(v, nil, func() ([]byte, error) {
		var out bytes.Buffer
		err := json.NewEncoder(&out).Encode(struct {
			Message string          `json:"message"`
			User    provider.Claims `json:"user"`
		}{"You are logged in as " + words.Name(v.info.Claims) + ".", v.info.Claims})
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
