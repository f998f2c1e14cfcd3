package hostile

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// A found is what doctor says of one thing.
type found struct{ Name, State, Message, Fix string }

// examine runs doctor, and returns what it found by name.
func examine(t *testing.T, h *house.House, args ...string) (map[string]found, house.Result) {
	t.Helper()
	r := h.Run(append([]string{"doctor", "-o", "json"}, args...)...)
	var all []found
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil {
		t.Fatalf("doctor exits %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	calm(t, "doctor", r.Stdout+r.Stderr)
	byName := map[string]found{}
	for _, f := range all {
		byName[f.Name] = f
	}
	return byName, r
}

// dated returns a hook that makes responses bear another time than the provider's.
func dated(ahead time.Duration) Hook {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		return false
	}
}

// everywhere returns a hook for each endpoint that doctor asks: the last response tells the time, whichever that is.
func everywhere(hook Hook) map[string]Hook {
	return map[string]Hook{
		Discovery: hook, Keys: hook, Authorize: hook, Token: hook, Revoke: hook, Device: hook, Push: hook,
	}
}

// silenced returns a hook that answers a request without questions by another one, and shows a login page otherwise.
func silenced(hook Hook) Hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("prompt") == "none" {
			return hook(w, r)
		}
		_, _ = w.Write([]byte("<form>Log in</form>"))
		return true
	}
}

// Each lie that shows before a login is found, and named with what to do about it.
func TestDoctorFindsLies(t *testing.T) {
	t.Parallel()
	for name, c := range house.Some(map[string]struct {
		lies  Lies
		hook  map[string]Hook
		name  string // of the finding; "": nothing is broken
		state string
		words []string // in what was found, and in what to do
	}{
		"honest": {},
		"another issuer": {
			lies: Lies{Discovery: set("issuer", "https://mallory.example.com"+steering)}, name: "discovery", state: "broken",
			words: []string{"calls itself", "mallory", "--issuer"},
		},
		"the issuer of no tenant": {
			lies: Lies{Discovery: set("issuer", "https://x.example.com/{tenantid}/v2.0")}, name: "discovery", state: "broken",
			words: []string{"{tenantid}", "tenant's ID"},
		},
		"an endpoint without TLS": {
			lies: Lies{Discovery: set("token_endpoint", "http://x.example.com/token")}, name: "discovery", state: "broken",
			words: []string{"token_endpoint", "KC_HOSTNAME"},
		},
		"signs with a shared secret": {
			lies: Lies{Discovery: set("id_token_signing_alg_values_supported", []string{"HS256", "none"})}, name: "discovery",
			state: "broken", words: []string{"asymmetric", "RS256"},
		},
		"PKCE in the clear": {
			lies: Lies{Discovery: set("code_challenge_methods_supported", []string{"plain"})}, name: "provider", state: "broken",
			words: []string{"does not list PKCE with S256", "switch on PKCE with S256"},
		},
		"no metadata": {
			hook: map[string]Hook{Discovery: responding(404, html, "nothing")}, name: "discovery", state: "broken",
			words: []string{"HTTP 404", "--discovery-url"},
		},
		"metadata that are a page": {
			hook: map[string]Hook{Discovery: responding(200, html, "<p>Welcome")}, name: "discovery", state: "broken",
			words: []string{"not the JSON"},
		},
		"down": {
			hook: map[string]Hook{Discovery: responding(500, html, steering)}, name: "discovery", state: "broken",
			words: []string{"HTTP 500", "check the issuer"},
		},
		"no keys": {
			lies: Lies{Keys: set("keys", []any{})}, name: "keys", state: "broken", words: []string{"holds no key"},
		},
		"keys are withheld": {
			hook: map[string]Hook{Keys: responding(403, html, "no")}, name: "keys", state: "broken", words: []string{"HTTP 403"},
		},
		"keys for other signatures": {
			lies: Lies{Discovery: set("id_token_signing_alg_values_supported", []string{"ES256"})}, name: "keys",
			state: "broken", words: []string{"none of the provider's keys fits"},
		},
		"a clock that is ahead": {
			hook: everywhere(dated(10 * time.Minute)), name: "clock",
			state: "broken", words: []string{"behind the provider's", "10m", "set this computer's clock"},
		},
		"a clock that is behind": {
			hook: everywhere(dated(-2 * time.Minute)), name: "clock",
			state: "warning", words: []string{"ahead of the provider's", "2m", "set this computer's clock"},
		},
		"an error page": {
			hook: map[string]Hook{Authorize: responding(400, html, steering)}, name: "callback", state: "broken",
			words: []string{"error page (HTTP 400)", "check --client-id", "/auth/callback"},
		},
		"another state": {
			hook: map[string]Hook{Authorize: toCallback("", "code=c&state=x")}, name: "callback", state: "broken",
			words: []string{"another state"},
		},
		"another issuer's response": {
			lies: Lies{Callback: func(q url.Values) { q.Set("iss", "https://mallory.example.com"+steering) }}, name: "callback",
			state: "broken", words: []string{"the response is from", "mallory"},
		},
		"a response of nobody": {
			lies: Lies{Callback: func(q url.Values) { q.Del("iss") }}, name: "callback", state: "broken",
			words: []string{"does not say which provider"},
		},
		"a refusal of the scope": {
			hook: map[string]Hook{Authorize: toCallback("", "error=invalid_scope")}, name: "callback",
			state: "broken", words: []string{"invalid_scope", "--scope"},
		},
		"tokens for any code": {
			hook: map[string]Hook{
				Token: responding(200, asJSON, `{"access_token":"x","id_token":"a.b.c","token_type":"Bearer"}`),
			},
			name: "client", state: "broken", words: []string{"never granted", "do not log in there"},
		},
		"a client that must authenticate": {
			hook: map[string]Hook{Token: responding(401, asJSON, `{"error":"invalid_client"}`)}, name: "client", state: "broken",
			words: []string{"wants a client secret", "public client"},
		},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := Start(t)
			h := house.New(t, p.Issuer())
			p.Lie(c.lies)
			for endpoint, hook := range c.hook {
				p.On(endpoint, hook)
			}
			byName, r := examine(t, h)
			f := byName[c.name]
			if c.name == "" {
				for _, f := range byName {
					if f.State == "broken" || f.State == "warning" && f.Name != "session" {
						t.Errorf("%+v", f)
					}
				}
			} else if f.State != c.state {
				t.Errorf("%+v", byName)
			}
			for _, word := range c.words {
				if !strings.Contains(f.Message+" | "+f.Fix, word) {
					t.Errorf("%q is not in %+v", word, f)
				}
			}
			if (r.Code == 1) != (c.state == "broken") {
				t.Errorf("doctor exits %d: %s", r.Code, r.Stdout)
			}
		})
	}
}

