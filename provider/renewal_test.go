package provider

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// clocked is a new process's view of a fake, with a cache and a clock of its own.
func (f *fake) clocked(t testing.TB, dir string, offset time.Duration) *Provider {
	t.Helper()
	return f.client(t, func(c *Config) { c.CacheDir, c.Now = dir, func() time.Time { return time.Now().Add(offset) } })
}

// renewed is a good answer to a refresh at a time that is offset from now.
func (f *fake) renewed(offset time.Duration) map[string]any {
	now := time.Now().Add(offset).Unix()
	return f.answer(func(a map[string]any) {
		a["id_token"] = forge.RS256().Token(f.claims(func(c map[string]any) { c["iat"], c["exp"] = now, now+3600 }))
	})
}

func renew(ctx context.Context, p *Provider) (*Tokens, error) {
	return p.Refresh(ctx, RefreshRequest{RefreshToken: NewSecret("the refresh token"), Subject: "ada"})
}

// However short the provider wants its answers to be kept, a renewal costs one request for a day.
func TestRenewalCosts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := filepath.Join(t.TempDir(), "cache")
	f.on("/token", 200, f.renewed(0))
	if _, err := renew(t.Context(), f.clocked(t, dir, 0)); err != nil {
		t.Fatal(err)
	}
	f.count(t, "the first", map[string]int{"/.well-known/openid-configuration": 1, "/keys": 1, "/token": 1})
	for _, c := range []struct {
		after time.Duration
		want  map[string]int
	}{
		{2 * time.Minute, map[string]int{"/token": 1}},
		{2 * time.Hour, map[string]int{"/token": 1}},
		{23 * time.Hour, map[string]int{"/token": 1}},
		{25 * time.Hour, map[string]int{"/token": 1, "/.well-known/openid-configuration": 1, "/keys": 1}},
	} {
		f.on("/token", 200, f.renewed(c.after))
		if _, err := renew(t.Context(), f.clocked(t, dir, c.after)); err != nil {
			t.Fatal(err)
		}
		f.count(t, "after "+c.after.String(), c.want)
	}
}

// What was fetched once serves renewals for a week while the provider gives nothing
// newer, and only then: a provider that says something else is not overruled.
func TestStale(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		after  time.Duration
		change func(f *fake)
		want   error
		token  int
	}{
		"unreachable":                 {2 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 503, ""); f.on("/keys", 502, "") }, nil, 1},
		"unreachable for over a week": {8 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 503, "") }, ErrUnreachable, 0},
		"another issuer":              {2 * day, func(f *fake) { f.set("issuer", "https://mallory.example.com") }, ErrIssuer, 0},
		"gone":                        {2 * day, func(f *fake) { f.on("/.well-known/openid-configuration", 404, "") }, ErrRefused, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			dir := filepath.Join(t.TempDir(), "cache")
			f.on("/token", 200, f.renewed(0))
			if _, err := renew(t.Context(), f.clocked(t, dir, 0)); err != nil {
				t.Fatal(err)
			}
			c.change(f)
			f.on("/token", 200, f.renewed(c.after))
			f.reset()
			if _, err := renew(t.Context(), f.clocked(t, dir, c.after)); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if f.requests("/token") != c.token {
				t.Errorf("%d token requests", f.requests("/token"))
			}
		})
	}
}

