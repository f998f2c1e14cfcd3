package ci

import (
	"encoding/json"
	"fmt"
)

// parseReply returns the token in a response of GitHub Actions: {"count": 1, "value": "…"}.
func parseReply(body []byte) (string, error) {
	var reply struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(body, &reply) != nil || reply.Value == "" {
		return "", fmt.Errorf("%w: the response holds none", ErrUntrusted)
	}
	return reply.Value, nil
}
