package tenant

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionAlgorithms are those that clients may sign with.
func assertionAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
		jose.EdDSA,
	}
}

const (
	jwtAssertion     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	requestType      = "oauth-authz-req+jwt"
	longestAssertion = 5 * time.Minute // from now to exp, at most
	clientClockSkew  = 10 * time.Second
)

// A usedAssertion is the jti of an assertion that was accepted.
type usedAssertion struct{ expires time.Time }

func (u *usedAssertion) expiry() time.Time { return u.expires }

// authenticate returns the client that sent r. It authenticates in the one way that it is registered for: by its key
// (private_key_jwt), by its certificate, by its secret (client_secret_basic or client_secret_post), or, where it is
// public, by its ID. Where authenticate returns false it has responded with the error.
func (t *Tenant) authenticate(w http.ResponseWriter, r *http.Request) (*Client, bool) {
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", "the form can't be parsed")
		return nil, false
	}
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	user, password, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(password)
	}
	client, why := t.client(id), "unknown client, or wrong client secret"
	switch {
	case client == nil || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(secret)) != 1:
	case t.hasKey(client):
		if why = t.checkAssertion(r, client); why == "" && !basic {
			return client, true
		}
	case t.hasCertificate(client):
		if why = t.checkCertificate(r, client); why == "" && !basic {
			return client, true
		}
	case client.Federated != "" && r.PostForm.Has("client_assertion"):
		if why = t.checkFederated(r, client); why == "" && !basic {
			return client, true
		}
	case r.PostForm.Has("client_assertion"):
		why = "the client is not registered for private_key_jwt"
	default:
		return client, true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="tenant"`)
	if t.cfg.Auth0 {
		refuse(w, http.StatusUnauthorized, "access_denied", "Unauthorized")
	} else {
		refuse(w, http.StatusUnauthorized, "invalid_client", why)
	}
	return nil, false
}

// checkFederated returns what is wrong with the assertion of a trusted issuer by which a client authenticates, or ""
// (RFC 7523, section 2.2).
func (t *Tenant) checkFederated(r *http.Request, client *Client) string {
	claims, _, ok := t.verifyTrusted(r.PostForm.Get("client_assertion"))
	if !ok || claims["sub"] != client.Federated || r.PostForm.Get("client_assertion_type") != jwtAssertion {
		return "the assertion is not accepted"
	}
	return ""
}

// checkAssertion returns what is wrong with the assertion by which a client authenticates, or "" (RFC 7523, section 3;
// OpenID Connect Core 1.0, section 9). An assertion is accepted once.
func (t *Tenant) checkAssertion(r *http.Request, client *Client) string {
	if r.PostForm.Get("client_assertion_type") != jwtAssertion || len(r.PostForm["client_assertion"]) != 1 {
		return "the client has to authenticate by private_key_jwt"
	}
	claims, typ, ok := verifyWith(t.keysOf(client), r.PostForm.Get("client_assertion"))
	now := t.cfg.Now()
	switch {
	case !ok:
		return "no key of the client has signed the assertion"
	case typ != "" && typ != "JWT" && typ != "client-authentication+jwt":
		return "the assertion is a JWT of another type"
	case claims["iss"] != client.ID || claims["sub"] != client.ID:
		return "the assertion is about another client"
	case claims["aud"] != t.assertionAudience():
		return "the assertion is for another audience"
	}
	if why := timely(claims, now); why != "" {
		return why
	}
	jti, _ := claims["jti"].(string)
	if jti == "" {
		return "the assertion has no jti"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	name := client.ID + "\x00" + jti
	if t.assertions[name] != nil {
		return "the assertion was used before"
	}
	keep(t.assertions, name, &usedAssertion{now.Add(longestAssertion)}, now)
	return ""
}

// assertionAudience returns the one audience of client assertions that is accepted.
func (t *Tenant) assertionAudience() string {
	if t.cfg.AssertionsToEndpoint {
		return t.url(t.path("/oauth/token", "/token"))
	}
	return t.issuer
}

// timely returns what is wrong with the times of what a client signed, or "".
func timely(claims map[string]any, now time.Time) string {
	at := func(name string) time.Time {
		seconds, _ := claims[name].(float64)
		return time.Unix(int64(seconds), 0)
	}
	switch {
	case !now.Before(at("exp")):
		return "the JWT has expired, or has no exp"
	case at("exp").After(now.Add(longestAssertion + clientClockSkew)):
		return "the JWT is good for too long"
	case at("iat").After(now.Add(clientClockSkew)) || at("nbf").After(now.Add(clientClockSkew)):
		return "the JWT is of the future"
	case claims["iat"] == nil:
		return "the JWT has no iat"
	}
	return ""
}

// verifyWith returns the claims and the type of a JWT that one of the keys has signed: the one that it names, where it
// names one.
func verifyWith(keys []jose.JSONWebKey, raw string) (claims map[string]any, typ string, ok bool) {
	jws, err := jose.ParseSignedCompact(raw, assertionAlgorithms())
	if err != nil || len(jws.Signatures) != 1 {
		return nil, "", false
	}
	header := jws.Signatures[0].Protected
	typ, _ = header.ExtraHeaders[jose.HeaderType].(string)
	for _, key := range keys {
		if header.KeyID != "" && header.KeyID != key.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return claims, typ, json.Unmarshal(payload, &claims) == nil
		}
	}
	return nil, "", false
}

// SetKeys registers the public keys of a client, in place of those before. A client with keys and without a secret
// authenticates by them.
func (t *Tenant) SetKeys(clientID string, keys ...jose.JSONWebKey) {
	client := t.client(clientID)
	t.mu.Lock()
	defer t.mu.Unlock()
	client.Keys = keys
}

// RequireSignedRequests refuses authorization requests without a request object (RFC 9101) from now on.
func (t *Tenant) RequireSignedRequests() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.RequireSignedRequests = true
}

// isPublic reports whether a client has nothing of its own to authenticate by.
func (t *Tenant) isPublic(client *Client) bool {
	return client.Secret == "" && !t.hasKey(client) && !t.hasCertificate(client)
}

// hasKey reports whether a client authenticates by a key (private_key_jwt).
func (t *Tenant) hasKey(client *Client) bool {
	return client.Secret == "" && !client.Public && len(t.keysOf(client)) > 0
}

// keysOf returns the keys of a client.
func (t *Tenant) keysOf(client *Client) []jose.JSONWebKey {
	t.mu.Lock()
	defer t.mu.Unlock()
	return client.Keys
}

// unsigned reports whether an authorization request lacks the signature that it must have.
func (t *Tenant) unsigned(q url.Values, client *Client) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !q.Has("request") && (t.cfg.RequireSignedRequests || client.SignsRequests)
}

// openRequest returns the parameters of an authorization request: those of its request object alone, where it has one
// (RFC 9101, section 6.3), or what is wrong with that.
func (t *Tenant) openRequest(q url.Values) (parameters url.Values, why string) {
	client := t.client(q.Get("client_id"))
	if client == nil || !q.Has("request") {
		return q, ""
	}
	claims, typ, ok := verifyWith(t.keysOf(client), q.Get("request"))
	audience, isList := claims["aud"].([]any)
	switch {
	case len(q["request"]) != 1:
		return nil, "there are several request objects"
	case !ok:
		return nil, "no key of the client has signed the request object"
	case typ != requestType:
		return nil, "the request object is a JWT of another type"
	case claims["iss"] != client.ID || claims["client_id"] != client.ID:
		return nil, "the request object is another client's"
	case claims["aud"] != t.issuer && (!isList || !slices.Contains(audience, any(t.issuer))):
		return nil, "the request object is for another provider"
	case claims["request"] != nil || claims["request_uri"] != nil || claims["sub"] != nil:
		return nil, "the request object holds what none may hold"
	}
	if why := timely(claims, t.cfg.Now()); why != "" {
		return nil, why
	}
	parameters = url.Values{}
	for name, value := range claims {
		switch value := value.(type) {
		case string:
			parameters.Set(name, value)
		case []any:
			for _, one := range value {
				if text, ok := one.(string); ok {
					parameters.Add(name, text)
				}
			}
		default:
			text, err := json.Marshal(value)
			if err != nil {
				return nil, "the request object can't be read"
			}
			parameters.Set(name, string(text))
		}
	}
	for _, registered := range []string{"iss", "aud", "exp", "iat", "nbf", "jti"} {
		parameters.Del(registered)
	}
	return parameters, ""
}
