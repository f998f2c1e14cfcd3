package hostile

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

const (
	tokenTypes = "urn:ietf:params:oauth:token-type:"
	otherAPI   = "https://other.example.com/"
)

// A grantLie changes the response to a token request without a login, and the claims of the token in it.
type grantLie func(form url.Values, response, claims map[string]any)

// grants makes the provider give a token for each request without a login, which is honest but for the lie.
func grants(lie grantLie) func(*world) {
	return func(w *world) {
		w.On(Token, func(rw http.ResponseWriter, r *http.Request) bool {
			_ = r.ParseForm()
			form, response := r.PostForm, map[string]any{"token_type": "Bearer", "expires_in": 3600}
			switch form.Get("grant_type") {
			case "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer":
			case "urn:ietf:params:oauth:grant-type:token-exchange":
				response["issued_token_type"] = tokenTypes + "access_token"
				if requested := form.Get("requested_token_type"); requested != "" {
					response["issued_token_type"] = requested
				}
			default:
				return false
			}
			claims := map[string]any{
				"iss": w.Issuer(), "sub": "ada", "aud": form.Get("audience") + form.Get("resource"), "exp": ago(-time.Hour),
			}
			if lie != nil {
				lie(form, response, claims)
			}
			if response["access_token"] == nil {
				response["access_token"] = forge.RS256().Token(claims)
			}
			writeJSON(rw, http.StatusOK, response)
			return true
		})
	}
}

// A response that lies about an exchanged token, or about one of the client itself, is not taken, and nothing of it is
// kept.
func TestGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	exchange := []string{"token", "--exchange", "--audience", otherAPI}
	own := []string{"token", "--client-credentials", "--audience", otherAPI, "--client-secret-file", secret}
	answer := func(name string, value any) grantLie {
		return func(_ url.Values, response, _ map[string]any) { response[name] = value }
	}
	claim := func(name string, value any) grantLie {
		return func(_ url.Values, _, claims map[string]any) { claims[name] = value }
	}
	const mallory = "https://mallory.example.com/"
	for name, c := range house.Some(map[string]struct {
		args  []string
		lie   grantLie
		words string
	}{
		"another_type_than_requested": {
			append(exchange, "--requested-token-type", "jwt"), answer("issued_token_type", tokenTypes+"access_token"),
			"token type",
		},
		"a_refresh_token_in_its_place": {
			exchange, answer("issued_token_type", tokenTypes+"refresh_token"), "refresh_token",
		},
		"no_type_where_one_was_requested": {
			append(exchange, "--requested-token-type", "id_token"), answer("issued_token_type", ""), "token type",
		},
		"the_subject_token_itself": {
			exchange, func(form url.Values, response, _ map[string]any) {
				response["access_token"] = form.Get("subject_token")
			},
			"the very token that was sent to it",
		},
		"of_another_issuer":    {exchange, claim("iss", mallory), "issuer"},
		"for_another_audience": {exchange, claim("aud", mallory), "not for " + otherAPI},
		"expired":              {exchange, claim("exp", ago(time.Minute)), "expired"},
		"expires_in_negative":  {exchange, answer("expires_in", -1), "expires_in"},
		"token_type_mac":       {exchange, answer("token_type", "mac"), "token type"},
		"no_token":             {exchange, answer("access_token", ""), "no access token"},
		"no_bearer_as_a_header": {
			append(exchange, "--audience", "https://na.example.com/", "-o", "header"), answer("token_type", "N_A"),
			"no access token",
		},
		"scope_that_lacks_one": {
			append(exchange, "--scope", "read admin"), answer("scope", "read"), `did not grant scope "admin"`,
		},
		"scope_of_the_token_alone": {
			append(exchange, "--scope", "read admin"), claim("scope", "read"), `did not grant scope "admin"`,
		},
		"own_for_another": {own, claim("aud", mallory), "not for " + otherAPI},
		"own_expired":     {own, claim("exp", ago(time.Minute)), "expired"},
		"own_no_bearer":   {own, answer("token_type", "N_A"), "token type"},
		"own_gigantic":    {own, answer("access_token", strings.Repeat("a", 65<<10)), "too large"},
	}) {
		t.Run(name, func(t *testing.T) {
			w.Reset()
			grants(c.lie)(w)
			r := w.house.Run(c.args...)
			house.Refused(t, r, 4, c.words)
			w.count(t, map[string]int{Token: 1})
			for _, held := range append(w.Secrets(), "s3cret") {
				if strings.Contains(r.Stderr, held) {
					t.Errorf("stderr tells a secret: %s", r.Stderr)
				}
			}
		})
	}
	w.unharmed(t)
	grants(nil)(w)
	w.Reset()
	w.house.Must(exchange...) // nothing of a lie was kept
	w.house.Must(own...)
	w.count(t, map[string]int{Token: 2})
}

