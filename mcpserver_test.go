package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
)

// An mcpServer is a remote MCP server whose authorization server is a tenant. It verifies each token. Its tool write
// needs the scope mcp:write, its tool pay another authentication, and its tool never a different one each time.
type mcpServer struct {
	*httptest.Server
	house  *house.House
	tenant *tenant.Tenant
	tabs   string // the file in which each opened tab has a line
	at     string // the URL of another server in its place; "": none
	issuer string // of another authorization server than the tenant, with the URL of its keys; "": none
	keys   string

	mu       sync.Mutex
	refused  map[string]bool // tokens that are good and are refused all the same
	seen     []string        // tokens
	fields   []string        // what came in the fields X-Team and X-Key
	others   []http.Header   // of the requests to the authorization server
	metadata map[string]any  // in place of what the resource's metadata says
	changes  map[string]any  // the same of the authorization server's; nil takes a member out
	nonce    string          // that it wants in proofs: it takes bound tokens alone; "": it takes bearer tokens
	proofs   map[string]bool // by jti, that came
}

// documentClient is a client that the tenant knows: its ID is the URL of a client ID metadata document.
const documentClient = "https://acme.example/loopkey.json"

// startMCP starts an MCP server with a tenant that registers clients, and a house whose browser counts its tabs.
func startMCP(t *testing.T, env ...string) *mcpServer {
	t.Helper()
	return startMCPAt(t, func(*mcpServer, *tenant.Config) {}, env...)
}

// startMCPAt is startMCP with a tenant that change configures.
func startMCPAt(t *testing.T, change func(*mcpServer, *tenant.Config), env ...string) *mcpServer {
	t.Helper()
	s := &mcpServer{refused: map[string]bool{}, proofs: map[string]bool{}, tabs: filepath.Join(t.TempDir(), "tabs")}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	browser := filepath.Join(t.TempDir(), "browser")
	script := fmt.Sprintf("#!/bin/sh\necho \"$1\" >>'%s'\n[ \"$NOBODY\" ] || exec '%s' \"$@\"\n", s.tabs, house.Visitor(t))
	err := os.WriteFile(browser, []byte(script), 0o700)
	if err != nil {
		t.Fatal(err)
	}
	s.house = house.New(t, "https://elsewhere.example/", append([]string{"BROWSER=" + browser}, env...)...)
	cfg := tenant.Config{
		OAuth: true, Rotate: true, Resources: []string{s.address()}, Intercept: s.intercept,
		Clients: []tenant.Client{{
			ID: documentClient, RedirectURIs: []string{s.house.Base + "/auth/callback"}, Audiences: []string{s.address()},
		}},
		Users: []tenant.User{{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password}},
	}
	change(s, &cfg)
	started, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	s.mu.Lock() // the server runs already
	defer s.mu.Unlock()
	s.tenant = started
	return s
}

// address returns the URL of the server.
func (s *mcpServer) address() string { return cmp.Or(s.at, s.URL+"/mcp") }

// opened returns how many tabs were opened.
func (s *mcpServer) opened(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(s.tabs)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}

// tab waits until a tab is opened, and returns its URL.
func (s *mcpServer) tab(t *testing.T) string {
	t.Helper()
	for range time.Tick(10 * time.Millisecond) {
		if s.opened(t) > 0 {
			break
		}
	}
	text, err := os.ReadFile(s.tabs)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// resource changes a member of the resource's metadata.
func (s *mcpServer) resource(member string, value any) { s.metadata = map[string]any{member: value} }

// discovery changes members of the authorization server's metadata.
func (s *mcpServer) discovery(changes map[string]any) { s.changes = changes }

// intercept sends the authorization server's metadata, changed.
func (s *mcpServer) intercept(endpoint string, w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.others = append(s.others, r.Header)
	s.mu.Unlock()
	if endpoint != "discovery" || s.changes == nil {
		return false
	}
	issuer := s.tenant.Issuer()
	document := map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
		"registration_endpoint": issuer + "/register", "code_challenge_methods_supported": []string{"S256"},
	}
	for member, value := range s.changes {
		if document[member] = value; value == nil {
			delete(document, member)
		}
	}
	_ = json.NewEncoder(w).Encode(document)
	return true
}

