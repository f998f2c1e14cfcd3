package hostile

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// What a person can set wrongly about a provider is told with the step that works, and that step is tried.
func TestCauses(t *testing.T) {
	t.Parallel()
	t.Run("moved", func(t *testing.T) {
		t.Parallel()
		p, old := Start(t), Start(t)
		old.On(Discovery, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, p.Issuer()+"/.well-known/openid-configuration", http.StatusMovedPermanently)
			return true
		})
		h := house.New(t, old.Issuer())
		house.Refused(t, h.Run("login"), 4, "redirects to "+p.Issuer(), "use --issuer "+p.Issuer())
		h.Must("login", "--issuer", p.Issuer())
		old.On(Discovery, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/login?next=secret", http.StatusFound)
			return true
		})
		r := h.Run("login")
		house.Refused(t, r, 4, "redirects to "+old.Issuer()+"/login", "check --issuer")
		if strings.Contains(r.Stderr, "secret") {
			t.Errorf("the query is told: %s", r.Stderr)
		}
	})
	t.Run("discovery_address", func(t *testing.T) {
		t.Parallel()
		p := Start(t)
		h := house.New(t, p.Issuer())
		r := h.Run("login", "--issuer", p.Issuer()+"/.well-known/openid-configuration")
		house.Refused(t, r, 2, "is the address of the provider's metadata", "it is "+p.Issuer()+"\n")
		said := strings.TrimSpace(r.Stderr[strings.LastIndex(r.Stderr, " "):])
		h.Must("login", "--issuer", said)
		house.Refused(t, h.Run("login", "--issuer", "https://acme.eu.auth0.com/.well-known/openid-configuration"), 2,
			"https://acme.eu.auth0.com/\n")
	})
	t.Run("behind_a_TLS_proxy", func(t *testing.T) {
		t.Parallel()
		p := Start(t)
		p.Lie(Lies{Discovery: set("issuer", "http://keycloak.example.com/realms/one")})
		h := house.New(t, p.Issuer())
		r := h.Run("login")
		house.Refused(t, r, 4, "http://keycloak.example.com/realms/one", "KC_HOSTNAME")
		if strings.Contains(r.Stderr, "use --issuer") {
			t.Errorf("the advice does not work: %s", r.Stderr)
		}
		p.Lie(Lies{Discovery: set("token_endpoint", "http://keycloak.example.com/token")})
		house.Refused(t, h.Run("login"), 4, "token_endpoint", "KC_HOSTNAME")
	})
	t.Run("no_tenant", func(t *testing.T) {
		t.Parallel()
		p := Start(t)
		p.Lie(Lies{Discovery: set("issuer", "https://login.microsoftonline.com/{tenantid}/v2.0")})
		house.Refused(t, house.New(t, p.Issuer()).Run("login"), 4, "TENANT-ID")
	})
	t.Run("domain_with_a_path", func(t *testing.T) {
		t.Parallel()
		h := house.New(t, "https://unused.example.com")
		house.Refused(t, h.Run("login", "--domain", "https://acme.eu.auth0.com/u/login"), 2, "it is acme.eu.auth0.com\n")
	})
	t.Run("proxy_password", func(t *testing.T) {
		t.Parallel()
		for _, password := range []string{"hunter2/x", "hunter2#x", "hunter2?x", "hunter2%x", "12#hunter2", "12/hunter2"} {
			h := house.New(t, "https://provider.example.com", "HTTPS_PROXY=http://ada:"+password+"@127.0.0.1:9")
			r := h.Run("login")
			house.Refused(t, r, 1, "HTTPS_PROXY", "%23")
			if strings.Contains(r.Stderr, "hunter2") {
				t.Errorf("the password is told: %s", r.Stderr)
			}
		}
		// Escaped, as it said, the proxy is found.
		password := url.PathEscape("hunter2/#?%x")
		h := house.New(t, "https://provider.example.com", "HTTPS_PROXY=http://ada:"+password+"@127.0.0.1:9")
		house.Refused(t, h.Run("login"), 1, "does not answer")
	})
	t.Run("proxy_of_Windows", func(t *testing.T) {
		t.Parallel()
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Proxy-Authenticate", "Negotiate")
			w.Header().Add("Proxy-Authenticate", "NTLM")
			w.WriteHeader(http.StatusProxyAuthRequired)
		}))
		t.Cleanup(proxy.Close)
		h := house.New(t, "https://provider.example.com", "HTTPS_PROXY="+proxy.URL)
		house.Refused(t, h.Run("login"), 1, "Negotiate or NTLM", "HTTPS_PROXY=http://localhost:3128")
	})
}
