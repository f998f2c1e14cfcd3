package provider

import (
	"errors"
	"maps"
	"net/http"
	"testing"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestUserInfo: UserInfo is asked for what the scope promises and the ID token lacks, and believed only about the
// same user.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	jwtBody := func(f *fake, change ...func(map[string]any)) string {
		return forge.RS256().Token(f.claims(append(change, func(c map[string]any) { c["name"] = "Ada" })...))
	}
	const asJSON, asJWT = "application/json", "application/jwt"
	says := func(text string) func(*fake) string { return func(*fake) string { return text } }
	type claims = map[string]any
	for name, c := range map[string]struct {
		idToken  claims // beside the usual ones
		audience string
		kind     string
		status   int
		body     func(f *fake) string
		want     error
		requests int
		name     string // that UserInfo adds
	}{
		"JSON": {nil, "", asJSON, 200, says(`{"sub":"ada","name":"Ada","nonce":"x"}`), nil, 1, "Ada"},
		"JWT":  {nil, "", asJWT + "; charset=utf-8", 200, func(f *fake) string { return jwtBody(f) }, nil, 1, "Ada"},
		"JWT of another client": {nil, "", asJWT, 200, func(f *fake) string {
			return jwtBody(f, func(c map[string]any) { c["aud"] = "x" })
		}, ErrAudience, 1, ""},
		"JWT of another issuer": {nil, "", asJWT, 200, func(f *fake) string {
			return jwtBody(f, func(c map[string]any) { c["iss"] = "x" })
		}, ErrIssuer, 1, ""},
		"JWT with another's key": {nil, "", asJWT, 200, func(f *fake) string {
			return forge.OtherRS256().Named("rsa-1").Token(f.claims())
		}, ErrSignature, 1, ""},
		"JWT with an encoded payload that says so": {nil, "", asJWT, 200, func(f *fake) string {
			return forge.RS256().Sign(map[string]any{"alg": "RS256", "kid": "rsa-1", "crit": []any{"b64"}, "b64": true},
				f.claims(func(c map[string]any) { c["name"] = "Ada" }))
		}, ErrMalformed, 1, ""},
		"JWT with b64 and no crit": {nil, "", asJWT, 200, func(f *fake) string {
			return forge.RS256().Sign(map[string]any{"alg": "RS256", "kid": "rsa-1", "b64": false},
				f.claims(func(c map[string]any) { c["name"] = "Ada" }))
		}, ErrMalformed, 1, ""},
		"another person":          {nil, "", asJSON, 200, says(`{"sub":"charles","name":"Charles"}`), ErrSubject, 1, ""},
		"nobody":                  {nil, "", asJSON, 200, says(`{"name":"Ada"}`), ErrSubject, 1, ""},
		"no JSON":                 {nil, "", "text/html", 200, says(`<p>`), ErrMalformed, 1, ""},
		"null":                    {nil, "", asJSON, 200, says(`null`), ErrMalformed, 1, ""},
		"refused":                 {nil, "", asJSON, 401, says(``), nil, 1, ""},
		"broken":                  {nil, "", asJSON, 500, says(``), nil, 1, ""},
		"not needed":              {claims{"name": "Ada L", "email": "a@example.com"}, "", "", 200, says(``), nil, 0, ""},
		"a token for another API": {nil, "https://api.example.com", "", 200, says(``), nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.on("/token", 200, f.tokens(func(a map[string]any) {
				a["id_token"] = forge.RS256().Token(f.claims(func(claims map[string]any) { maps.Copy(claims, c.idToken) }))
			}))
			body := c.body(f)
			f.hook("/userinfo", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer opaque" {
					t.Errorf("Authorization %q", r.Header.Get("Authorization"))
				}
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(body))
			})
			tokens, err := f.client(t).Exchange(t.Context(), CodeExchange{
				Code: NewSecret("c"), Nonce: "n", Scope: "openid profile email", Audience: c.audience,
			})
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && tokens.UserInfo.Text("name") != c.name {
				t.Errorf("UserInfo is %v", tokens.UserInfo)
			}
			if err == nil && tokens.UserInfo.Text("nonce") != "" {
				t.Error("UserInfo overrides the ID token")
			}
			if got := f.requests("/userinfo"); got != c.requests {
				t.Errorf("%d requests", got)
			}
		})
	}
}
