package provider

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

func renew(ctx context.Context, p *Provider) (*Tokens, error) {
	return p.Refresh(ctx, RefreshRequest{RefreshToken: NewSecret("the refresh token"), Subject: "ada"})
}

// TestRenewalCosts: a renewal costs one request for a day, however short the provider's responses may be cached.
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

// TestMoved finds a token endpoint that has moved. No request is sent twice that may have been acted on.
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

// TestRotatedInARefusedAnswer: the new refresh token of a response that is not believed is returned nevertheless,
// because the old one is used up. It is marked as unproven if its ID token was not believed.
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
		"another API": {func(f *fake) { f.on("/token", 200, f.tokens(otherAPI)) }, ErrAudience, "second", false},
		"another API, not rotated": {func(f *fake) {
			f.on("/token", 200, f.tokens(otherAPI, func(a map[string]any) { delete(a, "refresh_token") }))
		}, ErrAudience, "", false},
		"no keys to verify with": {
			func(f *fake) { f.on("/token", 200, f.tokens()); f.on("/keys", 503, "") }, ErrUnreachable, "second", true,
		},
		"no keys there": {
			func(f *fake) { f.on("/token", 200, f.tokens()); f.on("/keys", 404, "") }, ErrRefused, "second", true,
		},
		"another person": {func(f *fake) {
			f.on("/token", 200, f.tokens(otherAPI, idToken(f, func(c map[string]any) { c["sub"] = "charles" })))
		}, ErrSubject, "second", true},
		"another's signature": {func(f *fake) {
			mallory := forge.OtherRS256().Named("rsa-1")
			f.on("/token", 200, f.tokens(func(a map[string]any) { a["id_token"] = mallory.Token(f.claims()) }))
		}, ErrSignature, "second", true},
		"the same one again": {func(f *fake) {
			f.on("/token", 200, f.tokens(func(a map[string]any) { a["refresh_token"], a["id_token"] = "first", "x.y.z" }))
		}, ErrMalformed, "", false},
		"no Bearer": {func(f *fake) {
			f.on("/token", 200, f.tokens(func(a map[string]any) { a["token_type"] = "DPoP" }))
		}, ErrTokenType, "second", false},
		"one that is none": {func(f *fake) {
			f.on("/token", 200, f.tokens(func(a map[string]any) { a["refresh_token"] = "a b" }))
		}, ErrMalformed, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			c.change(f)
			tokens, err := f.client(t).Refresh(t.Context(), RefreshRequest{
				RefreshToken: NewSecret("first"), Subject: "ada", Audience: "https://api",
			})
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
			if c.kept == "" {
				return
			}
			if tokens == nil || tokens.RefreshToken.Reveal() != c.kept ||
				!tokens.AccessToken.IsZero() || !tokens.IDToken.IsZero() {
				t.Errorf("the new refresh token, and it alone, is not kept: %+v", tokens)
			}
		})
	}
}
