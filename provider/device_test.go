package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestDevice polls at the pace that the provider asks for (RFC 8628, section 3.5).
func TestDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://provider.example.com"
		const pending = `{"error":"authorization_pending"}`
		polls := []string{pending, `{"error":"slow_down"}`, "503", pending, "good"} // what they get
		var at []time.Duration
		start := time.Now()
		asJSON := func(value map[string]any) string { return string(must(json.Marshal(value))) }
		there := roundTrip(func(r *http.Request) (*http.Response, error) {
			status, body := 200, ""
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				body = asJSON(map[string]any{
					"issuer": issuer, "authorization_endpoint": "https://x/a", "token_endpoint": "https://x/token",
					"jwks_uri": "https://x/keys", "device_authorization_endpoint": "https://x/device",
				})
			case "/keys":
				body = asJSON(forge.KeySet(bare(forge.RS256())))
			case "/device":
				body = asJSON(map[string]any{
					"device_code": "d", "user_code": "AB\x1b[31mCD", "verification_uri": "https://x/device",
					"verification_uri_complete": "http://x/device?u=AB", "expires_in": 600, "interval": 3,
				})
			case "/token":
				at = append(at, time.Since(start))
				status = 400
				switch body, polls = polls[0], polls[1:]; body {
				case "503":
					status = 503
				case "good":
					now := time.Now().Unix()
					claims := map[string]any{"iss": issuer, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 60}
					status, body = 200, asJSON(map[string]any{
						"access_token": "a", "token_type": "Bearer", "id_token": forge.RS256().Token(claims),
					})
				}
			}
			return &http.Response{
				StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
			}, nil
		})
		p, err := New(Config{Issuer: issuer, ClientID: fakeClient, HTTPClient: &http.Client{Transport: there}})
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
		// The code is not entered in time.
		polls = slices.Repeat([]string{pending}, 1000)
		code.Expiry = time.Now().Add(time.Minute)
		_, err = p.WaitDevice(t.Context(), code)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "in time") {
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

// TestDeviceURLs refuses URLs to which no user should be sent.
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

// A device login for several audiences asks for one where the provider refuses them. The access token is for the first.
func TestDeviceAudiences(t *testing.T) {
	t.Parallel()
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const issuer = "https://provider.example.com"
			asJSON := func(value map[string]any) string { return string(must(json.Marshal(value))) }
			var asked [][]string
			p := must(New(Config{Issuer: issuer, ClientID: fakeClient, HTTPClient: &http.Client{
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					status, body := 200, ""
					switch r.URL.Path {
					case "/.well-known/openid-configuration":
						body = asJSON(map[string]any{
							"issuer": issuer, "authorization_endpoint": "https://x/a", "token_endpoint": "https://x/token",
							"jwks_uri": "https://x/keys", "device_authorization_endpoint": "https://x/device",
						})
					case "/keys":
						body = asJSON(forge.KeySet(bare(forge.RS256())))
					case "/device", "/token":
						_ = r.ParseForm()
						asked = append(asked, r.PostForm["resource"])
						now := time.Now().Unix()
						claims := map[string]any{"iss": issuer, "aud": fakeClient, "sub": "ada", "iat": now, "exp": now + 60}
						body = asJSON(map[string]any{
							"device_code": "d", "user_code": "A", "verification_uri": "https://x/device",
							"access_token": "a", "token_type": "Bearer", "id_token": forge.RS256().Token(claims),
						})
						if refused && len(r.PostForm["resource"]) > 1 {
							status, body = 400, `{"error":"invalid_target"}`
						}
					}
					return &http.Response{
						StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
					}, nil
				}),
			}}))
			code := must(p.StartDevice(t.Context(), "openid", "https://a/", "https://b/"))
			tokens := must(p.WaitDevice(t.Context(), code))
			want, granted := [][]string{{"https://a/", "https://b/"}, {"https://a/"}}, []string{"https://b/"}
			if refused {
				want, granted = append(want, []string{"https://a/"}), nil // the poll is for the one that there is
			}
			if !slices.EqualFunc(asked, want, slices.Equal) || !slices.Equal(tokens.Audiences, granted) {
				t.Errorf("refused %t: asked for %q, got %q", refused, asked, tokens.Audiences)
			}
		})
	}
}