// responding returns a hook that responds to every request with a status and a body.
func responding(status int, kind, body string) Hook {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

// Auth0 refuses a login without questions to a callback on this machine, by a page or by an error of its own. That is
// told apart from a callback that it does not know.
func TestDoctorAtAuth0(t *testing.T) {
	t.Parallel()
	const mismatch = "<h1>Oops</h1>Callback URL mismatch. " +
		"The provided redirect_uri is not in the list of allowed callback URLs."
	for name, c := range map[string]struct {
		authorize    Hook
		state        string // of callback
		confirmation string
	}{
		"it asks, by a page": {silenced(responding(403, html, "<p>prompt=none is not allowed")), "ok", "asks the person"},
		"it asks, by an error": {
			silenced(toCallback("/", "error=interaction_required&error_description=confirmation")), "ok", "without a question",
		},
		"it asks, by another error": {
			silenced(toCallback("/", "error=invalid_request&error_description=non-verifiable")), "ok", "asks the person",
		},
		"it does not ask":        {silenced(toCallback("/", "error=login_required")), "ok", "without a question"},
		"an unknown callback":    {responding(403, html, mismatch), "broken", "has to be possible first"},
		"one only when asked so": {silenced(responding(403, html, mismatch)), "ok", "asks the person"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := StartAt(t, "/")
			p.Lie(Lies{Discovery: without("end_session_endpoint")})
			p.On(Authorize, c.authorize)
			h := house.New(t, p.Issuer())
			h.Configure(p.Issuer(), `domain = "`+strings.TrimSuffix(p.Issuer(), "/")+`"`)
			byName, _ := examine(t, h)
			if f := byName["callback"]; f.State != c.state ||
				c.state == "broken" && !strings.Contains(f.Fix, "Dashboard → Applications → your app → Settings") {
				t.Errorf("%+v", f)
			}
			if f := byName["confirmation"]; !strings.Contains(f.Message, c.confirmation) {
				t.Errorf("%+v", f)
			}
			if f := byName["logout"]; f.State != "warning" || !strings.Contains(f.Fix, "End Session Endpoint Discovery") {
				t.Errorf("%+v", f)
			}
		})
	}
}

