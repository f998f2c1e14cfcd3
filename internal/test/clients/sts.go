package clients

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/loopkey/loopkey/internal/test/house"
)

// An STS is a security token service over TLS, which verifies ID tokens with the provider's keys. It has the names of
// AWS's own as well: Proxy leads all names to it.
type STS struct {
	URL, Host, CA string // as of a Server
	Proxy         string // for HTTPS_PROXY

	t        *testing.T
	verifier *oidc.IDTokenVerifier

	mu        sync.Mutex
	intercept func(request int, form url.Values, w http.ResponseWriter) bool
	lifetime  time.Duration // of the credentials
	requests  []url.Values
	names     []string // that the proxy was asked for
}

// Intercept lets a test respond in place of the service: with returns true if it did. nil ends that.
func (s *STS) Intercept(with func(request int, form url.Values, w http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = with
}

// SetLifetime sets how long the credentials live from now on.
func (s *STS) SetLifetime(lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = lifetime
}

// Requests returns the forms that the service was sent.
func (s *STS) Requests() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Names returns the names that the proxy was asked to lead to, each with its port.
func (s *STS) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

// ServeSTS starts a security token service that trusts the provider and the client of a house.
func ServeSTS(t *testing.T, h *house.House) *STS {
	t.Helper()
	issuer, err := oidc.NewProvider(context.Background(), h.Tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	s := &STS{t: t, lifetime: time.Hour, verifier: issuer.Verifier(&oidc.Config{ClientID: house.Client})}
	server := httptest.NewUnstartedServer(s)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.URL, s.Host = server.URL, strings.TrimPrefix(server.URL, "https://")
	s.CA = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(s.CA, block, 0o600); err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(http.HandlerFunc(s.connect))
	t.Cleanup(proxy.Close)
	s.Proxy = proxy.URL
	return s
}

// certificate returns a certificate for the names of AWS's service and for loopback addresses.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"*.amazonaws.com", "*.eu-west-1.amazonaws.com", "*.cn-north-1.amazonaws.com.cn",
			"*.us-gov-west-1.amazonaws.com", "*.us-gov-east-1.amazonaws.com", "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// ServeHTTP responds to AssumeRoleWithWebIdentity, and to GetCallerIdentity with the access key of the caller.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, rest, ok := strings.Cut(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="); ok {
		key, _, _ := strings.Cut(rest, "/")
		reply(w, "GetCallerIdentity", "<Arn>"+key+" "+r.Header.Get("X-Amz-Security-Token")+"</Arn><UserId>x</UserId>")
		return
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" || r.URL.Path != "/" ||
		r.Header.Get("Authorization") != "" {
		s.t.Errorf("the service was sent %s %s", r.Method, r.URL.Path)
	}
	form := r.PostForm
	s.mu.Lock()
	s.requests = append(s.requests, form)
	request, intercept, lifetime := len(s.requests), s.intercept, s.lifetime
	s.mu.Unlock()
	if intercept != nil && intercept(request, form, w) {
		return
	}
	if form.Get("Action") != "AssumeRoleWithWebIdentity" || form.Get("Version") != "2011-06-15" {
		s.Refuse(w, http.StatusBadRequest, "InvalidAction", "there is no such action")
		return
	}
	token, err := s.verifier.Verify(r.Context(), form.Get("WebIdentityToken"))
	if err != nil {
		s.Refuse(w, http.StatusBadRequest, "InvalidIdentityToken", "the token can't be verified")
		return
	}
	reply(w, "AssumeRoleWithWebIdentity", fmt.Sprintf(`<SubjectFromWebIdentityToken>%s</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>%s/%s</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
    <Credentials>
      <SessionToken>session%s</SessionToken>
      <SecretAccessKey>secret%d</SecretAccessKey>
      <Expiration>%s</Expiration>
      <AccessKeyId>ASIA%d</AccessKeyId>
    </Credentials>`, token.Subject, form.Get("RoleArn"), form.Get("RoleSessionName"), strings.Repeat("x", 1000),
		request, time.Now().Add(lifetime).UTC().Format(time.RFC3339), request))
}

// reply sends the result of an action.
func reply(w io.Writer, action, result string) {
	_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">`+
		`<%[1]sResult>%[2]s</%[1]sResult><ResponseMetadata><RequestId>9d8c</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, result)
}

// Refuse sends an error as AWS has them.
func (*STS) Refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>`+
		`<Code>%s</Code><Message>%s</Message></Error><RequestId>9d8c</RequestId></ErrorResponse>`, code, message)
}

// connect is the proxy.
func (s *STS) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	s.names = append(s.names, r.Host)
	s.mu.Unlock()
	service, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", s.Host)
	if err != nil {
		http.Error(w, strconv.Quote(err.Error()), http.StatusBadGateway)
		return
	}
	defer service.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(service, buffered) }()
	_, _ = io.Copy(client, service)
}
