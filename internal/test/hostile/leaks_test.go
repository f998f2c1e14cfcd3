package hostile

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// No command prints a secret except as the result that was asked for, whether it succeeds or fails, and none leaves one
// in a file. The test knows every secret that went over the wire, and looks for each in several encodings.
func TestLeaks(t *testing.T) {
	t.Parallel()
	const clientSecret = "client-secret-that-leaks"
	p := Start(t)
	p.Demand(clientSecret)
	h := house.New(t, p.Issuer(), "LOOPKEY_CLIENT_SECRET="+clientSecret)
	var said strings.Builder // all output except the tokens that were asked for
	run := func(args ...string) house.Result {
		r := h.Run(args...)
		said.WriteString(r.Stderr)
		if args[0] != "token" {
			said.WriteString(r.Stdout)
		}
		return r
	}
	must := func(args ...string) {
		t.Helper()
		if r := run(args...); r.Code != 0 {
			t.Fatalf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
	must("login")
	all := [][]string{
		{"token"}, {"token", "-o", "json"}, {"token", "-o", "header"}, {"token", "--id-token"}, {"token", "--force-refresh"},
		{"status"},
		{"status", "-o", "json"}, {"exec", "--", "true"}, {"login"}, {"token", "--audience", "https://api.example.com"},
	}
	for _, args := range append(all, [][]string{
		{
			"login", "--no-browser", "--timeout", "50ms",
		}, {"login", "--device"}, {"version"}, {"whoami"}, {"nonsense"}, {"token", "--nonsense"},
	}...) {
		run(args...)
	}
	for name, lie := range house.Some(map[string]func(){
		"a forged ID token": func() { p.Lie(Lies{Sign: forge.OtherRS256().Sign}) },
		"a wrong issuer":    func() { p.Lie(Lies{Claims: set("iss", "https://mallory.example.com")}) },
		"a wrong nonce":     func() { p.Lie(Lies{Claims: set("nonce", "another")}) },
		"no ID token":       func() { p.Lie(Lies{Token: without("id_token")}) },
		"a bad type":        func() { p.Lie(Lies{Token: set("token_type", "DPoP")}) },
		"a token in an error": func() {
			p.Lie(Lies{Token: func(a map[string]any) { a["error"], a["error_description"] = "x", "not you" }})
		},
		"a broken response": func() {
			p.Lie(Lies{Token: func(a map[string]any) { a["expires_in"] = map[string]any{"x": a["access_token"]} }})
		},
		"refused":       respondsTo(p, Token, 400, asJSON, `{"error":"invalid_request","error_description":"bad"}`),
		"refused grant": respondsTo(p, Token, 400, asJSON, `{"error":"invalid_grant"}`),
		"down":          respondsTo(p, Token, 503, html, "down"),
		"no key":        func() { p.Lie(Lies{Keys: func(set map[string]any) { set["keys"] = []any{} }}) },
		"denied": func() {
			p.Lie(Lies{Callback: func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }})
		},
		"code and error": func() { p.Lie(Lies{Callback: func(q url.Values) { q.Set("error", "server_error") }}) },
		"iss of another": func() {
			p.Lie(Lies{Callback: func(q url.Values) { q.Set("iss", "https://mallory.example.com") }})
		},
		"revocation down":     respondsTo(p, Revoke, 500, html, "down"),
		"a subject, UserInfo": func() { p.Lie(Lies{UserInfo: set("sub", "mallory")}) },
	}) {
		lie()
		failed := false
		for _, args := range append(all, []string{"logout", "--no-browser"}) {
			failed = run(args...).Code != 0 || failed
		}
		if !failed {
			t.Errorf("%s: nothing failed", name)
		}
		p.Confess()
		p.Demand(clientSecret)
		must("login")
	}
	oneTime := h.Serve("--pages", t.TempDir())
	browser := newBrowser(t)
	for _, path := range []string{
		oneTime, oneTime, h.Base + "/", h.Base + "/profile", h.Base + "/protected", h.Base + "/auth/login", h.Base + "/none",
	} {
		_, body := browser.get(t, path)
		said.WriteString(body)
	}
	must("login") // through serve

	secrets := append(append(p.Secrets(), clientSecret), browser.cookies(t, h.Base)...)
	want := 100
	if testing.Short() {
		want = 20
	}
	if len(secrets) < want {
		t.Errorf("only %d secrets are known", len(secrets))
	}
	leaks := func(where, text string) {
		t.Helper()
		for _, secret := range secrets {
			for as, form := range formsOf(secret) {
				if strings.Contains(text, form) {
					t.Errorf("%s tells %.12s… %s", where, secret, as)
				}
			}
		}
	}
	leaks("what was printed or shown", said.String())
	files := 0
	err := filepath.WalkDir(h.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		leaks(path, string(content))
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, %v", files, err)
	}
	must("logout", "--no-browser")
}

// A provider may repeat a secret that it was sent in its error. The secret gets to no terminal and no page.
func TestEchoedSecrets(t *testing.T) {
	t.Parallel()
	const clientSecret = "client+secret that/comes=back"
	for name, methods := range map[string][]string{"basic": {"client_secret_basic"}, "post": {"client_secret_post"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t)
			p.Demand(clientSecret)
			told := set("token_endpoint_auth_methods_supported", methods)
			p.Lie(Lies{Discovery: told})
			h := house.New(t, p.Issuer(), "LOOPKEY_CLIENT_SECRET="+clientSecret)
			h.Must("login")
			var hearing sync.Mutex
			var sent []string // secrets of requests
			echo := func(status int, say func(form string) string) {
				for _, endpoint := range []string{Token, Revoke} {
					p.On(endpoint, func(w http.ResponseWriter, r *http.Request) bool {
						hearing.Lock()
						defer hearing.Unlock()
						_ = r.ParseForm()
						_, basic, _ := strings.Cut(r.Header.Get("Authorization"), " ")
						sent = append(sent, basic, clientSecret, url.QueryEscape(clientSecret))
						words := r.PostForm.Encode() + " " + basic + " " + clientSecret
						for _, name := range []string{"code", "code_verifier", "refresh_token", "token", "device_code"} {
							sent = append(sent, r.PostForm.Get(name))
							words += " " + r.PostForm.Get(name)
						}
						w.WriteHeader(status)
						_, _ = io.WriteString(w, say(words))
						return true
					})
				}
			}
			said := ""
			for _, c := range []struct {
				status int
				say    func(form string) string
			}{
				{400, func(form string) string { return `{"error":"invalid_request","error_description":"` + form + `"}` }},
				{401, func(form string) string { return `{"error":"` + form + `"}` }},
				{500, func(form string) string { return `{"error":{"code":"x","message":"` + form + `"}}` }},
				{200, func(form string) string { return `{"token_type":"` + form + `","access_token":"a"}` }},
			} {
				echo(c.status, c.say)
				for _, args := range [][]string{{"token", "--force-refresh"}, {"login"}, {"login", "--device", "--timeout", "4s"}} {
					r := h.Run(args...)
					if said += r.Stderr; r.Code == 0 {
						t.Errorf("%d: %v exits 0", c.status, args)
					}
				}
				// The page that a browser gets after a login failed.
				running := h.Start("login", "--no-browser")
				_, page := newBrowser(t).get(t, running.Line(t, p.URL(Authorize)))
				said += page
				if !strings.Contains(page, "did not work") {
					t.Errorf("the page says %q", page)
				}
				_ = running.Cmd.Wait()
			}
			echo(400, func(form string) string { return `{"error":"invalid_request","error_description":"` + form + `"}` })
			said += h.Run("logout", "--no-browser").Stderr
			hearing.Lock()
			defer hearing.Unlock()
			for _, secret := range append(sent, p.Secrets()...) {
				if secret != "" && strings.Contains(said, secret) {
					t.Errorf("%.12s… comes back", secret)
				}
			}
			if len(sent) < 50 || !strings.Contains(said, "[secret]") {
				t.Errorf("nothing was repeated: %s", said)
			}
		})
	}
}

