package provider

import (
	"errors"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
)

// TestForgedLogoutTokens verifies logout tokens with one thing changed. Anyone who can reach the port can send one,
// so each refusal names its check.
func TestForgedLogoutTokens(t *testing.T) {
	t.Parallel()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	for name, c := range map[string]struct {
		change func(map[string]any)
		typ    string
		key    forge.Key
		want   error
	}{
		"good":            {func(map[string]any) {}, "logout+jwt", forge.RS256(), nil},
		"good, plain":     {func(map[string]any) {}, "JWT", forge.RS256(), nil},
		"an access token": {func(map[string]any) {}, "at+jwt", forge.RS256(), ErrTokenType},
		"an ID token": {
			func(c map[string]any) { delete(c, "events"); c["nonce"] = "n" }, "JWT", forge.RS256(), ErrNonce,
		},
		"empty nonce":   {func(c map[string]any) { c["nonce"] = "" }, "JWT", forge.RS256(), ErrNonce},
		"another's key": {func(map[string]any) {}, "logout+jwt", forge.OtherRS256().Named("rsa-1"), ErrSignature},
		"another issuer": {
			func(c map[string]any) { c["iss"] = "https://mallory.example.com" }, "logout+jwt", forge.RS256(), ErrIssuer,
		},
		"another client": {func(c map[string]any) { c["aud"] = "mallory" }, "logout+jwt", forge.RS256(), ErrAudience},
		"expired": {
			func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrExpired,
		},
		"no expiry": {func(c map[string]any) { delete(c, "exp") }, "logout+jwt", forge.RS256(), ErrExpired},
		"old": {
			func(c map[string]any) { c["iat"] = time.Now().Add(-time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrIssuedAt,
		},
		"not yet good": {
			func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, "logout+jwt", forge.RS256(), ErrIssuedAt,
		},
		"no issued-at": {func(c map[string]any) { delete(c, "iat") }, "logout+jwt", forge.RS256(), ErrIssuedAt},
		"another event": {
			func(c map[string]any) { c["events"] = map[string]any{"x": map[string]any{}} },
			"logout+jwt", forge.RS256(), ErrMalformed,
		},
		"event is a list": {
			func(c map[string]any) { c["events"] = map[string]any{event: []any{}} }, "logout+jwt", forge.RS256(), ErrMalformed,
		},
		"nobody":           {func(c map[string]any) { delete(c, "sub") }, "logout+jwt", forge.RS256(), ErrSubject},
		"by session alone": {func(c map[string]any) { delete(c, "sub"); c["sid"] = "s" }, "logout+jwt", forge.RS256(), nil},
		"no ID":            {func(c map[string]any) { delete(c, "jti") }, "logout+jwt", forge.RS256(), ErrMalformed},
		"ID is a number":   {func(c map[string]any) { c["jti"] = 1 }, "logout+jwt", forge.RS256(), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			claims := f.claims(func(claims map[string]any) {
				delete(claims, "nonce")
				claims["jti"], claims["events"] = "1", map[string]any{event: map[string]any{}}
			}, c.change)
			raw := c.key.Sign(map[string]any{"alg": "RS256", "kid": "rsa-1", "typ": c.typ}, claims)
			token, err := f.client(t).VerifyLogoutToken(t.Context(), raw)
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (token.ID != "1" || token.Subject == "" && token.SessionID == "") {
				t.Errorf("got %+v", token)
			}
			if err != nil && !errors.Is(err, ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
		})
	}
}
