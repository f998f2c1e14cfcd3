package provider

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/forge"
)

const fakeResource = "https://mcp.example.com/mcp"

// plainServer returns a fake that is an authorization server without OpenID Connect, under a path.
func plainServer(t testing.TB, path string) *fake {
	t.Helper()
	f := newFake(t)
	f.metadata = map[string]any{
		"issuer": f.URL + path, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token",
		"registration_endpoint": f.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	f.on("/.well-known/openid-configuration", http.StatusNotFound, "")
	return f
}

// plainClient returns the client of an authorization server without OpenID Connect.
func (f *fake) plainClient(t testing.TB) *Provider {
	t.Helper()
	return f.client(t, func(c *Config) { c.OAuth, c.Issuer = true, f.metadata["issuer"].(string) })
}

// The metadata of an authorization server is looked for in the order of RFC 8414, and the first document counts.
func TestOAuthMetadataURLs(t *testing.T) {
	t.Parallel()
	inserted, insertedOIDC, appended := "/.well-known/oauth-authorization-server/tenant",
		"/.well-known/openid-configuration/tenant", "/tenant/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		at     string
		status int // of the others
		page   string
		asked  []string
	}{
		"the first":        {inserted, http.StatusNotFound, "", []string{inserted}},
		"the second":       {insertedOIDC, http.StatusNotFound, "", []string{inserted, insertedOIDC}},
		"the third":        {appended, http.StatusUnauthorized, "", []string{inserted, insertedOIDC, appended}},
		"pages everywhere": {appended, http.StatusOK, "<html>", []string{inserted, insertedOIDC, appended}},
		"redirects":        {insertedOIDC, http.StatusFound, "", []string{inserted, insertedOIDC}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := plainServer(t, "/tenant")
			for _, path := range []string{inserted, insertedOIDC, appended} {
				f.on(path, c.status, c.page)
			}
			f.on(c.at, http.StatusOK, f.metadata)
			if err := f.plainClient(t).Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{}
			for _, path := range c.asked {
				want[path] = 1
			}
			f.count(t, name, want)
		})
	}
}

// Metadata that is nowhere, that is of another issuer, that a failing server keeps back, or that does not offer S256 is
// none, and makes the client ask nowhere else.
func TestOAuthMetadataRefused(t *testing.T) {
	t.Parallel()
	first := "/.well-known/oauth-authorization-server"
	for name, c := range map[string]struct {
		status int
		change map[string]any
		want   error
		reason Reason
	}{
		"nowhere":        {http.StatusNotFound, nil, ErrRefused, ReasonDiscoveryUnavailable},
		"failing":        {http.StatusBadGateway, nil, ErrUnreachable, ""},
		"another issuer": {http.StatusOK, map[string]any{"issuer": "https://evil.example"}, ErrIssuer, ReasonIssuerName},
		"a slash more": {
			http.StatusOK, map[string]any{"issuer": "ISSUER/"}, ErrIssuer, ReasonIssuerName,
		},
		"no S256": {
			http.StatusOK, map[string]any{"code_challenge_methods_supported": []string{"plain"}}, ErrMalformed, ReasonNoPKCE,
		},
		"no word of PKCE": {
			http.StatusOK, map[string]any{"code_challenge_methods_supported": nil}, ErrMalformed, ReasonNoPKCE,
		},
		"a plain registration endpoint": {
			http.StatusOK, map[string]any{"registration_endpoint": "http://x.example/register"}, ErrMalformed,
			ReasonIssuerPlain,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := plainServer(t, "")
			for member, value := range c.change {
				if text, ok := value.(string); ok {
					value = strings.Replace(text, "ISSUER", f.URL, 1)
				}
				f.metadata[member] = value
			}
			p := f.client(t, func(c *Config) { c.OAuth = true })
			f.on(first, c.status, f.metadata)
			err := p.Warm(t.Context())
			if !errors.Is(err, c.want) || Diagnose(err).Reason != c.reason {
				t.Errorf("got %v (%s), want %v (%s)", err, Diagnose(err).Reason, c.want, c.reason)
			}
		})
	}
}

// A login without OpenID Connect sends the resource and no nonce, takes no ID token, and refuses a response of another
// issuer, also one that is an error.
func TestOAuthLogin(t *testing.T) {
	t.Parallel()
	f := plainServer(t, "")
	f.on("/.well-known/oauth-authorization-server", http.StatusOK, f.metadata)
	p := f.plainClient(t)
	target, err := p.AuthorizationURL(t.Context(), AuthorizationRequest{
		RedirectURI: "http://localhost:3000/auth/callback", State: "s", Nonce: "n", CodeChallenge: "c",
		Audience: fakeResource,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	sent := slices.Sorted(maps.Keys(u.Query()))
	want := []string{
		"client_id", "code_challenge", "code_challenge_method", "redirect_uri", "resource", "response_type", "state",
	}
	if !slices.Equal(sent, want) {
		t.Errorf("the login sends %v, want %v", sent, want)
	}
	for name, q := range map[string]url.Values{
		"no iss":         {"code": {"x"}},
		"a foreign iss":  {"code": {"x"}, "iss": {"https://evil.example"}},
		"a foreign no":   {"error": {"access_denied"}, "iss": {"https://evil.example"}},
		"a no of nobody": {"error": {"access_denied"}},
	} {
		if _, err := p.CheckResponse(t.Context(), q); !errors.Is(err, ErrIssuer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var form url.Values
	f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": "opaque", "token_type": "bearer", "refresh_token": "next", "id_token": "not.a.token",
		})
	})
	tokens, err := p.Exchange(t.Context(), CodeExchange{
		Code: NewSecret("x"), RedirectURI: "http://localhost:3000/auth/callback", CodeVerifier: NewSecret("v"),
		Audience: fakeResource, Scope: "read",
	})
	if err != nil {
		t.Fatal(err)
	}
	if form.Get("resource") != fakeResource || tokens.Scope != "read" || tokens.Claims != nil || !tokens.IDToken.IsZero() {
		t.Errorf("sent %v, got scope %q, claims %v", form["resource"], tokens.Scope, tokens.Claims)
	}
	tokens, err = p.Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("next"), Audience: fakeResource})
	if err != nil || form.Get("resource") != fakeResource || tokens.RefreshToken.Reveal() != "next" {
		t.Errorf("the refresh sent %v: %v", form["resource"], err)
	}
}

