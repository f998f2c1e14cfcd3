package localurl

import (
	"strings"
	"testing"
)

// The error about a base URL names it, and a base URL that can't be used has the port of plain HTTP.
func TestBase(t *testing.T) {
	t.Parallel()
	for raw, port := range map[string]int{
		"": 3000, "http://localhost:4000": 4000, "http://127.0.0.1": 80, "https://localhost:3000": 80, "http://x:1": 80,
	} {
		if got := BasePort(raw); got != port {
			t.Errorf("%q has port %d", raw, got)
		}
		u, err := Base(raw)
		if wrong := strings.HasPrefix(raw, "https:") || strings.Contains(raw, "x"); (err != nil) != wrong ||
			(u == nil) != wrong || wrong && !strings.HasPrefix(err.Error(), `base URL "`+raw+`" `) {
			t.Errorf("%q: %v, %v", raw, u, err)
		}
	}
}
