package mcp

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/challenge"
)

func mustURL(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := parseURL(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// The resource is the server to the letter, or a path above it on the same origin.
func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		server, good, bad string
	}{
		{
			"https://mcp.example.com/a/mcp",
			"https://mcp.example.com/a/mcp https://mcp.example.com/a https://mcp.example.com/a/ https://mcp.example.com " +
				"https://mcp.example.com/ https://MCP.example.com:443/a",
			"https://mcp.example.com/a/mcp/ https://mcp.example.com/a/m https://mcp.example.com/b " +
				"http://mcp.example.com/a/mcp https://mcp.example.com:8443/a/mcp https://example.com/a/mcp " +
				"https://mcp.example.com.evil/a/mcp https://u@mcp.example.com/a https://mcp.example.com/a?x " +
				"https://mcp.example.com/a#x //mcp.example.com/a mcp.example.com https:mcp.example.com https:///a x",
		},
		{"https://x.example/a/?x=1", "https://x.example/a/?x=1 https://x.example/a/", "https://x.example/a/?x=2"},
		{"https://x.example/a/../b", "https://x.example/a/../b https://x.example", "https://x.example/a"},
		{"https://x.example/a/%2e%2e/b", "https://x.example/a/%2e%2e/b", "https://x.example/a"},
	} {
		server := mustURL(t, c.server)
		for _, name := range strings.Fields(c.good) {
			if !covers(name, server) {
				t.Errorf("%s does not cover %s", name, c.server)
			}
		}
		for _, name := range append(strings.Fields(c.bad), "") {
			if covers(name, server) {
				t.Errorf("%q covers %s", name, c.server)
			}
		}
	}
}

// A server elsewhere names neither http nor this machine; one on this machine may.
func TestIssuersOfResource(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"https://mcp.example.com":    "https://as.example.com/x",
		"http://127.0.0.1:4000/mcp":  "https://as.example.com/x http://localhost:5000 https://localhost:5000",
		"https://localhost:4000/mcp": "https://as.example.com/x http://localhost:5000 https://localhost:5000",
	} {
		raw := `{"resource":"` + server + `","authorization_servers":["http://as.example.com","https://as.example.com/x",` +
			`"http://localhost:5000","https://localhost:5000","https://u@as.example.com","https://as.example.com?x",` +
			`"https://as.example.com#","as.example.com",""]}`
		r, err := parseResource([]byte(raw), mustURL(t, server))
		if err != nil || strings.Join(r.issuers, " ") != want {
			t.Errorf("%s: got %+v, %v", server, r, err)
		}
	}
}

// Where the metadata is looked for, and what counts as none.
func TestFindResource(t *testing.T) {
	t.Parallel()
	const below, root = wellKnownResource + "/mcp", wellKnownResource
	type reply struct {
		status int
		body   string
	}
	good := reply{http.StatusOK, `{"resource":"SERVER/mcp","authorization_servers":["SERVER/as"]}`}
	bare := reply{http.StatusOK, `{"resource":"SERVER/mcp"}`}
	large := reply{http.StatusOK, "{" + strings.Repeat(" ", metadataLimit)}
	failing := reply{http.StatusBadGateway, ""}
	for name, c := range map[string]struct {
		challenge string
		replies   map[string]reply
		asked     []string
		issuer    string
		err       error
	}{
		"challenge":        {"SERVER/m", map[string]reply{"/m": good}, []string{"/m"}, "SERVER/as", nil},
		"challenge, none":  {"SERVER/m", map[string]reply{below: good}, []string{"/m"}, "", ErrMetadata},
		"challenge, plain": {"http://other.example/m", map[string]reply{below: good}, nil, "", ErrMetadata},
		"challenge, file":  {"file:///etc/passwd", nil, nil, "", ErrMetadata},
		"below":            {"", map[string]reply{below: good, root: good}, []string{below}, "SERVER/as", nil},
		"root":             {"", map[string]reply{root: good}, []string{below, root}, "SERVER/as", nil},
		"a page below": {
			"", map[string]reply{below: {http.StatusOK, "<html>"}, root: good}, []string{below, root}, "SERVER/as", nil,
		},
		"nowhere":   {"", nil, []string{below, root}, "SERVER", nil},
		"no issuer": {"", map[string]reply{below: bare}, []string{below}, "SERVER", nil},
		"failing":   {"", map[string]reply{below: failing, root: good}, []string{below}, "", ErrNoReply},
		"too large": {"", map[string]reply{below: large}, []string{below}, "", ErrMetadata},
		"redirected here": {
			"", map[string]reply{below: {http.StatusFound, "/m"}, "/m": good}, []string{below, "/m"}, "SERVER/as", nil,
		},
		"redirected elsewhere": {
			"", map[string]reply{below: {http.StatusFound, "https://other.example/m"}, root: good},
			[]string{below, root}, "SERVER/as", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				if r.Header.Get("X-Key") != "k" {
					t.Error("the configured header field is missing")
				}
				reply, ok := c.replies[r.URL.Path]
				switch {
				case !ok:
					http.NotFound(w, r)
				case reply.status == http.StatusFound:
					http.Redirect(w, r, reply.body, reply.status)
				default:
					w.WriteHeader(reply.status)
					_, _ = io.WriteString(w, strings.ReplaceAll(reply.body, "SERVER", "http://"+r.Host))
				}
			}))
			defer server.Close()
			a, err := NewAuthorization(AuthorizationConfig{URL: server.URL + "/mcp", Header: http.Header{"X-Key": {"k"}}})
			if err != nil {
				t.Fatal(err)
			}
			at := strings.ReplaceAll(c.challenge, "SERVER", server.URL)
			r, err := a.findResource(t.Context(), challenge.Bearer{Metadata: at})
			if !errors.Is(err, c.err) || !slices.Equal(asked, c.asked) {
				t.Fatalf("asked %v, got %v", asked, err)
			}
			if c.err == nil && r.issuers[0] != strings.ReplaceAll(c.issuer, "SERVER", server.URL) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// FuzzResourceMetadata: metadata that is believed is of the server or of a path above it, and names no authorization
// server that is not https or that is on this machine.
func FuzzResourceMetadata(f *testing.F) {
	server := mustURL(f, "https://mcp.example.com/a/mcp")
	f.Add([]byte(`{"resource":"https://mcp.example.com/a/mcp","authorization_servers":["https://as"]}`))
	f.Add([]byte(`{"resource":"https://mcp.example.com","authorization_servers":["http://127.0.0.1","https://[::1]"]}`))
	f.Add([]byte(`{"Resource":"https://mcp.example.com","resource":null,"authorization_servers":[""]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseResource(raw, server)
		if err != nil {
			if !errors.Is(err, ErrMetadata) {
				t.Errorf("%v", err)
			}
			return
		}
		u, err := url.Parse(r.name)
		if err != nil || u.Scheme != "https" || !strings.EqualFold(u.Hostname(), "mcp.example.com") || u.User != nil ||
			!strings.HasPrefix("/a/mcp/", strings.TrimSuffix(u.Path, "/")) {
			t.Errorf("believed: %q", r.name)
		}
		for _, issuer := range r.issuers {
			u, err := url.Parse(issuer)
			if err != nil || u.Scheme != "https" || u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" {
				t.Errorf("believed: %q", issuer)
			}
		}
	})
}