// With GODEBUG=http2debug=2 the standard library writes every HTTP/2 frame to stderr, with every code and token.
func TestLibraryIsSilent(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
	trusted := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(trusted, authorities(good), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartTLS(t, "", func() *tls.Certificate { return good })
	var version atomic.Value
	p.On(Token, func(_ http.ResponseWriter, r *http.Request) bool {
		version.Store(r.Proto)
		return false
	})
	h := house.New(t, p.Issuer(), "SSL_CERT_FILE="+trusted, "GODEBUG=http2debug=2,http1debug=2")
	var said string
	for _, args := range [][]string{{"login"}, {"token", "--force-refresh"}, {"logout", "--no-browser"}} {
		r := h.Run(args...)
		if said += r.Stderr; r.Code != 0 {
			t.Fatalf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
	if version.Load() != "HTTP/2.0" {
		t.Errorf("the provider was spoken to in %v, where nothing is written in any case", version.Load())
	}
	// Over HTTP/1 the standard library logs, without GODEBUG, what a server sends after the end of a response.
	plain := Start(t)
	const late = "token-that-comes-after-the-end"
	plain.On(Token, func(w http.ResponseWriter, _ *http.Request) bool {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return false
		}
		_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" + late)
		_ = buffer.Flush()
		t.Cleanup(func() { _ = conn.Close() })
		return true
	})
	r := house.New(t, plain.Issuer()).Run("login")
	if said += r.Stderr; r.Code != 4 {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	for _, secret := range append(p.Secrets(), late) {
		if strings.Contains(said, secret) {
			t.Errorf("stderr tells %.12s…", secret)
		}
	}
	if strings.Contains(said, "http2:") || strings.Contains(said, "Unsolicited") {
		t.Error("the library speaks on stderr")
	}
}

func respondsTo(p *Provider, endpoint string, status int, kind, body string) func() {
	return func() { p.Respond(endpoint, status, kind, body) }
}

// formsOf returns the encodings of a secret to look for.
func formsOf(secret string) map[string]string {
	forms := map[string]string{
		"as it is": secret, "in hex": hex.EncodeToString([]byte(secret)), "in a URL": url.QueryEscape(secret),
		"in base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="),
		"for a URL": base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	if parts := strings.Split(secret, "."); len(parts) == 3 {
		forms["by its signature"] = parts[2]
	}
	return forms
}

func (b *browser) cookies(t testing.TB, base string) (values []string) {
	t.Helper()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.client.Jar.Cookies(target) {
		values = append(values, cookie.Value)
	}
	if len(values) == 0 {
		t.Error("the browser has no cookie")
	}
	return values
}
