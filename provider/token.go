package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

const maxToken = 64 << 10

// tokenAnswer is a token response (RFC 6749, section 5.1; OpenID Connect Core 1.0, section 3.1.3.3).
type tokenAnswer struct {
	AccessToken       string          `json:"access_token"`
	TokenType         string          `json:"token_type"`
	ExpiresIn         json.RawMessage `json:"expires_in"`
	RefreshToken      string          `json:"refresh_token"`
	RefreshExpiresIn  json.RawMessage `json:"refresh_expires_in"`
	RefreshExpiresIn2 json.RawMessage `json:"refresh_token_expires_in"`
	Scope             scopeText       `json:"scope"`
	IDToken           string          `json:"id_token"`
}

// A scopeText is space-separated; some providers write a list (Twitch does).
type scopeText string

func (s *scopeText) UnmarshalJSON(raw []byte) error {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		*s = scopeText(strings.Join(list, " "))
		return nil
	}
	return json.Unmarshal(raw, (*string)(s))
}

// Exchange redeems an authorization code (RFC 6749, section 4.1.3; RFC 7636, section
// 4.5) and verifies everything that comes.
func (p *Provider) Exchange(ctx context.Context, x CodeExchange) (*Tokens, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {x.Code.Reveal()},
		"redirect_uri": {x.RedirectURI}, "code_verifier": {x.CodeVerifier.Reveal()},
	}
	if x.Audience != "" && p.cfg.AudienceParameter == "resource" { // RFC 8707, section 2.2
		form.Set("resource", x.Audience)
	}
	var a tokenAnswer
	if _, err := p.post(ctx, m, m.TokenEndpoint, form, &a); err != nil {
		return nil, err
	}
	return p.accept(ctx, m, &a, x.Scope, x.Audience, idTokenExpectation{nonce: x.Nonce, maxAge: x.MaxAge, organization: x.Organization})
}

// accept verifies the token answer of a login, which has to bring an ID token.
func (p *Provider) accept(ctx context.Context, m *metadata, a *tokenAnswer, scope, audience string, want idTokenExpectation) (*Tokens, error) {
	t, claims, err := p.tokens(a, audience)
	if err != nil {
		return nil, err
	}
	if a.IDToken == "" {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "the answer holds no ID token", Reason: ReasonNoIDToken}
	}
	want.accessToken = t.AccessToken
	if err := p.believe(ctx, m, t, a.IDToken, want); err != nil {
		return nil, err
	}
	if err := p.checkAudience(claims, audience); err != nil {
		err.Reason = ReasonAudienceIgnored
		if p.cfg.AudienceParameter == "resource" && !p.cfg.Auth0 {
			err.Reason = ReasonResourceIgnored
		}
		return nil, err
	}
	if t.Scope == "" {
		t.Scope = scope
	}
	return t, p.askUserInfo(ctx, m, t)
}

// Refresh makes one token request (RFC 6749, section 6), and another only if the first
// never reached the provider's token endpoint, which has moved. A new ID token has to be
// about the same person and authentication (OpenID Connect Core 1.0, section 12.2).
//
// The tokens can come beside an error. Then they hold a new refresh token and nothing else,
// and it must be stored: the old one is used up, and one bad answer is no reason to lose the
// session. Nothing is believed by that, for what it brings one day is verified as this was.
// After any other error the tokens are nil; MaybeSent tells whether the refresh token may be
// used up all the same.
func (p *Provider) Refresh(ctx context.Context, r RefreshRequest) (*Tokens, error) {
	m, err := p.metadata(ctx, forSession)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.RefreshToken.Reveal()}}
	if r.Scope != "" {
		form.Set("scope", r.Scope)
	}
	if r.Audience != "" {
		form.Set(p.cfg.AudienceParameter, r.Audience)
	}
	var a tokenAnswer
	_, err = p.post(ctx, m, m.TokenEndpoint, form, &a)
	if newer := p.moved(ctx, m, err); newer != nil {
		m, a = newer, tokenAnswer{}
		_, err = p.post(ctx, m, m.TokenEndpoint, form, &a)
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Reason == "" { // some providers have other words than invalid_grant
		refused.Reason = ReasonRefreshRefused
	}
	if errors.Is(err, ErrUntrusted) {
		return nil, &answeredError{err}
	}
	if err != nil {
		return nil, err
	}
	t, claims, err := p.tokens(&a, r.Audience)
	rotated := p.rotated(&a, r)
	switch {
	case err != nil && rotated == nil && a.RefreshToken != "":
		return nil, &answeredError{err}
	case err != nil:
		return rotated, err
	case a.IDToken != "":
		err = p.believe(ctx, m, t, a.IDToken, idTokenExpectation{
			renewed: true, keys: forSession, subject: r.Subject, authTime: r.AuthTime, nonce: r.Nonce, organization: r.Organization, accessToken: t.AccessToken,
		})
	case r.Unproven:
		err = &UntrustedError{Check: ErrSubject, Detail: "the answer holds no ID token, and the one before was not to be believed", Reason: ReasonUnproven}
	}
	if err != nil { // whose the refresh token is was not said
		if rotated != nil {
			rotated.Unproven = true
		}
		return rotated, err
	}
	if err := p.checkAudience(claims, r.Audience); err != nil {
		return rotated, err
	}
	return t, nil
}