// A token endpoint that has moved is found again; nothing is sent twice that may have been acted on.
func TestMoved(t *testing.T) {
	t.Parallel()
	closed := "http://" + unusedAddress(t) + "/token"
	for name, c := range map[string]struct {
		before    string // the cached token endpoint: a path, or a URL
		status    int    // what it answers
		body      string
		after     string // what discovery now says
		want      error
		old, anew int // requests
	}{
		"404, moved":                {"/token", 404, "", "/token2", nil, 1, 1},
		"410, moved":                {"/token", 410, "gone", "/token2", nil, 1, 1},
		"404, not moved":            {"/token", 404, "", "/token", ErrRefused, 1, 0},
		"404 of OAuth":              {"/token", 404, `{"error":"invalid_client"}`, "/token2", ErrRefused, 1, 0},
		"500":                       {"/token", 500, "", "/token2", ErrUnreachable, 1, 0},
		"503":                       {"/token", 503, "", "/token2", ErrUnreachable, 1, 0},
		"invalid_grant":             {"/token", 400, `{"error":"invalid_grant"}`, "/token2", ErrInvalidGrant, 1, 0},
		"broken off":                {"/token", 0, "", "/token2", ErrUnreachable, 1, 0},
		"connection refused, moved": {closed, 0, "", "/token2", nil, 0, 1},
		"connection refused":        {closed, 0, "", closed, ErrUnreachable, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			at := func(path string) string {
				if strings.HasPrefix(path, "/") {
					return f.URL + path
				}
				return path
			}
			dir := filepath.Join(t.TempDir(), "cache")
			f.set("token_endpoint", at(c.before))
			if err := f.clocked(t, dir, 0).Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.set("token_endpoint", at(c.after))
			f.on("/token", c.status, c.body)
			if c.status == 0 {
				f.hook("/token", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			}
			f.on("/token2", 200, f.renewed(time.Hour))
			_, err := renew(t.Context(), f.clocked(t, dir, time.Hour))
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if f.requests("/token") != c.old || f.requests("/token2") != c.anew {
				t.Errorf("requests: %d, %d", f.requests("/token"), f.requests("/token2"))
			}
		})
	}
}

func unusedAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A refresh token that an answer rotated is handed out although the answer is refused: the
// old one is used up. Where the ID token beside it was not believed, that is said.
func TestRotatedInARefusedAnswer(t *testing.T) {
	t.Parallel()
	idToken := func(f *fake, change func(map[string]any)) func(map[string]any) {
		return func(a map[string]any) { a["id_token"] = forge.RS256().Token(f.claims(change)) }
	}
	otherAPI := func(a map[string]any) {
		a["access_token"] = forge.HS256("k").Token(map[string]any{"aud": "https://default"})
	}
	for name, c := range map[string]struct {
		change func(f *fake)
		want   error
		kept   string
		doubt  bool
	}{
		"another API": {func(f *fake) { f.on("/token", 200, f.answer(otherAPI)) }, ErrAudience, "second", false},
		"another API, not rotated": {func(f *fake) {
			f.on("/token", 200, f.answer(otherAPI, func(a map[string]any) { delete(a, "refresh_token") }))
		}, ErrAudience, "", false},
		"no keys to verify with": {func(f *fake) { f.on("/token", 200, f.answer()); f.on("/keys", 503, "") }, ErrUnreachable, "second", true},
		"no keys there":          {func(f *fake) { f.on("/token", 200, f.answer()); f.on("/keys", 404, "") }, ErrRefused, "second", true},
		"another person": {func(f *fake) {
			f.on("/token", 200, f.answer(otherAPI, idToken(f, func(c map[string]any) { c["sub"] = "charles" })))
		}, ErrSubject, "second", true},
		"another's signature": {func(f *fake) {
			f.on("/token", 200, f.answer(func(a map[string]any) { a["id_token"] = forge.OtherRS256().Named("rsa-1").Token(f.claims()) }))
		}, ErrSignature, "second", true},
		"the same one again": {func(f *fake) {
			f.on("/token", 200, f.answer(func(a map[string]any) { a["refresh_token"], a["id_token"] = "first", "x.y.z" }))
		}, ErrMalformed, "", false},
		"no Bearer":        {func(f *fake) { f.on("/token", 200, f.answer(func(a map[string]any) { a["token_type"] = "DPoP" })) }, ErrTokenType, "second", false},
		"one that is none": {func(f *fake) { f.on("/token", 200, f.answer(func(a map[string]any) { a["refresh_token"] = "a b" })) }, ErrMalformed, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			c.change(f)
			tokens, err := f.client(t).Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("first"), Subject: "ada", Audience: "https://api"})
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.kept == "" && tokens != nil {
				t.Errorf("tokens beside %v", err)
			}
			if tokens != nil && tokens.Unproven != c.doubt {
				t.Errorf("unproven: %v", tokens.Unproven)
			}
			if MaybeSent(err) != (name == "one that is none") && name != "no keys to verify with" {
				t.Errorf("maybe sent: %v", MaybeSent(err))
			}
			if c.kept != "" && (tokens == nil || tokens.RefreshToken.Reveal() != c.kept || !tokens.AccessToken.IsZero() || !tokens.IDToken.IsZero()) {
				t.Errorf("the new refresh token, and it alone, is not kept: %+v", tokens)
			}
		})
	}
}

