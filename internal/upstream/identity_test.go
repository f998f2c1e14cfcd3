package upstream

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/provider"
)

func TestAppIsToldWhoItIs(t *testing.T) {
	t.Parallel()
	claims := claimsOf(t, `{
		"sub": "auth0|1", "email": "ada@example.com", "email_verified": true,
		"preferred_username": "Àda %\u0000\r\nX-Evil: 1", "groups": ["dev", "a,b", 7, "né"], "roles": ["no"]
	}`)
	server := guarded(t, Config{
		URL: app(t, echo).URL + "/base", User: func(*http.Request) (provider.Claims, bool) { return claims, true },
	})
	forged := http.Header{}
	for _, name := range []string{
		"X-Forwarded-User", "x-forwarded-email", "X_Forwarded_User", "X-Forwarded_Groups",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Access-Token",
		"Forwarded", "X-Auth-Request-User", "X_AUTH_REQUEST_EMAIL", "X-Real-Ip",
		"Remote-User", "REMOTE_USER", "X-Remote-User", "Proxy", "Loopkey-Upstream",
	} {
		forged[name] = []string{"mallory"}
	}
	forged["Connection"] = []string{"X-Forwarded-User"}
	forged["X-Mine"] = []string{"kept"}
	forged["Authorization"] = []string{"Basic mine"}
	got := sendEcho(t, server.URL+"/a%2Fb?c=d;e&f", forged)
	if text := fmt.Sprint(got.Headers); strings.Contains(text, "mallory") {
		t.Errorf("forged headers reach the app: %s", text)
	}
	own := strings.TrimPrefix(server.URL, "http://")
	for name, want := range map[string]string{
		"X-Forwarded-User": "auth0|1", "X-Forwarded-Email": "ada@example.com", "X-Forwarded-Groups": "dev,a%2Cb,n%C3%A9",
		"X-Forwarded-Preferred-Username": "%C3%80da %25%00%0D%0AX-Evil: 1",
		"X-Forwarded-Host":               own, "X-Forwarded-Proto": "http", "X-Forwarded-For": "127.0.0.1",
		"X-Mine": "kept", "Authorization": "Basic mine", "X-Evil": "",
	} {
		if got.Headers.Get(name) != want || len(got.Headers.Values(name)) > 1 {
			t.Errorf("%s: %q, want %q", name, got.Headers.Values(name), want)
		}
	}
	if got.Host != own || got.URI != "/base/a%2Fb?c=d;e&f" {
		t.Errorf("%s %s", got.Host, got.URI)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		claims string
		want   map[string]string
	}{
		"nobody": {`{}`, map[string]string{}},
		"unverified email": {
			`{"sub": "u", "email": "boss@example.com", "email_verified": false}`, map[string]string{"X-Forwarded-User": "u"},
		},
		"not said":          {`{"email": "a@example.com"}`, map[string]string{"X-Forwarded-Email": "a@example.com"}},
		"nickname":          {`{"nickname": " a "}`, map[string]string{"X-Forwarded-Preferred-Username": "%20a%20"}},
		"one group":         {`{"groups": "a b"}`, map[string]string{"X-Forwarded-Groups": "a b"}},
		"roles":             {`{"groups": [], "roles": ["x", "y"]}`, map[string]string{"X-Forwarded-Groups": "x,y"}},
		"claims of no text": {`{"sub": 7, "groups": {"a": 1}, "nickname": ["x"]}`, map[string]string{}},
	} {
		if got := identity(claimsOf(t, test.claims)); !maps.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	many := make([]any, 5000)
	for i := range many {
		many[i] = "group"
	}
	groups := identity(provider.Claims{"groups": many})["X-Forwarded-Groups"]
	if len(groups) > maxGroups || !strings.HasSuffix(groups, ",group") {
		t.Errorf("%d bytes of groups, the last of them cut", len(groups))
	}
}

func FuzzHeaderSafe(f *testing.F) {
	f.Add("auth0|1")
	f.Add("a\r\nb\x00é%41 ")
	f.Fuzz(func(t *testing.T, value string) {
		safe := headerSafe(value)
		for i := range len(safe) {
			if safe[i] < ' ' || safe[i] > '~' {
				t.Fatalf("%q gives %q", value, safe)
			}
		}
		if back, err := url.PathUnescape(safe); err != nil || back != value {
			t.Fatalf("%q comes back as %q: %v", value, back, err)
		}
	})
}
