package tenant

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A family is one login at a client, and stands for all the tokens that came of it.
type family struct {
	client    *Client
	user      *User
	browser   *browserSession
	scopes    []string
	audiences []string // granted at the login
	authTime  time.Time
	acr       string
	org       *Organization
	revoked   bool
	bound     string // the thumbprint of the key that its refresh tokens are bound to; "": none
}

type refreshToken struct {
	family  *family
	used    bool
	expires time.Time
}

type accessGrant struct {
	family      *family
	scopes      []string
	expires     time.Time
	certificate string // the thumbprint of the one that it is bound to; "": none
	thumbprint  string // of the key that it is bound to (DPoP); "": none
}

// token handles token requests (RFC 6749, sections 4.1.3 and 6, and RFC 8628, section 3.4).
func (t *Tenant) token(w http.ResponseWriter, r *http.Request) {
	client, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	if r, ok = t.withProof(w, r, client); !ok {
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		t.redeemCode(w, r, client)
	case "refresh_token":
		t.redeemRefresh(w, r, client)
	case deviceGrantType:
		t.redeemDevice(w, r, client)
	default:
		t.otherGrant(w, r, client)
	}
}

func (t *Tenant) redeemCode(w http.ResponseWriter, r *http.Request, client *Client) {
	form := r.PostForm
	t.mu.Lock()
	code := t.codes[form.Get("code")]
	valid := code != nil && code.request.client == client && code.family == nil && !t.cfg.Now().After(code.expires) &&
		form.Get("redirect_uri") == code.request.redirectURI &&
		isVerifierOf(form.Get("code_verifier"), code.request.challenge) &&
		(code.request.thumbprint == "" || code.request.thumbprint == thumbprintOf(r) || !t.cfg.DPoP)
	if code != nil && code.family != nil && code.request.client == client {
		code.family.revoked = true
	}
	if valid {
		code.family = &family{
			client: client, user: code.user, browser: code.browser, scopes: code.request.scopes,
			audiences: code.request.audiences, authTime: code.authTime, acr: code.acr, org: code.request.organization,
			bound: bindsRefresh(client, thumbprintOf(r)),
		}
	}
	t.mu.Unlock()
	if !valid {
		refuse(w, http.StatusBadRequest, "invalid_grant", "Invalid authorization code")
		return
	}
	audience, ok := t.audience(code.family, form, true)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_target", "the code was not issued for this resource")
		return
	}
	t.sendTokens(w, tokenGrant{
		family: code.family, scopes: code.family.scopes, audience: audience, nonce: code.request.nonce, refresh: true,
		certificate: t.boundTo(r, client),
		thumbprint:  thumbprintOf(r),
	})
}