// rotated is the refresh token that replaces the one that was used, if one came. It is in as much doubt as that was.
func (p *Provider) rotated(a *tokenAnswer, r RefreshRequest) *Tokens {
	if !usableToken(a.RefreshToken) || a.RefreshToken == "" || a.RefreshToken == r.RefreshToken.Reveal() {
		return nil
	}
	return &Tokens{RefreshToken: NewSecret(a.RefreshToken), RefreshExpiry: refreshExpiry(a, p.now()), Unproven: r.Unproven}
}

func (p *Provider) believe(ctx context.Context, m *metadata, t *Tokens, raw string, want idTokenExpectation) error {
	claims, expiry, err := p.verifyIDToken(ctx, m, raw, want)
	if err != nil {
		return err
	}
	t.IDToken, t.IDTokenExpiry, t.Claims = NewSecret(raw), expiry.UTC(), claims
	t.SessionExpiry = claims.Time("session_expiry")
	return nil
}

// tokens checks what can be checked of a token answer without an ID token. It also
// returns the claims of an access token that is a JWT. Nobody vouches for them.
func (p *Provider) tokens(a *tokenAnswer, audience string) (*Tokens, Claims, error) {
	for _, token := range []string{a.AccessToken, a.RefreshToken, a.IDToken} {
		p.keepQuiet(token)
	}
	if !strings.EqualFold(a.TokenType, "Bearer") {
		return nil, nil, &UntrustedError{Check: ErrTokenType, Detail: fmt.Sprintf("the access token is of type %q, not Bearer", p.printable(a.TokenType))}
	}
	if !usableToken(a.AccessToken) || !usableToken(a.RefreshToken) || !usableToken(a.IDToken) {
		return nil, nil, &UntrustedError{Check: ErrMalformed, Detail: "a token is too large or holds characters that no token holds"}
	}
	if a.AccessToken == "" {
		return nil, nil, &UntrustedError{Check: ErrMalformed, Detail: "the answer holds no access token"}
	}
	now := p.now()
	expiry, err := lifetime(a.ExpiresIn, now)
	if err != nil {
		return nil, nil, err
	}
	// An access token is the API's to read. Two things are looked at when it is a JWT:
	// an expiry that disagrees with expires_in, and an audience that nobody asked for.
	claims, err := decodeClaims(a.AccessToken)
	if err != nil {
		claims = nil // opaque
	}
	if exp := claims.Time("exp"); !exp.IsZero() && (expiry.IsZero() || exp.Before(expiry)) {
		expiry = exp
	}
	return &Tokens{
		AccessToken: NewSecret(a.AccessToken), TokenType: "Bearer", Expiry: expiry, Scope: string(a.Scope), Audience: audience,
		RefreshToken: NewSecret(a.RefreshToken), RefreshExpiry: refreshExpiry(a, now),
	}, claims, nil
}

