package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// With --client-id nothing is registered, whatever form the ID has. The fields of --header go to the server with every
// request, and to no one else.
func TestMCPClientAndHeader(t *testing.T) {
	t.Parallel()
	s := startMCP(t)
	h := s.host(t, "--client-id", documentClient, "--header", "X-Team: blue", "--header", "X-Key:s3cret")
	h.want("initialize")
	h.want("write")
	s.refuse(s.last())
	h.want("tools/list")
	h.end()
	if tabs, registrations := s.opened(t), s.tenant.Requests("register"); tabs != 2 || registrations != 0 {
		t.Errorf("%d tabs for a login and more scope, %d registrations", tabs, registrations)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fields := range s.fields {
		if fields != "blue s3cret" {
			t.Errorf("a request comes with %q", fields)
		}
	}
	if len(s.fields) < 5 || slices.ContainsFunc(s.others, func(header http.Header) bool {
		return header.Get("X-Team") != "" || header.Get("X-Key") != ""
	}) || len(s.others) == 0 {
		t.Errorf("%d requests at the server, %d at the authorization server: %v", len(s.fields), len(s.others), s.others)
	}
}

// The page shows the document for a client ID that is a URL.
func TestMCPClientDocument(t *testing.T) {
	t.Parallel()
	blocks := strings.Split(readText(t, "docs", "tools", "mcp.md"), "```json\n")
	if len(blocks) != 3 {
		t.Fatalf("%d blocks of JSON", len(blocks)-1)
	}
	text, _, _ := strings.Cut(blocks[2], "```")
	var document struct {
		ID        string   `json:"client_id"`
		Type      string   `json:"application_type"`
		Redirects []string `json:"redirect_uris"`
		Method    string   `json:"token_endpoint_auth_method"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || !strings.HasPrefix(document.ID, "https://") ||
		document.Type != "native" || document.Method != "none" ||
		!slices.Equal(document.Redirects, []string{"http://localhost:3000/auth/callback"}) {
		t.Errorf("%+v, %v", document, err)
	}
}
