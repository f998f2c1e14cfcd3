package credential

import (
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// AccessTokenJSON is an access token as JSON, of `loopkey token -o json` and of an agent.
type AccessTokenJSON struct {
	AccessToken string     `json:"access_token"`
	TokenType   string     `json:"token_type"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Scope       string     `json:"scope"`
	Audience    string     `json:"audience"`
}

// JSONOf returns an access token as JSON.
func JSONOf(t session.AccessToken) AccessTokenJSON {
	return AccessTokenJSON{t.Token.Reveal(), t.TokenType, words.UTC(t.Expiry), t.Scope, t.Audience}
}

// Token returns the access token.
func (j AccessTokenJSON) Token() session.AccessToken {
	return session.AccessToken{
		Token: provider.NewSecret(j.AccessToken), TokenType: j.TokenType, Expiry: orZero(j.ExpiresAt), Scope: j.Scope,
		Audience: j.Audience,
	}
}

// IDTokenJSON is an ID token as JSON, of `loopkey token --id-token -o json` and of an agent.
type IDTokenJSON struct {
	IDToken   string     `json:"id_token"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// JSONOfID returns an ID token as JSON.
func JSONOfID(token provider.Secret, expiry time.Time) IDTokenJSON {
	return IDTokenJSON{token.Reveal(), words.UTC(expiry)}
}

// Token returns the ID token and its expiry.
func (j IDTokenJSON) Token() (provider.Secret, time.Time) {
	return provider.NewSecret(j.IDToken), orZero(j.ExpiresAt)
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
