package tenant

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	tokenTypes      = "urn:ietf:params:oauth:token-type:" //nolint:gosec // no credential
	exchangeType    = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtBearerType   = "urn:ietf:params:oauth:grant-type:jwt-bearer" //nolint:gosec // no credential
	connectionType  = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	connectionToken = "http://auth0.com/oauth/token-type/federated-connection-access-token" //nolint:gosec // as above
	assertionTyp    = "oauth-id-jag+jwt"
)

// A party is whom a token in an exchange is about, and what it is good for.
type party struct {
	user   *User
	scopes []string
}

// exchange handles a token exchange (RFC 8693, section 2).
func (t *Tenant) exchange(w http.ResponseWriter, form url.Values, client *Client) {
	invalid := func(why string) { refuse(w, http.StatusBadRequest, "invalid_request", why) }
	subject, ok := t.party(form.Get("subject_token"), form.Get("subject_token_type"), client)
	if !ok {
		invalid("the subject token is not accepted")
		return
	}
	if form.Has("actor_token") != form.Has("actor_token_type") {
		invalid("actor_token and actor_token_type go together")
		return
	}
	actor := ""
	if form.Has("actor_token") {
		acting, ok := t.party(form.Get("actor_token"), form.Get("actor_token_type"), client)
		if !ok {
			invalid("the actor token is not accepted")
			return
		}
		actor = acting.user.Subject
	}
	audience, ok := t.target(w, form, client)
	if !ok {
		return
	}
	scopes, ok := granted(form, subject.scopes)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_scope", "the subject token is not good for this scope")
		return
	}
	g := tokenGrant{
		family: &family{client: client, user: subject.user, scopes: scopes}, scopes: scopes, audience: audience, actor: actor,
	}
	kind := strings.TrimPrefix(cmp.Or(form.Get("requested_token_type"), tokenTypes+"access_token"), tokenTypes)
	switch kind {
	case "access_token", "jwt":
		g.issued = tokenTypes + kind
		t.sendTokens(w, g)
	case "id_token":
		t.sendOther(w, g, kind, "JWT", map[string]any{"aud": cmp.Or(audience, client.ID)})
	case "id-jag":
		if audience == "" || form.Get("subject_token_type") != tokenTypes+"id_token" {
			invalid("an identity assertion is for an audience, and is made of an ID token")
			return
		}
		t.sendOther(w, g, kind, assertionTyp, map[string]any{
			"aud": audience, "client_id": client.ID, "scope": strings.Join(scopes, " "), "jti": rand.Text(),
		})
	default:
		invalid("this type of token is not offered")
	}
}

// sendOther sends a token that is no access token (RFC 8693, section 2.2.1).
func (t *Tenant) sendOther(w http.ResponseWriter, g tokenGrant, kind, typ string, claims map[string]any) {
	const life = 5 * time.Minute
	now := t.cfg.Now()
	claims["iss"], claims["sub"] = t.issuer, g.family.user.Subject
	claims["iat"], claims["exp"] = now.Unix(), now.Add(life).Unix()
	token, err := t.sign(typ, claims)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "server_error", "signing failed")
		return
	}
	response := map[string]any{
		"access_token": token, "token_type": "N_A", "issued_token_type": tokenTypes + kind, "expires_in": int(life.Seconds()),
	}
	if t.cfg.OnTokenResponse != nil {
		t.cfg.OnTokenResponse(response)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, response)
}

// party returns whom a token is about: a token of this tenant's for the client, one of an issuer that it trusts, or
// one of a type of its own.
func (t *Tenant) party(token, kind string, client *Client) (party, bool) {
	if custom := t.cfg.CustomSubjects[kind]; custom != nil {
		user := t.user(custom(token))
		return party{user, client.Scopes}, user != nil
	}
	switch kind {
	case tokenTypes + "access_token":
		t.mu.Lock()
		defer t.mu.Unlock()
		grant := t.access[token]
		if grant == nil || grant.family.revoked || !t.cfg.Now().Before(grant.expires) {
			return party{}, false
		}
		return party{grant.family.user, append(slices.Clone(client.Scopes), grant.scopes...)}, true
	case tokenTypes + "id_token":
		claims, ok := t.verifyOwn(token)
		if sub, _ := claims["sub"].(string); ok && claims["aud"] == client.ID && t.isCurrent(claims) {
			return party{&User{Subject: sub}, client.Scopes}, true
		}
	case tokenTypes + "jwt":
		if claims, _, ok := t.verifyTrusted(token); ok {
			return party{&User{Subject: claims["sub"].(string)}, client.Scopes}, true
		}
	}
	return party{}, false
}

