package hostile

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/loopkey/loopkey/internal/test/house"
)

// steering is text that would clear a terminal, set its title and clipboard, link elsewhere, reverse the reading
// direction, add lines of its own, and run a script in a page.
const steering = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[2J\u009b31m" +
	"\x1b]8;;https://mallory.example.com\x07here\x1b]8;;\x07" +
	"\u202egpj.exe\u2066\u2028\u200b\x00\x7f\r\nLogged in as root at https://bank.example.com.\r" +
	`<script>alert(1)</script><img src=x onerror=alert(2)>"'&amp;` + "\ufeff\U000e0041"

// calm checks that a text holds no control characters, and no line that the provider made up.
func calm(t testing.TB, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s holds %U: %q", what, r, text)
			break
		}
	}
	if strings.Contains(text, "\nLogged in as root") {
		t.Errorf("%s holds a line that is not ours: %q", what, text)
	}
}

// No text of a provider, in claims, errors or device responses, can steer a terminal.
func TestWordsOnTheTerminal(t *testing.T) {
	t.Parallel()
	everywhere := func(m map[string]any) {
		for _, name := range []string{
			"name", "email", "nickname", "preferred_username", "given_name", "picture", "org_name", "org_id", "acr", "new",
		} {
			m[name] = steering
		}
		m["amr"] = []string{steering}
		m["https://example.com/"+steering] = map[string]any{steering: steering}
	}
	said := url.Values{"error": {"access_denied"}, "error_description": {steering}, "error_uri": {steering}}
	refusal, err := json.Marshal(
		map[string]string{"error": steering, "error_description": steering, "error_uri": steering},
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range house.Some(map[string]struct {
		lies  Lies
		more  func(p *Provider)
		args  []string
		works bool
	}{
		"claims":            {lies: Lies{Claims: everywhere, UserInfo: everywhere}, works: true},
		"subject":           {lies: Lies{Claims: set("sub", steering), UserInfo: set("sub", steering)}},
		"scope":             {lies: Lies{Token: set("scope", "openid "+steering)}},
		"token type":        {lies: Lies{Token: set("token_type", steering)}},
		"access token":      {lies: Lies{Token: set("access_token", "x"+steering)}},
		"refresh token":     {lies: Lies{Token: set("refresh_token", "x"+steering)}},
		"issuer":            {lies: Lies{Claims: set("iss", steering)}},
		"audience":          {lies: Lies{Claims: set("aud", []string{steering})}},
		"nonce":             {lies: Lies{Claims: set("nonce", steering)}},
		"key ID":            {lies: Lies{Header: set("kid", steering)}},
		"algorithm":         {lies: Lies{Header: set("alg", steering)}},
		"discovered issuer": {lies: Lies{Discovery: set("issuer", steering)}},
		"endpoint":          {lies: Lies{Discovery: set("token_endpoint", steering)}},
		"callback":          {lies: Lies{Callback: func(q url.Values) { clear(q); q["error"] = []string{"access_denied"} }}},
		"callback, all": {lies: Lies{Callback: func(q url.Values) {
			q.Del("code")
			for key, values := range said {
				q[key] = values
			}
		}}},
		"callback, error":   {lies: Lies{Callback: func(q url.Values) { q.Del("code"); q.Set("error", steering) }}},
		"callback, iss":     {lies: Lies{Callback: func(q url.Values) { q.Set("iss", steering) }}},
		"token refused":     {more: func(p *Provider) { p.Respond(Token, 400, asJSON, string(refusal)) }},
		"token refused, 2":  {more: func(p *Provider) { p.Respond(Token, 503, "text/"+steering[10:12], steering) }},
		"content type":      {more: func(p *Provider) { p.Respond(Token, 200, "text/html; x=\u202e", steering) }},
		"discovery refused": {more: func(p *Provider) { p.Respond(Discovery, 404, html, steering) }},
		"redirect": {more: func(p *Provider) {
			p.On(Token, func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Location", "https://mallory.example.com/"+url.PathEscape(steering))
				w.WriteHeader(http.StatusFound)
				return true
			})
		}},
		"device code": {
			lies: Lies{Device: set("user_code", steering)}, args: []string{"login", "--device", "--timeout", "2s"},
		},
		"device URI": {
			lies: Lies{Device: set("verification_uri", "https://example.com/"+steering)},
			args: []string{"login", "--device", "--timeout", "2s"},
		},
		"device message": {
			lies: Lies{Device: set("message", steering)}, args: []string{"login", "--device", "--timeout", "3s"}, works: true,
		},
		"device refused": {
			more: func(p *Provider) { p.Respond(Device, 400, asJSON, string(refusal)) }, args: []string{"login", "--device"},
		},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t)
			p.Lie(c.lies)
			if c.more != nil {
				c.more(p)
			}
			h := house.New(t, p.Issuer())
			if c.args == nil {
				c.args = []string{"login", "--timeout", "2s"}
			}
			r := h.Run(c.args...)
			calm(t, "stderr", r.Stderr)
			if strings.Contains(r.Stdout, "\x1b") ||
				(r.Code == 0) != (c.works || strings.Contains(r.Stderr, "\nLogged in as Ada")) {
				t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
			for _, args := range [][]string{
				{"status"}, {"status", "-o", "json"}, {"token"}, {"token", "-o", "json"}, {"token", "-o", "header"},
				{"token", "--id-token"},
				{"token", "--force-refresh"}, {"logout", "--no-browser"},
			} {
				r := h.Run(args...)
				calm(t, strings.Join(args, " "), r.Stderr)
				calm(t, strings.Join(args, " "), r.Stdout)
				if args[0] == "token" && strings.Count(r.Stdout, "\n") > 1 && len(args) < 3 {
					t.Errorf("a token of several lines: %q", r.Stdout)
				}
			}
		})
	}
}