// isVerifierOf reports whether verifier is the code verifier of challenge (RFC 7636, section 4.6).
func isVerifierOf(verifier, challenge string) bool {
	if challenge == "" {
		return verifier == ""
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// audience returns the audience for the access token, and false if the client may not have a token for the audience
// that it asks for. login is true for the first tokens of a login.
func (t *Tenant) audience(f *family, form url.Values, login bool) (string, bool) {
	first := ""
	if len(f.audiences) > 0 {
		first = f.audiences[0]
	}
	if t.cfg.Auth0 {
		asked := form.Get("audience")
		if login || asked == "" || !slices.Contains(f.client.Audiences, asked) {
			return first, true // as Auth0, which does not say that this is another audience
		}
		return asked, true
	}
	asked := form.Get("resource")
	if asked == "" {
		return first, true
	}
	return asked, slices.Contains(f.audiences, asked)
}

// redeemRefresh handles token requests with a refresh token. With Config.Rotate, a refresh token that is used a second
// time may have been stolen, so all tokens of its login are revoked.
func (t *Tenant) redeemRefresh(w http.ResponseWriter, r *http.Request, client *Client) {
	form := r.PostForm
	presented := form.Get("refresh_token")
	t.mu.Lock()
	token := t.refresh[presented]
	valid := token != nil && token.family.client == client && !token.family.revoked && !t.cfg.Now().After(token.expires) &&
		(token.family.bound == "" || token.family.bound == thumbprintOf(r))
	if valid && token.used {
		token.family.revoked = true
		t.reused++
		valid = false
	}
	lacksMFA := valid && t.demandsMFA && token.family.acr != multiFactor
	if valid && !lacksMFA && t.cfg.Rotate {
		token.used = true
	}
	t.mu.Unlock()
	if !valid {
		refuse(w, t.invalidGrantStatus(), "invalid_grant", "Unknown or invalid refresh token.")
		return
	}
	if lacksMFA {
		refuseMFA(w)
		return
	}
	scopes := token.family.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		for _, scope := range asked {
			if !slices.Contains(scopes, scope) {
				refuse(w, http.StatusBadRequest, "invalid_scope", "this scope was not granted: "+scope)
				return
			}
		}
		scopes = asked
	}
	audience, ok := t.audience(token.family, form, false)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_target", "the login did not grant this resource")
		return
	}
	t.sendTokens(w, tokenGrant{
		family: token.family, scopes: scopes, audience: audience, refresh: t.cfg.Rotate, certificate: t.boundTo(r, client),
		thumbprint: thumbprintOf(r),
	})
}

// invalidGrantStatus returns the HTTP status of invalid_grant: 400 by RFC 6749, 403 as Auth0.
func (t *Tenant) invalidGrantStatus() int {
	if t.cfg.Auth0 {
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// A tokenGrant says which tokens a token response holds.
type tokenGrant struct {
	family   *family
	scopes   []string
	audience string
	nonce    string
	refresh  bool   // send a new refresh token
	issued   string // issued_token_type of an exchange; "": it is none
	actor    string // the subject of who acts for the user; "": nobody does

	certificate string // the thumbprint of the one that the access token is bound to; "": none
	thumbprint  string // of the key that the access token is bound to (DPoP); "": none
}

// sendTokens sends the token response.
func (t *Tenant) sendTokens(w http.ResponseWriter, g tokenGrant) {
	t.mu.Lock()
	lifetime := t.cfg.AccessTokenLifetime
	t.mu.Unlock()
	access, err := t.accessToken(g, lifetime)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "server_error", "signing failed")
		return
	}
	response := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(lifetime.Seconds()),
		"scope": strings.Join(g.scopes, " "),
	}
	if g.thumbprint != "" {
		response["token_type"] = "DPoP"
	}
	if g.issued != "" {
		response["issued_token_type"] = g.issued
	}
	if slices.Contains(g.scopes, "openid") && g.issued == "" {
		idToken, err := t.idToken(g, access)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "server_error", "signing failed")
			return
		}
		response["id_token"] = idToken
	}
	if g.refresh && slices.Contains(g.family.scopes, "offline_access") {
		secret := rand.Text() + rand.Text()
		t.mu.Lock()
		now := t.cfg.Now()
		keep(t.refresh, secret, &refreshToken{family: g.family, expires: now.Add(t.cfg.RefreshTokenLifetime)}, now)
		t.mu.Unlock()
		response["refresh_token"] = secret
	}
	if t.cfg.OnTokenResponse != nil {
		t.cfg.OnTokenResponse(response)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, response)
}