// Whether a request may have been acted on, and the words for what went wrong.
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
	read := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) }
	for name, c := range map[string]struct {
		address func(t *testing.T) string // with scheme
		client  func(t *testing.T) *http.Client
		limit   time.Duration
		words   string
		sent    bool
		reason  Reason
	}{
		"refused":        {address: func(t *testing.T) string { return "http://" + unusedAddress(t) }, words: "connection refused"},
		"hung up":        {address: func(t *testing.T) string { return "http://" + serve(t, read) }, words: "broke off", sent: true},
		"half an answer": {address: func(t *testing.T) string { return "http://" + serve(t, half(read)) }, words: "broke off", sent: true},
		"no answer": {address: func(t *testing.T) string {
			return "http://" + serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		}, limit: 50 * time.Millisecond, words: "no answer in time", sent: true},
		"no TLS":     {address: func(t *testing.T) string { return "https://" + serve(t, half(read)) }, words: "can't be reached"},
		"unknown CA": {address: func(t *testing.T) string { return secure(t, time.Hour, "127.0.0.1", nil) }, words: "unknown authority", reason: ReasonUnknownAuthority},
		"wrong name": {address: func(t *testing.T) string { return secure(t, time.Hour, "", nil) },
			client: trusting, words: "for another name"},
		"expired": {address: func(t *testing.T) string { return secure(t, -time.Hour, "127.0.0.1", nil) },
			client: trusting, words: "or this clock is wrong"},
		"no such name": {address: func(*testing.T) string { return "https://provider.invalid" }, client: func(*testing.T) *http.Client {
			return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "provider.invalid", IsNotFound: true}}
			}}}
		}, words: "its name is not known (provider.invalid)"},
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
			if c.limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.limit)
				defer cancel()
			}
			_, err = p.post(ctx, &metadata{}, address+"/token?"+query, url.Values{"refresh_token": {"the refresh token"}}, nil)
			if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), c.words) || MaybeSent(err) != c.sent || Diagnose(err).Reason != c.reason {
				t.Errorf("got %v, maybe sent %v, %+v", err, MaybeSent(err), Diagnose(err))
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "private") || strings.Contains(err.Error(), "the refresh token") {
				t.Errorf("the error tells too much: %v", err)
			}
		})
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
			c := certificate(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, IsCA: true,
				NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
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

// secure is an https server whose certificate ends after left, for the address ip or for another name.
func secure(t *testing.T, left time.Duration, ip string, handler http.Handler) string {
	t.Helper()
	ca := testCA(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(left), DNSNames: []string{"other.example.com"}}
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
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

// No redirect is followed, whatever the client that was given would do.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/.well-known/openid-configuration", "/keys", "/token", "/userinfo"} {
		for _, status := range []int{302, 307, 308} {
			f := newFake(t)
			f.on("/token", 200, f.answer())
			f.hook(path, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) })
			p := f.client(t, func(c *Config) { c.HTTPClient = &http.Client{} })
			_, err := p.Exchange(t.Context(), CodeExchange{Code: NewSecret("c"), Nonce: "n", Scope: "openid profile"})
			if path != "/userinfo" && !errors.Is(err, ErrRefused) {
				t.Errorf("%s %d: %v", path, status, err)
			}
			if f.requests("/elsewhere") != 0 {
				t.Errorf("%s: a %d was followed", path, status)
			}
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "70": 70 * time.Second, "-1": 0, "soon": 0, "99999999999": 0,
		time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): time.Minute, time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat): 0,
	} {
		f := newFake(t)
		f.hook("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(429)
		})
		e, ok := errors.AsType[*UnreachableError](f.client(t).Warm(t.Context()))
		if !ok || e.Status != 429 || e.RetryAfter < want-2*time.Second || e.RetryAfter > want+2*time.Second {
			t.Errorf("%q: %+v", value, e)
		}
	}
}

