package hostile

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// keyFile writes the client's private key, with a certificate, and returns the path.
func keyFile(t *testing.T) string {
	t.Helper()
	key := forge.ES256().Private.(*ecdsa.PrivateKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	content = append(content, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	path := filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// worldWith returns a world whose client has a key or a certificate.
func worldWith(t *testing.T, variable string) worlds {
	t.Helper()
	all := make(worlds, 1)
	all <- newWorld(t, variable+"="+keyFile(t))
	return all
}

// A client with a key (private_key_jwt) signs for its provider alone, by an algorithm that is worth something, and
// tells nobody what it has signed.
func TestClientKey(t *testing.T) {
	t.Parallel()
	all := worldWith(t, "LOOPKEY_CLIENT_KEY")
	unsigned := map[string]int{Token: 0, Push: 0}
	offers := func(name string, algorithms ...string) Lies { return Lies{Discovery: set(name, algorithms)} }
	const of = "token_endpoint_auth_signing_alg_values_supported"
	const ofRequests = "request_object_signing_alg_values_supported"
	echo := func(w *world) {
		w.On(Token, func(rw http.ResponseWriter, r *http.Request) bool {
			refuse(rw, http.StatusUnauthorized, "invalid_client", "no good: "+r.PostFormValue("client_assertion"))
			return true
		})
	}
	all.refuse(t, map[string]trial{
		"algorithms_none": {lies: offers(of, "none"), code: 2, words: "accepts signatures with none", requests: unsigned},
		"request_algorithms_none": {
			lies: Lies{Discovery: func(d map[string]any) {
				d["require_signed_request_object"], d[ofRequests] = true, []string{"none"}
			}},
			code: 2, words: "request objects", requests: map[string]int{Authorize: 0},
		},
		"assertion_told_back": {more: echo, words: "no good: [secret]", requests: map[string]int{Token: 1}},
	})
}

// A client with a certificate (RFC 8705) shows it at the endpoints that its provider names for that, if they are such,
// and takes no token that is bound to somebody else's.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	all := worldWith(t, "LOOPKEY_CLIENT_CERTIFICATE")
	alias := func(to any) Lies { return Lies{Discovery: set("mtls_endpoint_aliases", to)} }
	bound := func(cnf any) Lies {
		token := forge.RS256().Token(map[string]any{"aud": "api", "exp": ago(-time.Hour), "cnf": cnf})
		return Lies{Claims: without("at_hash"), Token: set("access_token", token)}
	}
	none := map[string]int{Token: 0}
	another := map[string]any{"x5t#S256": strings.Repeat("A", 43)}
	all.refuse(t, map[string]trial{
		"alias_plain_http": {
			lies:  alias(map[string]any{"token_endpoint": "http://mallory.example/token"}),
			words: "token_endpoint", requests: none,
		},
		"bound_to_another_at_a_renewal": {
			lies: bound(another), args: []string{"token", "--force-refresh"}, words: "bound to a certificate",
		},
	})
	all.accept(t, map[string]trial{
		"aliases_a_list": {lies: alias([]string{"x"})},
	})
}

// What a client without a key or a certificate can't do is not done in another way, and the browser stays closed.
func TestClientWithoutKey(t *testing.T) {
	t.Parallel()
	all := make(worlds, 1)
	all <- newWorld(t)
	token := forge.RS256().Token(map[string]any{
		"aud": "api", "exp": ago(-time.Hour), "cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)},
	})
	all.refuse(t, map[string]trial{
		"signatures_demanded": {
			lies: Lies{Discovery: func(d map[string]any) {
				d["require_signed_request_object"], d["require_pushed_authorization_requests"] = true, true
			}},
			code: 2, words: "--client-key", requests: map[string]int{Authorize: 0, Push: 0},
		},
		"bound": {
			lies: Lies{Claims: without("at_hash"), Token: set("access_token", token)}, words: "--client-certificate",
		},
	})
}