// usableToken reports whether a token can be put in a header and kept; "" can.
func usableToken(token string) bool {
	return len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// refreshExpiry is when the refresh token ends, where a provider tells (none of the specifications has a name for it).
func refreshExpiry(a *tokenAnswer, now time.Time) time.Time {
	for _, told := range []json.RawMessage{a.RefreshExpiresIn, a.RefreshExpiresIn2} {
		if expiry, err := lifetime(told, now); err == nil && !expiry.IsZero() {
			return expiry
		}
	}
	return time.Time{}
}

// checkAudience compares the audience that was asked for with that of an access token
// that is a JWT. Auth0 answers with a token for its default API without a word.
func (p *Provider) checkAudience(claims Claims, asked string) *AudienceError {
	aud, told := claims["aud"]
	if got := audiences(aud); told && asked != "" && !slices.Contains(got, asked) {
		return &AudienceError{Asked: asked, Got: got, Reason: ReasonAudienceNotRenewed}
	}
	return nil
}

// lifetime reads a number of seconds from now. None, or zero, is no answer; a negative one is no lifetime.
func lifetime(raw json.RawMessage, now time.Time) (time.Time, error) {
	d := seconds(raw)
	if d < 0 {
		return time.Time{}, &UntrustedError{Check: ErrExpired, Detail: "expires_in is negative"}
	}
	if d == 0 {
		return time.Time{}, nil
	}
	return now.Add(d).UTC().Truncate(time.Second), nil
}

// seconds reads a number of seconds, which some providers write as a string. One that
// is said in a way that nobody understands is not said: 0.
func seconds(raw json.RawMessage) time.Duration {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(n) {
		return 0
	}
	const century = 100 * 365 * 24 * 3600
	return time.Duration(max(min(n, century), -century) * float64(time.Second))
}

// An AudienceError says that the provider answered with a token for another API than
// was asked for. It wraps ErrAudience.
type AudienceError struct {
	Asked  string
	Got    []string // the token's; foreign text
	Reason Reason   // with which request it was asked for
}

func (e *AudienceError) Error() string {
	got := "nobody"
	if len(e.Got) > 0 {
		got = words.Printable(strings.Join(e.Got, ", "))
	}
	return fmt.Sprintf("%v: the access token is for %s, not for %s", ErrAudience, got, words.Printable(e.Asked))
}

// Unwrap makes it match ErrAudience.
func (e *AudienceError) Unwrap() error { return ErrAudience }

// askUserInfo fetches the claims that the scopes promise and the ID token lacks
// (OpenID Connect Core 1.0, section 5.3).
func (p *Provider) askUserInfo(ctx context.Context, m *metadata, t *Tokens) error {
	granted := strings.Fields(t.Scope)
	lacks := slices.Contains(granted, "profile") && t.Claims.Text("name") == "" && t.Claims.Text("nickname") == "" && t.Claims.Text("preferred_username") == "" ||
		slices.Contains(granted, "email") && t.Claims.Text("email") == ""
	// An access token for an API is often not one for UserInfo; Auth0's are for both.
	if !lacks || m.UserInfoEndpoint == "" || t.Audience != "" && !p.cfg.Auth0 {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.UserInfoEndpoint, nil)
	if err != nil {
		return &UntrustedError{Check: ErrMalformed, Detail: "the UserInfo endpoint is no URL"}
	}
	req.Header.Set("Authorization", "Bearer "+t.AccessToken.Reveal())
	a, err := p.once(ctx, req)
	if err != nil || a.status != http.StatusOK {
		return nil // the login is good without it
	}
	claims, err := p.userInfo(ctx, m, a)
	if err != nil {
		return err
	}
	if claims.Subject() != t.Claims.Subject() { // section 5.3.2: else it must not be used
		return &UntrustedError{Check: ErrSubject, Detail: "UserInfo is about another person than the ID token"}
	}
	for name := range claims {
		if _, ok := t.Claims[name]; ok {
			delete(claims, name)
		}
	}
	t.UserInfo = claims
	return nil
}

// userInfo reads an answer that is JSON, or a JWT signed by the provider.
func (p *Provider) userInfo(ctx context.Context, m *metadata, a *answer) (Claims, error) {
	body := a.body
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); strings.EqualFold(strings.TrimSpace(kind), "application/jwt") {
		payload, err := (&keySet{p: p, m: m, algorithms: m.userInfoAlgorithms()}).verify(ctx, strings.TrimSpace(string(body)))
		if err != nil {
			return nil, err
		}
		body = payload
	}
	var claims Claims
	if object(body, &claims) != nil || claims == nil {
		return nil, &UntrustedError{Check: ErrMalformed, Detail: "UserInfo is not the JSON that it should be"}
	}
	// A signed answer names who made it and for whom; an unsigned one may (section 5.3.2).
	if iss, ok := claims["iss"]; ok && iss != p.cfg.Issuer {
		return nil, &UntrustedError{Check: ErrIssuer, Detail: "UserInfo is from another issuer"}
	}
	if aud, ok := claims["aud"]; ok && !slices.Contains(audiences(aud), p.cfg.ClientID) {
		return nil, &UntrustedError{Check: ErrAudience, Detail: "UserInfo is for another client"}
	}
	return claims, nil
}
