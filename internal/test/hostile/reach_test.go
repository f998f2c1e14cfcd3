package hostile

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/ready"
)

// unreachable runs a login and a renewal. Both must exit 1 with these words, and leave the session as it was.
func (m *machine) unreachable(t *testing.T, words string) {
	t.Helper()
	for _, args := range [][]string{{"login"}, {"token", "--force-refresh"}} {
		house.Refused(t, m.run(t, args...), 1, "can't be reached", words)
		m.unharmed(t)
	}
}

// With a bad certificate nothing works. The session works again once the provider has a good one.
func TestCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
	trusted := filepath.Join(t.TempDir(), "authorities.pem")
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(good)
	bad := map[string]struct {
		certificate *tls.Certificate
		trusted     bool
		words       string
	}{
		"unknown authority": {
			certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)), false, "in SSL_CERT_FILE",
		},
		"another name": {
			certificate(t, "127.0.0.2", now.Add(-time.Hour), now.Add(time.Hour)), true, "is for another name",
		},
		"expired":       {certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(-time.Minute)), true, "has expired"},
		"not valid yet": {certificate(t, "127.0.0.1", now.Add(time.Minute), now.Add(time.Hour)), true, "not valid yet"},
	}
	list := authorities(good)
	for _, c := range bad {
		if c.trusted {
			list = append(list, authorities(c.certificate)...)
		}
	}
	if err := os.WriteFile(trusted, list, 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartTLS(t, "", shown.Load)
	w := worldOf(t, p, "SSL_CERT_FILE="+trusted)
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			shown.Store(c.certificate)
			w.Reset()
			m := w.machine(t)
			m.unreachable(t, c.words)
			if w.Requests(Discovery)+w.Requests(Token) != 0 {
				t.Error("something was sent")
			}
			shown.Store(good)
			if r := m.run(t, "token", "--force-refresh"); r.Code != 0 {
				t.Errorf("exit %d: %s", r.Code, r.Stderr)
			}
			w.was = w.stored(t)
		})
	}
	// A file in SSL_CERT_FILE that adds no authority is named as the cause: the system passes it over without a word.
	der := filepath.Join(t.TempDir(), "authority.cer")
	if err := os.WriteFile(der, good.Certificate[0], 0o600); err != nil {
		t.Fatal(err)
	}
	m := w.machine(t)
	for file, why := range map[string]string{
		der: der + " holds none in the form PEM", der + ".no": der + ".no: no such file",
		t.TempDir(): "it is no regular file",
	} {
		m.env = append(m.env, "SSL_CERT_FILE="+file)
		house.Refused(t, m.run(t, "login"), 1, "unknown authority, and SSL_CERT_FILE", why, "BEGIN CERTIFICATE")
	}
}

// certificate returns a certificate that is its own authority, for an address and for names.
func certificate(t *testing.T, address string, from, to time.Time, names ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.ParseIP(address)},
		DNSNames: append([]string{"provider.example"}, names...),
		IsCA:     true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func authorities(c *tls.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
}

// Nothing listens at the provider's address, or its name does not resolve.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	port, giveBack, err := ready.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	for name, c := range map[string]struct{ issuer, words string }{
		"refused": {"http://127.0.0.1:" + strconv.Itoa(port), "connection refused"},
		// a label that is too long for DNS
		"no such name": {"https://" + strings.Repeat("n", 64) + ".example", "its name is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.New(t, c.issuer)
			house.Refused(t, h.Run("login"), 1, "can't be reached", c.words)
			if r := h.Run("token"); r.Code != 3 {
				t.Errorf("token exits %d: %s", r.Code, r.Stderr)
			}
		})
	}
	t.Run("gone after the login", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.server.Close()
		m := w.machine(t)
		m.unreachable(t, "connection refused")
		if r := m.run(t, "token"); r.Code != 0 || r.Stdout == "" {
			t.Errorf("a token that is still good needs no provider: exit %d: %s", r.Code, r.Stderr)
		}
		if r := m.run(t, "logout", "--local"); r.Code != 0 {
			t.Errorf("logout exits %d: %s", r.Code, r.Stderr)
		}
	})
}