// JSON output can be parsed again, and holds the claims unchanged.
func TestWordsInJSON(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.Lie(Lies{Claims: set("name", steering)})
	h := house.New(t, p.Issuer())
	h.Must("login")
	var status struct {
		Name   string         `json:"name"`
		Claims map[string]any `json:"claims"`
	}
	text := h.Must("status", "-o", "json")
	calm(t, "the status", text)
	if err := json.Unmarshal([]byte(text), &status); err != nil || status.Name != steering ||
		status.Claims["name"] != steering {
		t.Errorf("got %+v, %v", status, err)
	}
}

// No text of a provider runs in a page, or reverses its text.
func TestWordsOnThePage(t *testing.T) {
	t.Parallel()
	p := Start(t)
	everywhere := func(m map[string]any) {
		for _, name := range []string{"name", "email", "nickname", "picture", "website", "org_name", "new"} {
			m[name] = steering
		}
		m["roles"] = []string{steering}
		m["\u202e<script>alert(3)</script>"] = map[string]any{steering: steering}
	}
	p.Lie(Lies{Claims: everywhere, UserInfo: everywhere})
	h := house.New(t, p.Issuer())
	h.Must("login")
	browser := newBrowser(t)
	browser.get(t, h.Serve())
	var protected struct{ User map[string]any }
	if _, body := browser.get(t, h.Base+"/protected"); json.Unmarshal([]byte(body), &protected) != nil ||
		protected.User["name"] != steering {
		t.Errorf("/protected answers %s", body)
	}
	pages := []string{
		"/", "/profile", "/auth/logout", "/none/" + url.PathEscape(steering), "/auth/login?org=" + url.QueryEscape(steering),
	}
	said := url.Values{"error": {steering}, "error_description": {steering}}
	p.Lie(Lies{Callback: func(q url.Values) {
		q.Del("code")
		q["error"], q["error_description"] = said["error"], said["error_description"]
	}})
	for _, page := range append(pages, "/auth/login") {
		status, body := browser.get(t, h.Base+page)
		if status == 200 && page == "/profile" && !strings.Contains(body, "&lt;script&gt;") {
			t.Error("the profile does not show the claims: was anything looked at?")
		}
		if page == "/auth/login" && !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("the provider's words are not shown: %s", body)
		}
		for _, bad := range []string{"<script>alert", "<img src=x", `"'&amp;`} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q", page, bad)
			}
		}
		for _, r := range body {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("%s holds %U", page, r)
				break
			}
		}
	}
}

// A browser is an HTTP client that keeps cookies.
type browser struct{ client http.Client }

func newBrowser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{http.Client{Jar: jar}}
}

// get sends a GET request with headers, given as names and values, and follows redirects.
func (b *browser) get(t testing.TB, target string, headers ...string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
