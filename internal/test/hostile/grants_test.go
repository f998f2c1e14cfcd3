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
	assertion := filepath.Join(t.TempDir(), "assertion")
	if err := os.WriteFile(assertion, []byte(forge.OtherRS256().Token(map[string]any{"sub": "job"})), 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := []string{"token", "--jwt-bearer", "--assertion-file", assertion, "--audience", otherAPI}
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
		"the_assertion_itself": {
			bearer, func(form url.Values, response, _ map[string]any) { response["access_token"] = form.Get("assertion") },
			"the very token that was sent to it",
		},
		"bearer_for_another": {bearer, claim("aud", mallory), "not for " + otherAPI},
		"own_for_another":    {own, claim("aud", mallory), "not for " + otherAPI},
		"own_expired":        {own, claim("exp", ago(time.Minute)), "expired"},
		"own_no_bearer":      {own, answer("token_type", "N_A"), "token type"},
		"own_gigantic":       {own, answer("access_token", strings.Repeat("a", 65<<10)), "too large"},
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

// An identity assertion (ID-JAG) that is none, or is not for the other server alone, gets nowhere; nor is it the token
// that comes of it.
func TestCrossApp(t *testing.T) {
	t.Parallel()
	w, crm := newWorld(t), Start(t)
	w.house.Configure(w.Issuer(), "[profile.crm]", "issuer = '"+crm.Issuer()+"'", "client_id = '"+house.Client+"'",
		"keystore = '"+w.house.Keystore()+"'")
	args := []string{"token", "-p", "crm", "--id-jag", "default", "--audience", otherAPI}
	jag := func(typ string, change func(map[string]any)) grantLie {
		return func(form url.Values, response, claims map[string]any) {
			claims["aud"] = form.Get("audience")
			change(claims)
			header := map[string]any{"alg": "RS256", "kid": "rsa-1", "typ": typ}
			response["token_type"], response["access_token"] = "N_A", forge.RS256().Sign(header, claims)
		}
	}
	const typ, mallory = "oauth-id-jag+jwt", "https://mallory.example.com/"
	honest := jag(typ, func(map[string]any) {})
	instead := func(name string, value any) grantLie {
		return func(form url.Values, response, claims map[string]any) {
			honest(form, response, claims)
			response[name] = value
		}
	}
	there := &world{Provider: crm} // where the assertion would be used
	grants(nil)(there)
	for name, c := range house.Some(map[string]struct {
		lie   grantLie
		words string
	}{
		"an_access_token":    {jag("at+jwt", func(map[string]any) {}), "no identity assertion"},
		"without_a_type":     {jag("", func(map[string]any) {}), "no identity assertion"},
		"opaque":             {instead("access_token", "opaque"), "no identity assertion"},
		"issued_as_another":  {instead("issued_token_type", tokenTypes+"access_token"), "token type"},
		"issued_as_none":     {instead("issued_token_type", ""), "token type"},
		"for_another_server": {jag(typ, set("aud", mallory)), "is for"},
		"for_two_servers":    {jag(typ, set("aud", []string{crm.Issuer(), mallory})), "is for"},
		"of_another_issuer":  {jag(typ, set("iss", mallory)), "is from"},
		"expired":            {jag(typ, at("exp", time.Minute)), "expired"},
	}) {
		t.Run(name, func(t *testing.T) {
			w.Reset()
			grants(c.lie)(w)
			house.Refused(t, w.house.Run(args...), 4, c.words)
			w.count(t, map[string]int{Token: 1})
			there.count(t, map[string]int{Token: 0})
		})
	}
	grants(honest)(w)
	grants(func(form url.Values, response, _ map[string]any) { response["access_token"] = form.Get("assertion") })(there)
	house.Refused(t, w.house.Run(args...), 4, "the very token that was sent to it")
	grants(nil)(there)
	if got := forge.Claims(w.house.Must(args...)); got["aud"] != otherAPI {
		t.Errorf("the token says %v", got)
	}
	w.unharmed(t)
}

// What Auth0's token vault gives in place of another provider's token is not taken.
func TestVault(t *testing.T) {
	t.Parallel()
	w := worldOf(t, StartAt(t, "/"))
	args := []string{"token", "--domain", strings.TrimSuffix(w.Issuer(), "/"), "--connection", "google-oauth2"}
	w.house.Must("login", "--domain", strings.TrimSuffix(w.Issuer(), "/"))
	w.was = w.stored(t)
	vault := func(change func(form url.Values, response map[string]any)) {
		w.On(Token, func(rw http.ResponseWriter, r *http.Request) bool {
			_ = r.ParseForm()
			if r.PostForm.Get("connection") == "" {
				return false
			}
			response := map[string]any{
				"access_token": "token-of-google", "token_type": "Bearer", "expires_in": 3600,
				"issued_token_type": r.PostForm.Get("requested_token_type"),
			}
			change(r.PostForm, response)
			writeJSON(rw, http.StatusOK, response)
			return true
		})
	}
	for name, c := range house.Some(map[string]struct {
		change func(form url.Values, response map[string]any)
		words  string
	}{
		"the_refresh_token_itself": {
			func(form url.Values, r map[string]any) { r["access_token"] = form.Get("subject_token") },
			"the very token that was sent to it",
		},
		"issued_as_another": {
			func(_ url.Values, r map[string]any) { r["issued_token_type"] = tokenTypes + "refresh_token" }, "token type",
		},
		"expires_in_negative": {func(_ url.Values, r map[string]any) { r["expires_in"] = -1 }, "expires_in"},
		"no_token":            {func(_ url.Values, r map[string]any) { delete(r, "access_token") }, "no access token"},
	}) {
		t.Run(name, func(t *testing.T) {
			vault(c.change)
			house.Refused(t, w.house.Run(args...), 4, c.words)
			w.unharmed(t)
		})
	}
	vault(func(url.Values, map[string]any) {})
	if got := w.house.Must(args...); got != "token-of-google\n" {
		t.Errorf("the vault's token is %q", got)
	}
}

// A refusal that tells back the token or the assertion that it was sent shows nothing of it.
func TestGrantsToldBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	assertion := filepath.Join(t.TempDir(), "assertion")
	raw := forge.OtherRS256().Token(map[string]any{"sub": "job"})
	if err := os.WriteFile(assertion, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	w.On(Token, func(rw http.ResponseWriter, r *http.Request) bool {
		_ = r.ParseForm()
		refuse(rw, http.StatusBadRequest, "invalid_request",
			"no good: "+r.PostForm.Get("subject_token")+r.PostForm.Get("assertion"))
		return true
	})
	file := []string{"--subject-token-file", assertion, "--subject-token-type", "jwt"}
	for name, args := range house.Some(map[string][]string{
		"subject":   append([]string{"--exchange"}, file...),
		"assertion": {"--jwt-bearer", "--assertion-file", assertion},
	}) {
		t.Run(name, func(t *testing.T) {
			r := w.house.Run(append([]string{"token", "--audience", otherAPI}, args...)...)
			house.Refused(t, r, 4, "no good: [secret]")
			for _, held := range append(w.Secrets(), raw) {
				if strings.Contains(r.Stderr, held) {
					t.Errorf("stderr tells a secret: %s", r.Stderr)
				}
			}
		})
	}
	w.unharmed(t)
}