// accessToken returns an access token: a JWT (RFC 9068), or with Config.OpaqueAccessTokens a random string.
func (t *Tenant) accessToken(g tokenGrant, lifetime time.Duration) (string, error) {
	now := t.cfg.Now()
	token, err := rand.Text()+rand.Text(), error(nil)
	if !t.cfg.OpaqueAccessTokens {
		audience := any(t.url("/userinfo"))
		switch {
		case g.audience != "" && t.cfg.Auth0:
			audience = []string{g.audience, t.url("/userinfo")}
		case g.audience != "":
			audience = g.audience
		}
		claims := map[string]any{
			"iss": t.issuer, "sub": g.family.user.Subject, "aud": audience, "client_id": g.family.client.ID,
			"iat": now.Unix(), "exp": now.Add(lifetime).Unix(), "jti": rand.Text(), "scope": strings.Join(g.scopes, " "),
		}
		if g.actor != "" {
			claims["act"] = map[string]any{"sub": g.actor}
		}
		if confirmation := g.confirmation(); len(confirmation) > 0 {
			claims["cnf"] = confirmation
		}
		if g.family.acr != "" { // RFC 9470, section 6.1
			claims["acr"], claims["auth_time"] = g.family.acr, g.family.authTime.Unix()
		}
		if t.cfg.OnAccessToken != nil {
			t.cfg.OnAccessToken(claims)
		}
		if token, err = t.sign("at+jwt", claims); err != nil {
			return "", err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	keep(t.access, token, &accessGrant{
		family: g.family, scopes: g.scopes, expires: now.Add(lifetime), certificate: g.certificate,
		thumbprint: g.thumbprint,
	}, now)
	return token, nil
}

// idToken returns an ID token (OpenID Connect Core 1.0, section 2).
func (t *Tenant) idToken(g tokenGrant, access string) (string, error) {
	now := t.cfg.Now()
	claims := map[string]any{
		"iss": t.issuer, "aud": g.family.client.ID, "iat": now.Unix(), "exp": now.Add(t.cfg.IDTokenLifetime).Unix(),
		"auth_time": g.family.authTime.Unix(), "at_hash": t.accessTokenHash(access), "sub": g.family.user.Subject,
		"amr": []string{"pwd"},
	}
	if g.family.browser != nil {
		claims["sid"] = g.family.browser.id
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if g.family.acr != "" {
		claims["acr"], claims["amr"] = g.family.acr, []string{"pwd", "otp"}
	}
	if of := g.family.org; of != nil {
		claims["org_id"] = of.ID
		if !t.cfg.OrganizationIDs {
			claims["org_name"] = of.Name
		}
	}
	if !t.cfg.LeanIDTokens {
		addUserClaims(claims, g.family.user, g.scopes)
	}
	if t.cfg.OnIDToken != nil {
		t.cfg.OnIDToken(claims)
	}
	return t.sign("JWT", claims)
}

// addUserClaims adds the claims about a user that the scopes ask for (OpenID Connect Core 1.0, section 5.4).
func addUserClaims(claims map[string]any, u *User, scopes []string) {
	for name, value := range u.Claims {
		claims[name] = value
	}
	if slices.Contains(scopes, "profile") {
		claims["name"] = u.Name
		if u.Picture != "" {
			claims["picture"] = u.Picture
		}
	}
	if slices.Contains(scopes, "email") {
		claims["email"], claims["email_verified"] = u.Email, true
	}
}

// userinfo handles UserInfo requests (OpenID Connect Core 1.0, section 5.3).
func (t *Tenant) userinfo(w http.ResponseWriter, r *http.Request) {
	grant := t.grantShown(w, r)
	if grant == nil {
		return
	}
	claims := map[string]any{"sub": grant.family.user.Subject}
	addUserClaims(claims, grant.family.user, grant.scopes)
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, claims)
}

// revoke handles revocation requests (RFC 7009). With a refresh token, all tokens of its login are revoked.
func (t *Tenant) revoke(w http.ResponseWriter, r *http.Request) {
	client, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	if t.cfg.NoRevocation {
		http.NotFound(w, r)
		return
	}
	presented := r.PostForm.Get("token")
	if presented == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "there is no token in the request")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if token := t.refresh[presented]; token != nil && token.family.client == client {
		token.family.revoked = true
	}
	if grant := t.access[presented]; grant != nil && grant.family.client == client {
		delete(t.access, presented)
	}
	w.WriteHeader(http.StatusOK) // for an unknown token too (section 2.2)
}