// claimsOf returns what an access token says of its audience and its scope.
func claimsOf(t *testing.T, token string) (audience, scope string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("it is no JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Audience string `json:"aud"`
		Scope    string `json:"scope"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.Audience, claims.Scope
}

// refuse makes the server refuse a token that is good.
func (s *mcpServer) refuse(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[token] = true
}

// last returns the last token that came.
func (s *mcpServer) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return ""
	}
	return s.seen[len(s.seen)-1]
}

func (s *mcpServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const wellKnown = "/.well-known/oauth-protected-resource/mcp"
	s.mu.Lock()
	s.fields = append(s.fields, r.Header.Get("X-Team")+" "+r.Header.Get("X-Key"))
	s.mu.Unlock()
	switch {
	case r.URL.Path == wellKnown:
		document := map[string]any{
			"resource": s.address(), "authorization_servers": []string{cmp.Or(s.issuer, s.tenant.Issuer())},
			"scopes_supported": []string{"mcp:read", "mcp:write"},
		}
		maps.Copy(document, s.metadata)
		_ = json.NewEncoder(w).Encode(document)
		return
	case r.URL.Path != "/mcp":
		http.NotFound(w, r)
		return
	}
	scheme, refused := s.proven(r)
	challenge := func(status int, more string) {
		if scheme == "DPoP" {
			w.Header().Set("DPoP-Nonce", s.nonceNow())
		}
		w.Header().Set("WWW-Authenticate", scheme+` resource_metadata="`+s.URL+wellKnown+`"`+more)
		http.Error(w, "unauthorized", status)
	}
	if refused != "" {
		challenge(http.StatusUnauthorized, `, error="`+refused+`"`)
		return
	}
	token, scopes := s.verify(r, scheme)
	if scopes == nil {
		more := `, scope="mcp:read"`
		if token != "" {
			more += `, error="invalid_token"`
		}
		challenge(http.StatusUnauthorized, more)
		return
	}
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var message struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if json.NewDecoder(r.Body).Decode(&message) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	switch {
	case message.Method == "write" && !slices.Contains(scopes, "mcp:write"):
		challenge(http.StatusForbidden, `, error="insufficient_scope", scope="mcp:write"`)
	case message.Method == "pay" && !strings.Contains(payloadOf(token), `"acr":"mfa"`):
		challenge(http.StatusUnauthorized, `, error="insufficient_user_authentication", acr_values="mfa"`)
	case message.Method == "never":
		challenge(http.StatusUnauthorized, `, error="insufficient_user_authentication", acr_values="`+rand.Text()+`"`)
	case message.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"method":%q,"protocolVersion":"2025-06-18"}}`,
			message.ID, message.Method)
	}
}

// payloadOf returns the claims of a JWT as they are written.
func payloadOf(token string) string {
	parts := strings.Split(token, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	return string(claims)
}

// verify returns the scopes of the token of a request, or nil where it is refused.
func (s *mcpServer) verify(r *http.Request, scheme string) (token string, scopes []string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), scheme+" ")
	if !ok {
		return "", nil
	}
	s.mu.Lock()
	s.seen = append(s.seen, token)
	refused := s.refused[token]
	s.mu.Unlock()
	issuer := cmp.Or(s.issuer, s.tenant.Issuer())
	keys := oidc.NewRemoteKeySet(r.Context(), cmp.Or(s.keys, issuer+"/.well-known/jwks.json"))
	verified, err := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: s.address()}).Verify(r.Context(), token)
	if err != nil || refused {
		return token, nil
	}
	var claims struct {
		Scope string `json:"scope"`
	}
	if verified.Claims(&claims) != nil {
		return token, nil
	}
	return token, append([]string{""}, strings.Fields(claims.Scope)...)
}

// An mcpHost is an MCP host that has started a bridge.
type mcpHost struct {
	t      *testing.T
	in     io.WriteCloser
	out    *bufio.Reader
	cmd    *exec.Cmd
	stderr *strings.Builder
	id     int
}

// host starts a bridge.
func (s *mcpServer) host(t *testing.T, args ...string) *mcpHost {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := s.house.Command(ctx, append([]string{"mcp", s.address()}, args...)...)
	h := &mcpHost{t: t, cmd: cmd, stderr: &strings.Builder{}}
	cmd.Stderr = h.stderr
	var err error
	if h.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.end()
		cancel()
	})
	return h
}

// end ends the bridge as a host does.
func (h *mcpHost) end() {
	_ = h.in.Close()
	_ = h.cmd.Wait()
}

// An mcpReply is a response to a request.
type mcpReply struct {
	Result map[string]any `json:"result"`
	Error  struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// call sends a request and returns the response.
func (h *mcpHost) call(method string) mcpReply {
	h.t.Helper()
	h.id++
	if _, err := fmt.Fprintf(h.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":{}}`+"\n", h.id, method); err != nil {
		h.t.Errorf("the bridge takes no request: %v", err)
		return mcpReply{}
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Errorf("the bridge has ended: %v: %s", err, h.stderr)
		return mcpReply{}
	}
	var reply mcpReply
	if err := json.Unmarshal([]byte(line), &reply); err != nil {
		h.t.Errorf("%q is no response: %v", line, err)
	}
	return reply
}

// want calls a method that has to work.
func (h *mcpHost) want(method string) {
	h.t.Helper()
	if reply := h.call(method); reply.Result["method"] != method {
		h.t.Errorf("%s: %+v; %s", method, reply, h.stderr)
	}
}