// isCurrent reports whether the claims have an exp that has not passed.
func (t *Tenant) isCurrent(claims map[string]any) bool {
	exp, ok := claims["exp"].(float64)
	return ok && t.cfg.Now().Before(time.Unix(int64(exp), 0))
}

// verifyTrusted returns the claims of a JWT that an issuer in Config.Trusted signed for this tenant alone, with the typ
// of its header.
func (t *Tenant) verifyTrusted(raw string) (claims map[string]any, typ string, ok bool) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims) != nil {
		return nil, "", false
	}
	issuer, _ := claims["iss"].(string)
	header := jws.Signatures[0].Header
	typ, _ = header.ExtraHeaders[jose.HeaderType].(string)
	set := t.cfg.Trusted[issuer]
	for _, key := range set.Key(header.KeyID) {
		_, err := jws.Verify(key.Key)
		sub, _ := claims["sub"].(string)
		if err == nil && claims["aud"] == t.issuer && sub != "" && t.isCurrent(claims) {
			return claims, typ, true
		}
	}
	return nil, "", false
}

// Assert signs claims as this tenant, for a test in which it is the issuer that another tenant trusts, such as a CI.
func (t *Tenant) Assert(typ string, claims map[string]any) (string, error) {
	return t.sign(typ, claims)
}

// redeemAssertion handles token requests with an assertion (RFC 7523, section 2.1). An identity assertion names the
// client that may use it, and can be used once.
func (t *Tenant) redeemAssertion(w http.ResponseWriter, form url.Values, client *Client) {
	claims, typ, ok := t.verifyTrusted(form.Get("assertion"))
	mayHave := client.Scopes
	if ok && typ == assertionTyp {
		jti, _ := claims["jti"].(string)
		t.mu.Lock()
		ok = claims["client_id"] == client.ID && jti != "" && !t.redeemed[jti]
		t.redeemed[jti] = true
		t.mu.Unlock()
		scope, _ := claims["scope"].(string)
		mayHave = strings.Fields(scope)
	}
	if !ok {
		refuse(w, t.invalidGrantStatus(), "invalid_grant", "the assertion is not accepted")
		return
	}
	audience, ok := t.target(w, form, client)
	if !ok {
		return
	}
	scopes, ok := granted(form, mayHave)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_scope", "the assertion is not good for this scope")
		return
	}
	user := &User{Subject: claims["sub"].(string)}
	t.sendTokens(w, tokenGrant{
		family: &family{client: client, user: user, scopes: scopes}, scopes: scopes, audience: audience,
	})
}

// redeemConnection hands out the token of another provider, as Auth0's token vault does, for a refresh token. With
// Config.Rotate it replaces that.
func (t *Tenant) redeemConnection(w http.ResponseWriter, form url.Values, client *Client) {
	presented := form.Get("subject_token")
	t.mu.Lock()
	token := t.refresh[presented]
	valid := token != nil && token.family.client == client && !token.family.revoked && !token.used &&
		!t.cfg.Now().After(token.expires) && form.Get("subject_token_type") == tokenTypes+"refresh_token" &&
		form.Get("requested_token_type") == connectionToken
	foreign, connected := t.cfg.Vault[form.Get("connection")]
	response := map[string]any{
		"access_token": foreign, "token_type": "Bearer", "expires_in": 3600, "scope": "calendar",
		"issued_token_type": connectionToken,
	}
	if valid && connected && t.cfg.Rotate {
		token.used = true
		now, secret := t.cfg.Now(), rand.Text()+rand.Text()
		keep(t.refresh, secret, &refreshToken{family: token.family, expires: now.Add(t.cfg.RefreshTokenLifetime)}, now)
		response["refresh_token"] = secret
	}
	t.mu.Unlock()
	switch {
	case !valid:
		refuse(w, http.StatusForbidden, "invalid_grant", "Unknown or invalid refresh token.")
		return
	case !connected:
		refuse(w, http.StatusUnauthorized, "federated_connection_refresh_token_not_found",
			"Federated connection Refresh Token not found.")
		return
	}
	if t.cfg.OnTokenResponse != nil {
		t.cfg.OnTokenResponse(response)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, response)
}