// toCallback returns a hook that redirects to the redirect URI of the request with a query. path is the issuer's.
func toCallback(path, query string) Hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		w.Header().Set("Location", q.Get("redirect_uri")+"?"+query+"&state="+q.Get("state")+"&iss="+
			url.QueryEscape("http://"+r.Host+path))
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// No secret and no token is sent, or printed, whatever doctor looks at.
func TestDoctorKeepsSecrets(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.Demand(clientSecret)
	h := house.New(t, p.Issuer(), "LOOPKEY_CLIENT_SECRET="+clientSecret)
	h.Must("login")
	secrets := append(p.Secrets(), clientSecret)
	if len(secrets) < 4 {
		t.Fatalf("only %d secrets", len(secrets))
	}
	var mu sync.Mutex
	var seen bytes.Buffer
	for _, endpoint := range []string{Discovery, Keys, Authorize, Token, UserInfo, Revoke, Device, Push, EndSession} {
		p.On(endpoint, func(_ http.ResponseWriter, r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			mu.Lock()
			defer mu.Unlock()
			_, _ = seen.WriteString(r.URL.String() + string(body))
			_ = r.Header.Write(&seen)
			return false
		})
	}
	p.Reset()
	byName, r := examine(t, h)
	text := h.Run("doctor")
	if f := byName["client secret"]; r.Code != 0 || !strings.HasPrefix(f.Message, "set (LOOPKEY_CLIENT_SECRET") {
		t.Errorf("doctor exits %d: %+v", r.Code, byName)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen.Len() < 500 {
		t.Errorf("nothing was seen: %s", seen.String())
	}
	for _, where := range []string{seen.String(), r.Stdout, r.Stderr, text.Stdout, text.Stderr} {
		for _, secret := range secrets {
			if strings.Contains(where, secret) || strings.Contains(where, url.QueryEscape(secret)) {
				t.Errorf("%s is in %s", secret, where)
			}
		}
		if strings.Contains(where, "Authorization:") {
			t.Errorf("it authenticates: %s", where)
		}
	}
	for _, endpoint := range []string{UserInfo, Revoke, Device, Push, EndSession} {
		if n := p.Requests(endpoint); n > 0 {
			t.Errorf("%d requests to %s", n, endpoint)
		}
	}
}

// A login says before the browser opens what it will fail for, and asks the provider for no more than it always does.
func TestLoginSaysWhatDoctorWould(t *testing.T) {
	t.Parallel()
	p := Start(t)
	p.On(Discovery, dated(10*time.Minute))
	p.Lie(Lies{Discovery: set("code_challenge_methods_supported", []string{"plain"})})
	h := house.New(t, p.Issuer())
	r := h.Run("login")
	for _, words := range []string{
		"This computer's clock is 10m behind the provider's: set this computer's clock", "PKCE with S256",
	} {
		said, logged := strings.Index(r.Stderr, words), strings.Index(r.Stderr, "Logged in as")
		if r.Code != 0 || said < 0 || logged < said {
			t.Errorf("%q: login exits %d: %s", words, r.Code, r.Stderr)
		}
	}
	for endpoint, want := range map[string]int{Discovery: 1, Keys: 1, Authorize: 1, Token: 1} {
		if got := p.Requests(endpoint); got != want {
			t.Errorf("%d requests to %s", got, endpoint)
		}
	}
	p.Confess()
	if r := h.Run("login"); r.Code != 0 || strings.Contains(r.Stderr, "clock") {
		t.Errorf("login exits %d: %s", r.Code, r.Stderr)
	}
}

// A certificate that nobody here trusts is named with who signed it, and one that is trusted with its last day.
func TestDoctorAboutCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	shown := certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
	trusted := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(trusted, authorities(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartTLS(t, "", func() *tls.Certificate { return shown })
	h := house.New(t, p.Issuer(), "SSL_CERT_DIR="+t.TempDir())
	byName, r := examine(t, h)
	if f := byName["TLS"]; r.Code != 1 || f.State != "broken" || !strings.Contains(f.Message, "does not trust") ||
		!strings.Contains(f.Fix, "SSL_CERT_FILE") {
		t.Errorf("doctor exits %d: %+v", r.Code, f)
	}
	byName, r = examine(t, h.With("SSL_CERT_FILE="+trusted))
	if f := byName["TLS"]; r.Code != 0 || f.State != "warning" || !strings.Contains(f.Message, "TLS 1.3, signed by") {
		t.Errorf("doctor exits %d: %+v", r.Code, f)
	}
	elsewhere := []string{"--issuer", "https://x.example.com"}
	byName, _ = examine(t, h.With("HTTPS_PROXY=http://ada:pa/ss@127.0.0.1:1", "NO_PROXY="), elsewhere...)
	if f := byName["proxy"]; f.State != "broken" || !strings.Contains(f.Fix, "%2F") ||
		strings.Contains(f.Message, "pa/ss") {
		t.Errorf("%+v", f)
	}
	byName, _ = examine(t, h.With("HTTPS_PROXY=http://ada:pass@127.0.0.1:1", "NO_PROXY="), elsewhere...)
	if f := byName["proxy"]; f.State != "ok" || !strings.HasPrefix(f.Message, "http://127.0.0.1:1 on the way") {
		t.Errorf("%+v", f)
	}
	if f := byName["DNS"]; f.State != "skipped" || !strings.Contains(f.Message, "the proxy looks up") {
		t.Errorf("%+v", f)
	}
}
