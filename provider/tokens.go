package provider

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Tokens are what a provider granted, after every check has passed.
type Tokens struct {
	AccessToken   Secret
	TokenType     string    // Bearer or DPoP, however the provider writes it
	Expiry        time.Time // of the access token: the earlier of expires_in and a JWT's exp; zero: the provider gave none
	Scope         string    // as granted, space-separated
	Audience      string    // as asked; "" is the provider's default
	Audiences     []string  // further ones that the login asked for: a Refresh may ask for a token for each
	RefreshToken  Secret    // zero: none came; after a renewal the old one is then still good
	RefreshExpiry time.Time // refresh_expires_in or refresh_token_expires_in; zero: the provider gave none
	SessionExpiry time.Time // the ID token's session_expiry claim; zero: it has none
	IDToken       Secret    // zero: none came, which happens only with a renewal
	IDTokenExpiry time.Time
	Claims        Claims // the ID token's; nil: none came
	UserInfo      Claims // the claims of UserInfo that the ID token lacks; nil: UserInfo was not asked

	// Prover has the key that the tokens are bound to, the refresh token only of a public client; nil: to none.
	Prover *Prover

	// Unproven, beside an error of Refresh, says that the refresh token came with an ID token that was not believed, and
	// that no ID token has been believed since.
	Unproven bool
}

// OAuth2 returns the tokens in the form of golang.org/x/oauth2, for programs that use that package. The token's extras
// are id_token, if there is one, and scope. The secrets in it can be printed and logged.
func (t *Tokens) OAuth2() *oauth2.Token {
	extra := map[string]any{"scope": t.Scope}
	if !t.IDToken.IsZero() {
		extra["id_token"] = t.IDToken.Reveal()
	}
	token := &oauth2.Token{
		AccessToken: t.AccessToken.Reveal(), TokenType: t.TokenType, RefreshToken: t.RefreshToken.Reveal(), Expiry: t.Expiry,
	}
	return token.WithExtra(extra)
}

// A tokenResponse is the response of a token endpoint (RFC 6749, section 5.1; OpenID Connect Core 1.0, section
// 3.1.3.3).
type tokenResponse struct {
	AccessToken  string          `json:"access_token"`
	TokenType    string          `json:"token_type"`
	ExpiresIn    json.RawMessage `json:"expires_in"`
	RefreshToken string          `json:"refresh_token"`
	Scope        scopeText       `json:"scope"`
	IDToken      string          `json:"id_token"`
	// IssuedTokenType comes with an exchange alone (RFC 8693, section 2.2.1).
	IssuedTokenType string `json:"issued_token_type"`
	// No specification has a name for the lifetime of a refresh token. These two are in use.
	RefreshExpiresIn      json.RawMessage `json:"refresh_expires_in"`
	RefreshTokenExpiresIn json.RawMessage `json:"refresh_token_expires_in"`

	prover *Prover // of the request's proof
}

// A scopeText is a space-separated list. Some providers write a JSON list; Twitch does.
type scopeText string

func (s *scopeText) UnmarshalJSON(raw []byte) error {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		*s = scopeText(strings.Join(list, " "))
		return nil
	}
	return json.Unmarshal(raw, (*string)(s))
}

// maxToken is the size of the largest token that is accepted.
const maxToken = 64 << 10

// tokens checks what can be checked of a token response without its ID token. It also returns the claims of an access
// token that is a JWT, which nobody has verified.
func (p *Provider) tokens(r *tokenResponse, audience string) (*Tokens, Claims, error) {
	for _, token := range []string{r.AccessToken, r.RefreshToken, r.IDToken} {
		p.redact(token)
	}
	if err := p.checkTokenType(r); err != nil {
		return nil, nil, err
	}
	if !usableToken(r.AccessToken) || !usableToken(r.RefreshToken) || !usableToken(r.IDToken) {
		return nil, nil, malformed("a token is too large or holds characters that no token holds")
	}
	if r.AccessToken == "" {
		detail := "the response holds no access token"
		return nil, nil, &UntrustedError{Check: ErrMalformed, detail: detail, Reason: ReasonNoAccessToken}
	}
	now := p.now()
	expiry, err := lifetime(r.ExpiresIn, now)
	if err != nil {
		return nil, nil, err
	}
	// An access token is the API's to read. Some claims of one that is a JWT are read here nevertheless: exp, which may
	// be earlier than expires_in says, aud, which may be of an API that was not asked for, and cnf, by which it may be of
	// no use here.
	claims, err := decodeClaims(r.AccessToken)
	if err != nil {
		claims = nil // it is opaque
	}
	if err := p.checkCertificateBinding(claims); err != nil {
		return nil, nil, err
	}
	if err := r.checkBinding(claims); err != nil {
		return nil, nil, err
	}
	if exp := claims.Time("exp"); !exp.IsZero() && (expiry.IsZero() || exp.Before(expiry)) {
		expiry = exp
	}
	return &Tokens{
		AccessToken: NewSecret(r.AccessToken), TokenType: r.tokenType(), Expiry: expiry,
		Scope: string(r.Scope), Audience: audience, Prover: r.prover,
		RefreshToken: NewSecret(r.RefreshToken), RefreshExpiry: refreshExpiry(r, now),
	}, claims, nil
}

// usableToken reports whether a token, which may be "", can be stored and put in a header.
func usableToken(token string) bool {
	return len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// refreshExpiry returns when the refresh token expires, or the zero time if the provider does not say so in a way that
// can be read.
func refreshExpiry(r *tokenResponse, now time.Time) time.Time {
	for _, raw := range []json.RawMessage{r.RefreshExpiresIn, r.RefreshTokenExpiresIn} {
		if expiry, err := lifetime(raw, now); err == nil && !expiry.IsZero() {
			return expiry
		}
	}
	return time.Time{}
}

// checkAudience compares the audience that was asked for with that of an access token that is a JWT. Auth0 sends a
// token for its default API instead, without an error.
func checkAudience(claims Claims, asked string, reason Reason) error {
	aud, told := claims["aud"]
	if got := audiences(aud); told && asked != "" && !slices.Contains(got, asked) {
		return &AudienceError{Asked: asked, got: got, Reason: reason}
	}
	return nil
}

// lifetime returns when a number of seconds from now has passed, or the zero time if there is no number, or 0.
func lifetime(raw json.RawMessage, now time.Time) (time.Time, error) {
	d := seconds(raw)
	if d < 0 {
		return time.Time{}, &UntrustedError{Check: ErrExpired, detail: "expires_in is negative"}
	}
	if d == 0 {
		return time.Time{}, nil
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

// seconds reads a number of seconds, which some providers write as a string. It returns 0 for what is no number.
func seconds(raw json.RawMessage) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(n) {
		return 0
	}
	const century = 100 * 365 * 24 * 3600
	return time.Duration(max(min(n, century), -century) * float64(time.Second))
}