// What an honest provider gives for an exchange is taken although it is unusual. A refresh token that nobody asked for
// is nowhere afterwards.
func TestUnusualGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grants(func(_ url.Values, response, claims map[string]any) {
		delete(response, "expires_in")
		delete(claims, "exp")
		response["refresh_token"] = "refresh-token-unasked"
		response["scope"] = "read"
	})(w)
	var got struct {
		Scope     string
		ExpiresAt any `json:"expires_at"`
	}
	said := w.house.Must("token", "--exchange", "--audience", otherAPI, "-o", "json")
	if err := json.Unmarshal([]byte(said), &got); err != nil || got.Scope != "read" || got.ExpiresAt != nil {
		t.Errorf("%v: %s", err, said)
	}
	w.house.Must("token", "--exchange", "--audience", otherAPI) // kept for a while
	record, err := w.house.Store.Load(t.Context(), w.name+".derived")
	if err != nil || strings.Contains(said+string(record.Body), "refresh-token-unasked") {
		t.Errorf("%v: the refresh token is kept or printed", err)
	}
	w.count(t, map[string]int{Token: 2}) // of the login, and of the exchange
	w.unharmed(t)
}

// An endpoint of a CI that lies, redirects or floods brings nothing to the provider, and the request's token goes to no
// host but GitHub's.
func TestCIEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Reset()
	grants(nil)(w)
	var reply func(http.ResponseWriter)
	asked := 0
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if asked++; r.Header.Get("Authorization") != "Bearer request-token" || r.URL.Query().Get("audience") != w.Issuer() {
			t.Errorf("the request is %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		reply(rw)
	}))
	t.Cleanup(endpoint.Close)
	token := func(change func(map[string]any)) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) {
			claims := map[string]any{"iss": "https://ci.example.com", "sub": "job", "aud": w.Issuer(), "exp": ago(-time.Minute)}
			if change != nil {
				change(claims)
			}
			writeJSON(rw, http.StatusOK, map[string]any{"count": 1, "value": forge.RS256().Token(claims)})
		}
	}
	body := func(status int, text string) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) {
			rw.Header().Set("Location", endpoint.URL)
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(text))
		}
	}
	run := func(url string) house.Result {
		return w.house.With("ACTIONS_ID_TOKEN_REQUEST_URL="+url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token").
			Run("token", "--ci", "--audience", otherAPI)
	}
	for name, c := range house.Some(map[string]struct {
		reply func(http.ResponseWriter)
		code  int
		words string
	}{
		"for_another_audience": {token(set("aud", "https://mallory.example.com/")), 4, "for another audience"},
		"expired":              {token(at("exp", time.Minute)), 4, "expired"},
		"no_jwt":               {body(200, `{"value":"opaque"}`), 4, "no signed JWT"},
		"empty":                {body(200, `{}`), 4, "holds none"},
		"html":                 {body(200, `<!doctype html>`), 4, "holds none"},
		"ten_megabytes":        {body(200, strings.Repeat(" ", 10<<20)), 4, "more than 1024 KiB"},
		"redirect":             {body(307, ""), 4, "a redirect, which is not followed"},
		"refused":              {body(403, "request-token"), 4, "HTTP 403"},
		"down":                 {body(500, ""), 4, "HTTP 500"},
	}) {
		t.Run(name, func(t *testing.T) {
			reply, asked = c.reply, 0
			house.Refused(t, run(endpoint.URL+"/token?api-version=2.0"), c.code, c.words)
			if asked != 1 {
				t.Errorf("%d requests", asked)
			}
		})
	}
	asked = 0
	for _, url := range []string{
		"https://mallory.example.com/token", "http://pipelines.actions.githubusercontent.com/token",
		"https://actions.githubusercontent.com.mallory.example.com/", "https://u:p@127.0.0.1/", "no URL",
	} {
		house.Refused(t, run(url), 2, "ACTIONS_ID_TOKEN_REQUEST_URL is")
	}
	w.count(t, map[string]int{Token: 0})
	reply = token(nil)
	if r := run(endpoint.URL); r.Code != 0 || r.Stdout == "" {
		t.Errorf("an honest endpoint: exit %d: %s", r.Code, r.Stderr)
	}
}
