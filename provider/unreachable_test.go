package provider

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestTrouble sends requests over broken connections. It compares whether each may have been acted on, and the words
// of the error.
func TestTrouble(t *testing.T) {
	t.Parallel()
	const query = "private=1"
	serve := func(t *testing.T, handle func(net.Conn)) string { // a bare TCP server
		t.Helper()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		t.Cleanup(func() { _ = l.Close(); <-done })
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				handle(conn)
				_ = conn.Close()
			}
		}()
		return l.Addr().String()
	}
	arrived := make(chan struct{}, 1)
	read := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }
	for name, c := range map[string]struct {
		address func(t *testing.T) string // with scheme
		client  func(t *testing.T) *http.Client
		late    bool // the context ends when the server has read the request
		words   string
		sent    bool
		reason  Reason
	}{
		"refused": {
			address: func(t *testing.T) string { return "http://" + unusedAddress(t) }, words: "connection refused",
		},
		"hung up": {
			address: func(t *testing.T) string { return "http://" + serve(t, read) }, words: "broke off", sent: true,
		},
		"half a response": {
			address: func(t *testing.T) string { return "http://" + serve(t, half(read)) }, words: "broke off", sent: true,
		},
		"no response": {address: func(t *testing.T) string {
			return "http://" + serve(t, func(conn net.Conn) {
				read(conn)
				arrived <- struct{}{}
				_, _ = io.Copy(io.Discard, conn)
			})
		}, late: true, words: "no answer in time", sent: true},
		"no TLS": {
			address: func(t *testing.T) string { return "https://" + serve(t, half(read)) }, words: "can't be reached",
		},
		"unknown CA": {
			address: func(t *testing.T) string { return secure(t, time.Hour, "127.0.0.1", nil) },
			words:   "unknown authority", reason: ReasonUnknownAuthority,
		},
		"wrong name": {address: func(t *testing.T) string { return secure(t, time.Hour, "", nil) },
			client: trusting, words: "for another name"},
		"expired": {address: func(t *testing.T) string { return secure(t, -time.Hour, "127.0.0.1", nil) },
			client: trusting, words: "or this clock is wrong"},
		"no such name": {
			address: func(*testing.T) string { return "https://provider.invalid" },
			client: func(*testing.T) *http.Client {
				unknown := &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}
				dial := func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: unknown}
				}
				return &http.Client{Transport: &http.Transport{DialContext: dial}}
			},
			words: "its name is not known (provider.invalid)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := c.address(t)
			cfg := Config{Issuer: address, ClientID: fakeClient}
			if c.client != nil {
				cfg.HTTPClient = c.client(t)
			}
			p, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if c.late {
				waiting := &expiring{Context: ctx, done: make(chan struct{})}
				go func() { <-arrived; close(waiting.done) }()
				ctx = waiting
			}
			_, err = p.post(ctx, &metadata{}, address+"/token?"+query, url.Values{"refresh_token": {"the refresh token"}}, nil)
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
			if MaybeSent(err) != c.sent || Diagnose(err).Reason != c.reason {
				t.Errorf("maybe sent: %v, %+v", MaybeSent(err), Diagnose(err))
			}
			printed := fmt.Sprintf("%v %+v %#v", err, err, err)
			if strings.Contains(printed, "private") || strings.Contains(printed, "the refresh token") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
	}
}

// An expiring is a context whose deadline passes when done is closed.
type expiring struct {
	context.Context
	done chan struct{}
}

func (e *expiring) Done() <-chan struct{} { return e.done }

func (e *expiring) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func half(read func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		read(conn)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	}
}

var testCA = func() func(t testing.TB) tls.Certificate {
	var made *tls.Certificate
	lock := make(chan struct{}, 1)
	return func(t testing.TB) tls.Certificate {
		lock <- struct{}{}
		defer func() { <-lock }()
		if made == nil {
			c := certificate(t, &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"},
				NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
				IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			}, nil)
			made = &c
		}
		return *made
	}
}()

func certificate(t testing.TB, template *x509.Certificate, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	signer, key := template, any(forge.ES256().Private)
	if parent != nil {
		signer, key = must(x509.ParseCertificate(parent.Certificate[0])), parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, forge.ES256().Private.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: forge.ES256().Private}
}

// secure starts an https server and returns its URL. Its certificate expires after left, and is for the address ip;
// if that is "", for another name.
func secure(t *testing.T, left time.Duration, ip string, handler http.Handler) string {
	t.Helper()
	ca := testCA(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"other.example.com"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left),
	}
	if ip != "" {
		template.IPAddresses = []net.IP{net.ParseIP(ip)}
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, template, &ca)}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func trusting(t *testing.T) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(testCA(t).Certificate[0])))
	config := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}