// A JWT for other origins alone is not the resource's. An ID of the authorization server's own may stand for anything.
func TestOAuthAudience(t *testing.T) {
	t.Parallel()
	f := plainServer(t, "")
	f.on("/.well-known/oauth-authorization-server", http.StatusOK, f.metadata)
	p := f.plainClient(t)
	for name, c := range map[string]struct {
		aud  any
		want error
	}{
		"none":                       {nil, nil},
		"the resource":               {fakeResource, nil},
		"the resource among others":  {[]string{"https://api.example.com", fakeResource}, nil},
		"the origin":                 {"https://mcp.example.com/", nil},
		"an ID":                      {"account", nil},
		"a URN":                      {"api://4711", nil},
		"another API":                {"https://api.example.com", ErrAudience},
		"two other APIs":             {[]string{"https://api.example.com", "https://x.example"}, ErrAudience},
		"the same host without TLS":  {"http://mcp.example.com/mcp", ErrAudience},
		"a host that begins like it": {"https://mcp.example.com.evil.example/mcp", ErrAudience},
	} {
		claims := map[string]any{"sub": "ada"}
		if c.aud != nil {
			claims["aud"] = c.aud
		}
		f.on("/token", http.StatusOK, map[string]any{
			"access_token": forge.RS256().Token(claims), "token_type": "Bearer", "refresh_token": "rotated",
		})
		_, err := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("x"), Audience: fakeResource})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: a login: got %v, want %v", name, err, c.want)
		}
		tokens, err := p.Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("old"), Audience: fakeResource})
		if !errors.Is(err, c.want) || tokens == nil || tokens.RefreshToken.Reveal() != "rotated" {
			t.Errorf("%s: a refresh: got %v, want %v", name, err, c.want)
		}
	}
}

func TestRegister(t *testing.T) {
	t.Parallel()
	f := plainServer(t, "")
	f.on("/.well-known/oauth-authorization-server", http.StatusOK, f.metadata)
	cfg := Config{Issuer: f.URL, OAuth: true}
	registration := Registration{Name: "loopkey", RedirectURIs: []string{"http://localhost:3000/auth/callback"}}
	var sent map[string]any
	var reply string
	status := http.StatusCreated
	f.hook("/register", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&sent)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply)
	})
	reply = `{"client_id":"c1","client_secret":"a secret"}`
	client, err := Register(t.Context(), cfg, registration)
	if err != nil || client.ID != "c1" || client.Secret.Reveal() != "a secret" {
		t.Errorf("got %+v, %v", client, err)
	}
	if sent["application_type"] != "native" || sent["token_endpoint_auth_method"] != "none" ||
		len(sent["grant_types"].([]any)) != 2 || sent["redirect_uris"].([]any)[0] != registration.RedirectURIs[0] {
		t.Errorf("sent %v", sent)
	}
	for _, bad := range []string{
		``, `[]`, `{}`, `{"client_id":""}`, `{"client_id":5}`, `{"client_id":"a\nb"}`, `{"Client_ID":"x"}`,
		`{"client_id":"` + strings.Repeat("x", 3000) + `"}`, `{"client_id":"x","client_secret":"\u0007"}`,
	} {
		reply = bad
		if client, err := Register(t.Context(), cfg, registration); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40s is %+v, %v", bad, client, err)
		}
	}
	status, reply = http.StatusBadRequest, `{"error":"invalid_redirect_uri"}`
	if _, err := Register(t.Context(), cfg, registration); !errors.Is(err, ErrRefused) {
		t.Errorf("a refusal: %v", err)
	}
	delete(f.metadata, "registration_endpoint")
	if _, err := Register(t.Context(), cfg, registration); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("no endpoint: %v", err)
	}
}

// FuzzOAuthMetadata: metadata that is believed names the configured issuer, S256, and only https endpoints.
func FuzzOAuthMetadata(f *testing.F) {
	p, err := New(Config{Issuer: fuzzIssuer, ClientID: fakeClient, OAuth: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"issuer":"` + fuzzIssuer + `","authorization_endpoint":"https://x/a","token_endpoint":"https://x/t",` +
		`"registration_endpoint":"https://x/r","code_challenge_methods_supported":["plain","S256"]}`))
	f.Add([]byte(`{"issuer":"` + fuzzIssuer + `","authorization_endpoint":"http://localhost/","token_endpoint":"//x",` +
		`"registration_endpoint":7,"code_challenge_methods_supported":"S256"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := p.parseMetadata(raw)
		if err != nil {
			if !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
			return
		}
		if m.Issuer != fuzzIssuer || !slices.Contains(m.CodeChallengeMethods, "S256") {
			t.Errorf("believed: issuer %q, %v", m.Issuer, m.CodeChallengeMethods)
		}
		for _, endpoint := range []string{m.AuthorizationEndpoint, m.TokenEndpoint, m.RegistrationEndpoint} {
			if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
				t.Errorf("believed: %q", endpoint)
			}
		}
	})
}