// A request that was not acted on is made again when the provider said to, within ten
// seconds; one whose answer was lost never is.
func TestRetries(t *testing.T) {
	t.Parallel()
	answerTo := func(status int, after string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
		}
	}
	for name, c := range map[string]struct {
		first func(http.ResponseWriter)
		asked int
		fine  bool
	}{
		"429":              {answerTo(429, "1"), 2, true},
		"503":              {answerTo(503, "0"), 2, true},
		"503, a date":      {answerTo(503, time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), 2, true},
		"longer than that": {answerTo(429, "11"), 1, false},
		"no word of when":  {answerTo(503, ""), 1, false},
		"acted on, maybe":  {answerTo(502, "0"), 1, false},
		"no answer": {func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			sent := make(chan string, 9)
			f.hook("/token", func(w http.ResponseWriter, r *http.Request) {
				sent <- r.PostFormValue("refresh_token")
				if len(sent) == 1 {
					c.first(w)
					return
				}
				_, _ = w.Write([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":60}`))
			})
			_, err := f.client(t).Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("r")})
			if (err == nil) != c.fine || len(sent) != c.asked {
				t.Errorf("asked %d times: %v", len(sent), err)
			}
			for range len(sent) {
				if token := <-sent; token != "r" {
					t.Errorf("sent %q", token)
				}
			}
		})
	}
	// Forever busy: three times, then it is told. Who has no time is told at once.
	f := newFake(t)
	f.hook("/token", func(w http.ResponseWriter, _ *http.Request) { answerTo(503, "0")(w) })
	p := f.client(t)
	if _, err := p.Refresh(t.Context(), RefreshRequest{RefreshToken: NewSecret("r")}); !errors.Is(err, ErrUnreachable) || f.requests("/token") != 3 {
		t.Errorf("asked %d times: %v", f.requests("/token"), err)
	}
	f.hook("/token", func(w http.ResponseWriter, _ *http.Request) { answerTo(503, "9")(w) })
	f.reset()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := p.Refresh(ctx, RefreshRequest{RefreshToken: NewSecret("r")}); !errors.Is(err, ErrUnreachable) || ctx.Err() != nil || f.requests("/token") != 1 {
		t.Errorf("asked %d times: %v", f.requests("/token"), err)
	}
}

// A clock that is off is told from a token that is wrong by the Date of the provider's answers.
func TestClocks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offset time.Duration // of our clock
		want   error
		reason Reason
	}{
		"right":             {0, nil, ""},
		"a little behind":   {-30 * time.Second, nil, ""},
		"behind":            {-12 * time.Minute, ErrIssuedAt, ReasonClockBehind},
		"ahead":             {3 * time.Hour, ErrExpired, ReasonClockAhead},
		"ahead by two days": {48 * time.Hour, ErrExpired, ReasonClockAhead},
	} {
		f := newFake(t)
		p := f.clocked(t, "", c.offset)
		err := verify(t.Context(), p, forge.RS256().Token(f.claims()), idTokenExpectation{nonce: "n"})
		got := Diagnose(err)
		if !errors.Is(err, c.want) || c.want == nil && err != nil || got.Reason != c.reason {
			t.Errorf("%s: got %v (%+v)", name, err, got)
		}
		if c.reason != "" && (got.Skew+c.offset).Abs() > 5*time.Second { // a Date has whole seconds
			t.Errorf("%s: the skew is %s", name, got.Skew)
		}
	}
}

