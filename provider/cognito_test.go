package provider

import (
	"net/http"
	"testing"
	"time"
)

// Cognito's logout knows logout_uri and client_id, and is on the host of the authorization endpoint, whatever discovery
// says of an end_session_endpoint.
func TestCognitoLogout(t *testing.T) {
	t.Parallel()
	const domain = "https://acme.auth.eu-west-1.amazoncognito.com"
	const issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"
	for name, more := range map[string]string{
		"no end_session_endpoint":  ``,
		"one that discovery names": `,"end_session_endpoint":"` + domain + `/logout"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := New(Config{Issuer: issuer, ClientID: "me", HTTPClient: &http.Client{Transport: noNetwork{t}}})
			if err != nil {
				t.Fatal(err)
			}
			p.cached = &diskCache{Issuer: issuer, Discovery: cached{Fetched: p.now(), MaxAge: time.Hour, Raw: []byte(`{
				"issuer":"` + issuer + `","authorization_endpoint":"` + domain + `/oauth2/authorize",
				"token_endpoint":"` + domain + `/oauth2/token","jwks_uri":"` + issuer + `/keys"` + more + `}`)}}
			got, err := p.EndSessionURL(t.Context(), NewSecret("hint"), "http://localhost:3000", "state")
			if want := domain + "/logout?client_id=me&logout_uri=http%3A%2F%2Flocalhost%3A3000"; err != nil || got != want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("a request to %s", r.URL)
	return nil, http.ErrServerClosed
}
