package provider

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
)

// TestClientAuthentication sends the client's secret as the provider wants it (RFC 6749, section 2.3.1; OpenID Connect
// Discovery 1.0, section 3).
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	const secret = "a secret: with %, + and ü"
	for name, c := range map[string]struct {
		methods []string
		secret  string
		basic   bool
		post    bool
	}{
		"public":                  {nil, "", false, false},
		"nothing said: basic":     {nil, secret, true, false},
		"both: basic":             {[]string{"client_secret_post", "client_secret_basic"}, secret, true, false},
		"post alone":              {[]string{"client_secret_post"}, secret, false, true},
		"neither of the two":      {[]string{"private_key_jwt"}, secret, true, false},
		"public, and none is not": {[]string{"client_secret_basic"}, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if c.methods != nil {
				f.set("token_endpoint_auth_methods_supported", c.methods)
			}
			good := f.tokens()
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				user, password, basic := r.BasicAuth()
				if basic != c.basic || basic && (user != url.QueryEscape(fakeClient) || password != url.QueryEscape(secret)) {
					t.Errorf("basic %v: %q %q", basic, user, password)
				}
				if got := r.PostFormValue("client_secret"); got != "" != c.post || c.post && got != secret {
					t.Errorf("posted %q", got)
				}
				if !c.basic && r.PostFormValue("client_id") != fakeClient {
					t.Errorf("client_id %q", r.PostFormValue("client_id"))
				}
				_ = json.NewEncoder(w).Encode(good)
			})
			p := f.client(t, func(cfg *Config) { cfg.ClientSecret = NewSecret(c.secret) })
			if _, err := renew(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
}
