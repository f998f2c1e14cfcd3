package provider

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// clientCertificate returns a certificate that its own key has signed.
func clientCertificate() *tls.Certificate {
	key := forge.ES256().Private
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: fakeClient}, NotAfter: time.Now().Add(time.Hour),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// The client shows its certificate where it authenticates and where its token may be bound to it, at the aliases that
// discovery has for that, and nowhere else.
func TestWhoSeesTheCertificate(t *testing.T) {
	t.Parallel()
	certificate := clientCertificate()
	var mu sync.Mutex
	shown, hidden := []string{}, []string{}
	var server *httptest.Server
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(r.TLS.PeerCertificates) > 0 {
			shown = append(shown, r.URL.Path)
		} else {
			hidden = append(hidden, r.URL.Path)
		}
		at := func(path string) string { return server.URL + path }
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": server.URL, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
				"jwks_uri": at("/keys"), "userinfo_endpoint": at("/userinfo"), "revocation_endpoint": at("/revoke"),
				"pushed_authorization_request_endpoint": at("/par"),
				"mtls_endpoint_aliases": map[string]string{
					"token_endpoint": at("/m/token"), "userinfo_endpoint": at("/m/userinfo"), "revocation_endpoint": at("/m/revoke"),
					"device_authorization_endpoint": at("/m/device"), "pushed_authorization_request_endpoint": at("/m/par"),
				},
			})
		case "/keys":
			_ = json.NewEncoder(w).Encode(forge.KeySet(forge.RS256().Public()))
		case "/m/token":
			now := time.Now().Unix()
			_ = json.NewEncoder(w).Encode(map[string]any{
				"access_token": forge.RS256().Token(map[string]any{
					"exp": now + 60, "cnf": map[string]any{"x5t#S256": thumbprint(certificate.Certificate[0])},
				}),
				"token_type": "Bearer", "scope": "openid profile", "id_token": forge.RS256().Token(map[string]any{
					"iss": server.URL, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 60, "nonce": "n",
				}),
			})
		case "/m/par":
			_ = json.NewEncoder(w).Encode(map[string]any{"request_uri": "urn:x:1", "expires_in": 60})
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"sub": "ada", "name": "Ada"})
		}
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	p, err := New(Config{
		Issuer: server.URL, ClientID: fakeClient, HTTPClient: server.Client(), Push: true,
		ClientCertificate: func(context.Context) (*tls.Certificate, error) { return certificate, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AuthorizationURL(t.Context(), AuthorizationRequest{}); err != nil {
		t.Error(err)
	}
	tokens, err := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("code"), Nonce: "n"})
	if err != nil || tokens.UserInfo.Text("name") != "Ada" {
		t.Errorf("%+v, %v", tokens, err)
	}
	_, _ = p.StartDevice(t.Context(), "openid", "") // the response is none
	if err := p.Revoke(t.Context(), NewSecret("refresh")); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"/m/par", "/m/token", "/m/userinfo", "/m/device", "/m/revoke"}; !slices.Equal(shown, want) {
		t.Errorf("shown at %v", shown)
	}
	if want := []string{"/.well-known/openid-configuration", "/keys"}; !slices.Equal(hidden, want) {
		t.Errorf("not shown at %v", hidden)
	}
}

// A server that wants a certificate says so in the handshake, and nothing was sent then.
func TestCertificateWanted(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	p, err := New(Config{Issuer: server.URL, ClientID: fakeClient, HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Warm(t.Context())
	if !errors.Is(err, ErrUnreachable) || Diagnose(err).Reason != ReasonCertificateWanted || MaybeSent(err) {
		t.Errorf("%v (%s)", err, Diagnose(err).Reason)
	}
	transport := struct{ http.RoundTripper }{http.DefaultTransport}
	_, err = New(Config{
		Issuer: server.URL, ClientID: fakeClient, HTTPClient: &http.Client{Transport: transport},
		ClientCertificate: func(context.Context) (*tls.Certificate, error) { return clientCertificate(), nil },
	})
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "http.Transport") {
		t.Errorf("a transport that shows none: %v", err)
	}
}