// A proxy leads to the provider, or the error says that the proxy is the cause.
func TestProxies(t *testing.T) {
	t.Parallel()
	const name = "provider.example" // nobody's: reached through the proxy or not at all
	good := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	trusted := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(trusted, authorities(good), 0o600); err != nil {
		t.Fatal(err)
	}
	p := StartTLS(t, name, func() *tls.Certificate { return good })
	var asked, strange atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authenticated := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		user, password, _ := authenticated.BasicAuth()
		switch {
		case r.Method != http.MethodConnect || r.Host != name+":443":
			strange.Add(1)
			w.WriteHeader(http.StatusBadRequest)
		case user == "closed":
			w.WriteHeader(http.StatusForbidden)
		case user != "ada" || password != "pass/word":
			w.WriteHeader(http.StatusProxyAuthRequired)
		default:
			asked.Add(1)
			connect(w, p.Address())
		}
	}))
	t.Cleanup(proxy.Close)
	at := strings.TrimPrefix(proxy.URL, "http://")
	w := worldOf(t, p, "SSL_CERT_FILE="+trusted, "HTTPS_PROXY=http://ada:pass%2Fword@"+at)
	if asked.Load() == 0 {
		t.Error("the proxy was passed by")
	}
	port, giveBack, err := ready.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	for name, c := range map[string]struct{ proxy, words string }{
		"wants a password": {"http://" + at, "HTTPS_PROXY=http://user:password@" + at},
		"another password": {"http://ada:sesame@" + at, "wants a user name and a password"},
		"closed":           {"http://closed:sesame@" + at, "replied with HTTP 403"},
		"refused": {
			"http://ada:sesame@127.0.0.1:" + strconv.Itoa(port), "check HTTPS_PROXY, or try again when that proxy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := w.machine(t)
			m.env = append(m.env, "HTTPS_PROXY="+c.proxy)
			m.unreachable(t, c.words)
			for _, args := range [][]string{{"login"}, {"token", "--force-refresh"}} {
				if r := m.run(t, args...); strings.Contains(r.Stderr, "sesame") {
					t.Errorf("the proxy's password is told: %s", r.Stderr)
				}
			}
		})
	}
	if strange.Load() != 0 {
		t.Errorf("the proxy was asked for %d things beside tunnels to the provider", strange.Load())
	}
}

// connect turns a CONNECT request into a tunnel (RFC 9110, section 9.3.6).
func connect(w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address) //nolint:noctx // a proxy in a test
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, _, err := http.NewResponseController(w).Hijack() // before the response: what comes after it is the provider's
	if err != nil {
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

// A provider that accepts a request and never responds is given up on after twenty seconds, and before the browser
// opens after --timeout.
func TestHangs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("most cases wait for twenty seconds")
	}
	cases := map[string]struct {
		endpoint string
		args     []string
		lies     Lies
		words    string
		gone     bool // the session is gone in any case
	}{
		"discovery":     {endpoint: Discovery, args: []string{"login", "--timeout", "1s"}},
		"keys":          {endpoint: Keys, args: []string{"login"}},
		"code exchange": {endpoint: Token, args: []string{"login"}},
		"refresh":       {endpoint: Token, args: []string{"token", "--force-refresh"}},
		"revocation":    {endpoint: Revoke, args: []string{"logout", "--no-browser"}, gone: true},
		"device":        {endpoint: Device, args: []string{"login", "--device"}},
		"device polling": {
			endpoint: Token, args: []string{"login", "--device", "--timeout", "15s"}, words: "the other device was not finished",
		},
		"pushed request": {
			endpoint: Push, args: []string{"login"}, lies: Lies{Discovery: set("require_pushed_authorization_requests", true)},
		},
	}
	over := make(chan struct{})
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	defer close(over)
	results := make(chan func(), len(cases))
	for name, c := range cases {
		w := newWorld(t)
		m := w.machine(t)
		w.Lie(c.lies)
		w.On(c.endpoint, func(http.ResponseWriter, *http.Request) bool {
			<-over
			return true
		})
		all.Go(func() { // all at once, because they mostly wait
			r := m.run(t, c.args...)
			results <- func() {
				t.Run(name, func(t *testing.T) {
					if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, cmp.Or(c.words, "no answer in time")) {
						t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
					}
					if !c.gone {
						m.unharmed(t)
					} else if len(m.stored(t).Head) != 0 {
						t.Error("the session is still there")
					}
				})
			}
		})
	}
	for range cases {
		(<-results)()
	}
}
