package redact_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/redact"
)

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"

// No secret comes through, wherever in a record a caller puts it.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	for name, secret := range map[string]string{
		"a JWT": jwt, "an opaque token": "v1.MwQ9wQzGq3ZpVvW-Ab12Cd34Ef56", "a code": "SplxlOBeZQQYbYS6WxSbIA",
		"a verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "hex": "9f86d081884c7d659a2feaa0c55ad015",
		"a passphrase": "hunter2", "percent-encoded": "dBjftJeZ4CVP%2BmB92K27uhbUJU1p1r%2F",
	} {
		var out bytes.Buffer
		log := slog.New(redact.New(&out, time.Now(), []string{"hunter2"}))
		log.With("before", secret).WithGroup("g").Info("message "+secret,
			"value", secret, "error", fmt.Errorf("refused: %w", errors.New(secret)), "any", struct{ A string }{secret},
			"url", &url.URL{Scheme: "https", Host: "acme.example", RawQuery: "code=" + secret},
			slog.Group("in", "deep", []string{secret}), "key "+secret, 1, "bytes", []byte(secret))
		for _, part := range strings.FieldsFunc(secret, func(r rune) bool { return r == '.' }) {
			if len(part) > 6 && bytes.Contains(out.Bytes(), []byte(part)) {
				t.Errorf("%s leaks: %s", name, out.String())
			}
		}
	}
}

// What a reader needs comes through.
func TestWhatIsSaid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"GET https://acme.eu.auth0.com/.well-known/openid-configuration", "profile.work.audience", "loopkey/1.2.3",
		"http://localhost:3000/auth/callback", "openid profile email offline_access", "read:orders",
		"/home/ada/.config/loopkey/config.toml", "urn:ietf:params:oauth:grant-type:token-exchange",
	} {
		if got := redact.Text(text, nil); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := redact.Text("a\x1b[31mb\nc", nil); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q is not printable", got)
	}
}

// A secret of random letters is left out of any text that holds it as a word.
func FuzzText(f *testing.F) {
	f.Add("refresh_token=", "&x=y", jwt)
	f.Add("Bearer ", "\n", "SplxlOBeZQQYbYS6WxSbIA")
	f.Fuzz(func(t *testing.T, before, after, secret string) {
		if len(secret) < 22 || strings.IndexFunc(secret, func(r rune) bool {
			return r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a'
		}) >= 0 || !strings.ContainsAny(secret, "0123456789") {
			t.Skip() // Also with LOOPKEY_TEST_REAL: it is no secret.
		}
		if got := redact.Text(before+secret+after, nil); strings.Contains(got, secret) {
			t.Errorf("%q", got)
		}
	})
}