// How our client authenticates (RFC 6749, section 2.3.1; OpenID Connect Discovery 1.0, section 3).
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
			good := f.answer()
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
			if _, err := renew(t.Context(), f.client(t, func(cfg *Config) { cfg.ClientSecret = NewSecret(c.secret) })); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEndSessionURL(t *testing.T) {
	t.Parallel()
	hint := NewSecret("hint")
	for name, c := range map[string]struct {
		endpoint string
		auth0    bool
		hint     Secret
		want     string
		err      error
	}{
		"as discovery says": {"/logout?x=1", false, hint, "/logout?client_id=the+client&id_token_hint=hint&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A3000&state=s&x=1", nil},
		"huge hint":         {"/logout", false, NewSecret(strings.Repeat("h", 7000)), "/logout?client_id=the+client&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A3000&state=s", nil},
		"no hint":           {"/logout", true, Secret{}, "/logout?client_id=the+client&post_logout_redirect_uri=http%3A%2F%2Flocalhost%3A3000&state=s", nil},
		"hidden by Auth0":   {"", true, hint, "/v2/logout?client_id=the+client&returnTo=http%3A%2F%2Flocalhost%3A3000", nil},
		"none":              {"", false, hint, "", ErrNoEndpoint},
	} {
		f := newFake(t)
		if c.endpoint != "" {
			f.set("end_session_endpoint", f.URL+c.endpoint)
		}
		got, err := f.client(t, func(cfg *Config) { cfg.Auth0 = c.auth0 }).EndSessionURL(t.Context(), c.hint, "http://localhost:3000", "s")
		if !errors.Is(err, c.err) || c.err == nil && (err != nil || got != f.URL+c.want) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		endpoint string
		auth0    bool
		status   int
		want     error
		asked    string
	}{
		"as discovery says": {"/revoke", false, 200, nil, "/revoke"},
		"Auth0, not shown":  {"", true, 200, nil, "/oauth/revoke"},
		"none":              {"", false, 200, ErrNoEndpoint, ""},
		"refused":           {"/revoke", false, 400, ErrRefused, "/revoke"},
		"unreachable":       {"/revoke", false, 503, ErrUnreachable, "/revoke"},
	} {
		f := newFake(t)
		if c.endpoint != "" {
			f.set("revocation_endpoint", f.URL+c.endpoint)
		}
		if c.asked != "" {
			f.hook(c.asked, func(w http.ResponseWriter, r *http.Request) {
				if r.PostFormValue("token") != "r" || r.PostFormValue("token_type_hint") != "refresh_token" {
					t.Errorf("%s: %v", name, r.PostForm)
				}
				w.WriteHeader(c.status)
			})
		}
		err := f.client(t, func(cfg *Config) { cfg.Auth0 = c.auth0 }).Revoke(t.Context(), NewSecret("r"))
		if !errors.Is(err, c.want) || c.want == nil && err != nil || c.asked != "" && f.requests(c.asked) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Discovery that can't be worked with, or tries to lead elsewhere.
func TestMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key   string
		value any
		want  error
	}{
		"good":                        {"x", "y", nil},
		"a slash more":                {"issuer", "SELF/", ErrIssuer},
		"no issuer":                   {"issuer", nil, ErrIssuer},
		"no token endpoint":           {"token_endpoint", nil, ErrMalformed},
		"a token endpoint without S":  {"token_endpoint", "http://provider.example.com/token", ErrMalformed},
		"a token endpoint with a key": {"token_endpoint", "https://u:p@provider.example.com/token", ErrMalformed},
		"keys in a file":              {"jwks_uri", "file:///etc/passwd", ErrMalformed},
		"a number":                    {"token_endpoint", 7, ErrMalformed},
		"no asymmetric algorithm":     {"id_token_signing_alg_values_supported", []string{"HS256", "none"}, ErrAlgorithm},
		"escapes in it":               {"issuer", "\x1b[31m\u202ered", ErrIssuer},
	} {
		f := newFake(t)
		if text, ok := c.value.(string); ok {
			c.value = strings.ReplaceAll(text, "SELF", f.URL)
		}
		f.set(c.key, c.value)
		err := f.client(t).Warm(t.Context())
		if !errors.Is(err, c.want) || c.want == nil && err != nil || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\u202e") {
			t.Errorf("%s: escapes in %q", name, err)
		}
	}
	for name, body := range map[string]string{
		"deep": strings.Repeat(`{"a":`, 20000), "null": "null", "list": "[]", "two": "{}{}", "empty": "", "HTML": "<p>",
	} {
		f := newFake(t)
		f.on("/.well-known/openid-configuration", 200, body)
		if err := f.client(t).Warm(t.Context()); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A good answer that does not end is no answer.
func TestEndlessBody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	body := string(must(json.Marshal(f.metadata)))
	f.on("/.well-known/openid-configuration", 200, body+strings.Repeat(" ", bodyLimit-len(body)))
	if err := f.client(t).Warm(t.Context()); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	f.on("/.well-known/openid-configuration", 200, body+strings.Repeat(" ", bodyLimit+1-len(body)))
	if err := f.client(t).Warm(t.Context()); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "1024 KiB") {
		t.Errorf("beyond the limit: %v", err)
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{}`: true, " {\"a\":1}\n": true, `null`: false, `[]`: false, `7`: false, `"x"`: false, ``: false, `{}{}`: false, `{} x`: false, `{`: false,
	} {
		var into struct{ A int }
		if (object([]byte(body), &into) == nil) != ok {
			t.Errorf("%q", body)
		}
	}
}

// https issuers have no plain endpoints, on loopback neither.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	p, err := New(Config{Issuer: "https://provider.example.com", ClientID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	for endpoint, ok := range map[string]bool{"https://x.example.com/t": true, "http://127.0.0.1/t": false, "http://x.example.com/t": false, "//x": false, "": false, "javascript:x": false} {
		if (p.checkEndpoint(endpoint) == nil) != ok {
			t.Errorf("%q", endpoint)
		}
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": time.Hour, "max-age=15": 5 * time.Minute, "public, max-age=7200": 2 * time.Hour, `max-age="7200"`: 2 * time.Hour, "max-age=99999999999999": 24 * time.Hour,
		"max-age=999999999": 24 * time.Hour, "max-age=-5": 5 * time.Minute, "no-store": 5 * time.Minute, "Max-Age=7200, No-Cache": 5 * time.Minute, "max-age=x": time.Hour,
	} {
		if got := maxAge(http.Header{"Cache-Control": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0).UTC()
	for raw, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `3600.9`: time.Hour, `1e3`: 1000 * time.Second, `0`: 0, ``: 0, `null`: 0, `"soon"`: 0, `{}`: 0, `true`: 0, `"NaN"`: 0,
		`1e300`: 100 * 365 * 24 * time.Hour, `"Inf"`: 100 * 365 * 24 * time.Hour, `-1`: -1, `"-Inf"`: -1,
	} {
		got, err := lifetime(json.RawMessage(raw), now)
		switch {
		case want < 0:
			if !errors.Is(err, ErrExpired) {
				t.Errorf("%s: %v, %v", raw, got, err)
			}
		case want == 0:
			if err != nil || !got.IsZero() {
				t.Errorf("%s: %v, %v", raw, got, err)
			}
		case err != nil || got.Sub(now) != want:
			t.Errorf("%s: %v, %v", raw, got, err)
		}
	}
}

// What Auth0 writes, and the reason that it means.
func TestReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		code, text string
		want       Reason
	}{
		{0, "access_denied", "Service not found: https://api", ReasonUnknownAPI},
		{0, "access_denied", "User did not authorize the request", ReasonDeclined},
		{0, "access_denied", "user ada is not part of the org_1 organization", ReasonOrganization},
		{0, "invalid_request", "parameter organization is invalid", ReasonOrganization},
		{0, "unauthorized_client", "Callback URL mismatch. http://x is not in the list of allowed callback URLs", ReasonCallbackNotAllowed},
		{403, "unauthorized_client", "Grant type 'refresh_token' not allowed for the client.", ReasonGrantNotAllowed},
		{401, "access_denied", "Unauthorized", ReasonClientSecretMissing},
		{401, "invalid_client", "", ReasonClientSecretMissing},
		{0, "login_required", "Login required", ReasonInteractionRequired},
		{0, "consent_required", "Consent required", ReasonInteractionRequired},
		{0, "invalid_scope", "", ReasonScope},
		{400, "invalid_target", "", ReasonTarget},
		{403, "invalid_grant", "Unknown or invalid refresh token.", ReasonInvalidGrant},
		{400, "unsupported_grant_type", "Unknown device_code", ReasonDeviceGrantOff},
		{500, "server_error", "", ""},
	} {
		p, err := New(Config{Issuer: "https://acme.eu.auth0.com/", ClientID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.reasonOf(&RefusedError{Code: c.code, Description: c.text, Status: c.status}); got != c.want {
			t.Errorf("%s (%s): %q, not %q", c.code, c.text, got, c.want)
		}
		if c.want != ReasonClientSecretMissing {
			continue
		}
		p, err = New(Config{Issuer: "https://acme.eu.auth0.com/", ClientID: "c", ClientSecret: NewSecret("wrong")})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.reasonOf(&RefusedError{Code: c.code, Description: c.text, Status: c.status}); got != ReasonClientSecretWrong {
			t.Errorf("%s (%s) with a secret: %q", c.code, c.text, got)
		}
	}
}

func TestScopeAsAList(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{`"a b"`: "a b", `["a","b"]`: "a b", `[]`: "", `""`: "", `null`: ""} {
		var s scopeText
		if err := json.Unmarshal([]byte(raw), &s); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", raw, s, err)
		}
	}
	var s scopeText
	if json.Unmarshal([]byte(`7`), &s) == nil {
		t.Error("a number is a scope")
	}
}

// The cache is a convenience: whatever becomes of it, the provider is asked instead.
func TestCacheIsNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes and links are Unix's")
	}
	for name, spoil := range map[string]func(path string) error{
		"nothing":            func(string) error { return nil },
		"writable by others": func(path string) error { return os.Chmod(path, 0o666) },
		"a link": func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		},
		"a folder":          func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"garbage":           func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"of another issuer": func(path string) error { return os.WriteFile(path, []byte(`{"issuer":"https://mallory"}`), 0o600) },
		"another's endpoints": func(path string) error {
			return os.WriteFile(path, []byte(`{"issuer":"SELF","discovery":{"raw":{"issuer":"https://mallory"}}}`), 0o600)
		},
		"fetched in the future": func(path string) error {
			raw, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, []byte(strings.ReplaceAll(string(raw), `"fetched":"2`, `"fetched":"3`)), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			dir := filepath.Join(t.TempDir(), "cache")
			first := f.clocked(t, dir, 0)
			if err := first.Warm(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := spoil(first.cachePath()); err != nil {
				t.Fatal(err)
			}
			f.reset()
			if err := f.clocked(t, dir, 0).Warm(t.Context()); err != nil {
				t.Error(err)
			}
			if got, want := f.requests("/.well-known/openid-configuration"), 1; name != "nothing" && got != want || name == "nothing" && got != 0 {
				t.Errorf("discovery was asked for %d times", got)
			}
		})
	}
	t.Run("no folder can be made", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newFake(t).clocked(t, filepath.Join(file, "cache"), 0).Warm(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// Polling at the pace that the provider asks for (RFC 8628, section 3.5).
func TestDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://provider.example.com"
		answers := []string{`{"error":"authorization_pending"}`, `{"error":"slow_down"}`, "503", `{"error":"authorization_pending"}`, "good"}
		var at []time.Duration
		start := time.Now()
		p, err := New(Config{Issuer: issuer, ClientID: fakeClient, HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			status, body := 200, ""
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				body = `{"issuer":"` + issuer + `","authorization_endpoint":"https://x/a","token_endpoint":"https://x/token","jwks_uri":"https://x/keys","device_authorization_endpoint":"https://x/device"}`
			case "/keys":
				body = string(must(json.Marshal(forge.KeySet(bare(forge.RS256())))))
			case "/device":
				body = `{"device_code":"d","user_code":"AB\u001b[31mCD","verification_uri":"https://x/device","verification_uri_complete":"http://x/device?u=AB","expires_in":600,"interval":3}`
			case "/token":
				at = append(at, time.Since(start))
				status = 400
				switch body, answers = answers[0], answers[1:]; body {
				case "503":
					status = 503
				case "good":
					now := time.Now().Unix()
					status, body = 200, string(must(json.Marshal(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": forge.RS256().Token(
						map[string]any{"iss": issuer, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 60})})))
				}
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})}})
		if err != nil {
			t.Fatal(err)
		}
		code, err := p.StartDevice(t.Context(), "openid", "")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(code.UserCode, "\x1b") || code.VerificationURIComplete != "" {
			t.Errorf("the person would be shown %q and sent to %q", code.UserCode, code.VerificationURIComplete)
		}
		tokens, err := p.WaitDevice(t.Context(), code)
		if err != nil || tokens.Claims.Subject() != "ada" {
			t.Fatalf("%v, %v", tokens, err)
		}
		const s = time.Second
		if got, want := fmt.Sprint(at), fmt.Sprint([]time.Duration{3 * s, 6 * s, 14 * s, 30 * s, 46 * s}); got != want {
			t.Errorf("asked at %s, not at %s", got, want)
		}
		// Nobody enters the code.
		answers = nil
		for range 1000 {
			answers = append(answers, `{"error":"authorization_pending"}`)
		}
		code.Expiry = time.Now().Add(time.Minute)
		if _, err := p.WaitDevice(t.Context(), code); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "in time") {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		code.Expiry = time.Now().Add(time.Hour)
		if _, err := p.WaitDevice(ctx, code); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeviceURLs(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"", "javascript:alert(1)", "http://provider.example.com/device", "file:///etc/passwd"} {
		f := newFake(t)
		f.set("device_authorization_endpoint", f.URL+"/device")
		f.on("/device", 200, map[string]any{"device_code": "d", "user_code": "u", "verification_uri": uri})
		if _, err := f.client(t).StartDevice(t.Context(), "openid", ""); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", uri, err)
		}
	}
	if _, err := newFake(t).client(t).StartDevice(t.Context(), "openid", ""); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("no endpoint: %v", err)
	}
}
