package hostile

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/internal/test/house"
)

// The endpoints of a Provider, as On and Requests name them.
const (
	Discovery  = "discovery"
	Keys       = "keys"
	Authorize  = "authorize"
	Token      = "token"
	UserInfo   = "userinfo"
	Revoke     = "revoke"
	Device     = "device"
	Push       = "par"
	EndSession = "logout"
)

var paths = map[string]string{
	"/.well-known/openid-configuration": Discovery, "/keys": Keys, "/authorize": Authorize, "/token": Token,
	"/userinfo": UserInfo,
	"/revoke":   Revoke, "/device": Device, "/par": Push, "/logout": EndSession,
}

// Lies change what a provider sends. Each func changes what an honest provider would send; nil changes nothing. The
// provider calls them with its lock held, so they must not call its methods.
type Lies struct {
	Discovery func(document map[string]any)
	Keys      func(set map[string]any)
	Header    func(header map[string]any) // of every ID token and signed UserInfo
	Claims    func(claims map[string]any) // of every ID token
	Sign      func(header, claims map[string]any) string
	Token     func(response map[string]any)
	Callback  func(q url.Values) // the parameters of the callback
	UserInfo  func(claims map[string]any)
	Device    func(response map[string]any)
	Push      func(response map[string]any)
	Return    func(q url.Values) // the parameters of the return from a logout
}

// A Hook may respond to a request instead of the provider. It reports whether it did.
type Hook func(w http.ResponseWriter, r *http.Request) bool

// A Provider is an OpenID provider on a loopback port. It logs every browser in without a question, and is honest until
// a test makes it lie. All of it may be changed while it runs.
type Provider struct {
	server *httptest.Server
	issuer string
	origin string // of every endpoint but the browser's
	local  string // of the browser's endpoints: the loopback address
	prefix string // of every path: the path of the issuer, without a slash at its end

	// urls are where the endpoints of a provider are that StartAs started; nil: under the issuer.
	urls map[string]string

	mu      sync.Mutex
	lies    Lies
	hooks   map[string]Hook
	asked   map[string]int
	signing forge.Key
	public  []forge.Key // the key set, before lies
	secret  string
	grants  map[string]grant // by code, refresh token, device code and request URI
	opaque  map[string]bool  // access tokens
	secrets []string
	queries []url.Values // of the authorization requests
}

// A grant is what a code, a refresh token, a device code or a request URI stands for.
type grant struct {
	challenge, redirectURI, nonce, scope string
	authTime                             int64
	request                              url.Values // a pushed authorization request
	renews                               bool
}

// Start starts a provider whose issuer is the bare origin.
func Start(t testing.TB) *Provider { return StartAt(t, "") }

// StartAt starts a provider whose issuer ends in path, such as "/" or "/realms/one".
func StartAt(t testing.TB, path string) *Provider {
	t.Helper()
	p := unstarted(t, path)
	p.origin = "http://" + p.Address()
	p.local = p.origin
	p.issuer = p.origin + path
	p.server.Start() // last: who had this port before may still be asked for
	return p
}

func unstarted(t testing.TB, path string) *Provider {
	t.Helper()
	p := &Provider{
		prefix: strings.TrimSuffix(path, "/"), hooks: map[string]Hook{}, asked: map[string]int{}, signing: forge.RS256(),
		grants: map[string]grant{}, opaque: map[string]bool{},
	}
	p.public = []forge.Key{p.signing}
	p.server = httptest.NewUnstartedServer(p)
	t.Cleanup(p.server.Close)
	return p
}

// StartTLS starts a provider with TLS. It calls certificate for each connection. Its issuer is https://name, which a
// proxy has to lead to Address; without a name it is the loopback address. Browsers use the loopback address in any
// case.
func StartTLS(t testing.TB, name string, certificate func() *tls.Certificate) *Provider {
	t.Helper()
	p := unstarted(t, "")
	p.server.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { // httptest has a certificate of its own
			return &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate()},
				NextProtos: []string{"h2", "http/1.1"},
			}, nil
		},
	}
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	p.server.EnableHTTP2 = true
	p.local = "https://" + p.Address()
	p.origin = p.local
	if name != "" {
		p.origin = "https://" + name
	}
	p.issuer = p.origin
	p.server.StartTLS()
	return p
}

// StartAs starts a provider with the issuer and the URLs of a provider that exists. It has the endpoints that urls has.
// Whatever host they are on, a proxy has to lead to Address. It is honest about what the specifications demand, and
// has none of their options.
func StartAs(t testing.TB, issuer string, urls map[string]string, certificate *tls.Certificate) *Provider {
	t.Helper()
	p := unstarted(t, "")
	p.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*certificate}}
	p.issuer, p.urls = issuer, urls
	p.server.StartTLS()
	return p
}

// endpoint returns the name of the endpoint that a request is for, or "".
func (p *Provider) endpoint(r *http.Request) string {
	if p.urls == nil {
		return paths[strings.TrimPrefix(r.URL.Path, p.prefix)]
	}
	for name, at := range p.urls {
		if at == "https://"+r.Host+r.URL.Path {
			return name
		}
	}
	return ""
}

// Address returns the address that the provider listens at.
func (p *Provider) Address() string { return p.server.Listener.Addr().String() }

// Issuer returns the provider's issuer identifier.
func (p *Provider) Issuer() string { return p.issuer }

// URL returns the URL of an endpoint.
func (p *Provider) URL(endpoint string) string {
	if p.urls != nil {
		return p.urls[endpoint]
	}
	for path, name := range paths {
		if name == endpoint {
			if endpoint == Authorize || endpoint == EndSession {
				return p.local + p.prefix + path
			}
			return p.origin + p.prefix + path
		}
	}
	panic("no such endpoint: " + endpoint)
}

// Lie makes the provider tell these lies, and no earlier ones.
func (p *Provider) Lie(l Lies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies = l
}

// On sets a hook that gets every request to an endpoint first. nil removes it.
func (p *Provider) On(endpoint string, hook Hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks[endpoint] = hook
}

// Respond makes an endpoint respond to every request with a status and a body.
func (p *Provider) Respond(endpoint string, status int, kind, body string) {
	p.On(endpoint, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	})
}

// Confess makes the provider honest again: without lies and hooks, and with its first key.
func (p *Provider) Confess() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies, p.hooks, p.secret = Lies{}, map[string]Hook{}, ""
	p.signing = forge.RS256()
	p.public = []forge.Key{p.signing}
}

// Rotate makes the provider sign with a key from now on, and publish these keys.
func (p *Provider) Rotate(signing forge.Key, published ...forge.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signing, p.public = signing, published
}

// Demand makes the client confidential, with this secret.
func (p *Provider) Demand(secret string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secret = secret
}

// Requests returns how many requests an endpoint got since Reset.
func (p *Provider) Requests(endpoint string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[endpoint]
}

// Reset sets the counters to zero.
func (p *Provider) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = map[string]int{}
}

// Secrets returns all codes, tokens and code verifiers that the provider sent or received.
func (p *Provider) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.secrets)
}

// Queries returns the parameters of the authorization requests, pushed ones included.
func (p *Provider) Queries() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.queries)
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	endpoint := p.endpoint(r)
	p.mu.Lock()
	p.asked[endpoint]++
	hook := p.hooks[endpoint]
	p.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	switch endpoint {
	case Discovery:
		w.Header().Set("Cache-Control", "public, max-age=3600")
		p.discovery(w)
	case Keys:
		w.Header().Set("Cache-Control", "public, max-age=3600")
		p.keys(w)
	case Authorize:
		p.authorize(w, r)
	case Token:
		p.token(w, r)
	case UserInfo:
		p.userInfo(w, r)
	case Revoke:
		p.revoke(w, r)
	case Device:
		p.device(w, r)
	case Push:
		p.push(w, r)
	case EndSession:
		p.endSession(w, r)
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}

func (p *Provider) discovery(w http.ResponseWriter) {
	document := map[string]any{
		"issuer": p.issuer, "authorization_endpoint": p.URL(Authorize), "token_endpoint": p.URL(Token),
		"jwks_uri":          p.URL(Keys),
		"userinfo_endpoint": p.URL(UserInfo), "revocation_endpoint": p.URL(Revoke), "end_session_endpoint": p.URL(EndSession),
		"device_authorization_endpoint": p.URL(Device), "pushed_authorization_request_endpoint": p.URL(Push),
		"authorization_response_iss_parameter_supported": true,
		"response_types_supported":                       []string{"code"},
		"subject_types_supported":                        []string{"public"},
		"code_challenge_methods_supported":               []string{"S256"},
		"id_token_signing_alg_values_supported":          []string{p.signing.Algorithm},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
	}
	if p.urls != nil {
		maps.DeleteFunc(document, func(_ string, value any) bool { return value == "" })
		delete(document, "authorization_response_iss_parameter_supported")
		document["token_endpoint_auth_methods_supported"] = []string{"client_secret_post", "client_secret_basic"}
	}
	if p.lies.Discovery != nil {
		p.lies.Discovery(document)
	}
	writeJSON(w, http.StatusOK, document)
}

func (p *Provider) keys(w http.ResponseWriter) {
	var keys []any
	for _, key := range p.public {
		keys = append(keys, key.Public())
	}
	set := map[string]any{"keys": keys}
	if p.lies.Keys != nil {
		p.lies.Keys(set)
	}
	writeJSON(w, http.StatusOK, set)
}

// secretText returns a secret that appears in no other text, and remembers it for Secrets.
func (p *Provider) secretText(kind string) string {
	s := kind + "-" + rand.Text()
	p.secrets = append(p.secrets, s)
	return s
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if uri := q.Get("request_uri"); uri != "" {
		pushed, ok := p.grants[uri]
		delete(p.grants, uri)
		if !ok || q.Get("client_id") != house.Client || len(q) != 2 {
			http.Error(w, "unknown request_uri", http.StatusBadRequest)
			return
		}
		q = pushed.request
	}
	p.queries = append(p.queries, q)
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != house.Client || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" ||
		len(q.Get("code_challenge")) != 43 || q.Get("state") == "" || q.Get("nonce") == "" {
		http.Error(w, "not a valid authorization request", http.StatusBadRequest)
		return
	}
	code := p.secretText("code")
	p.grants[code] = grant{
		challenge: q.Get("code_challenge"), redirectURI: q.Get("redirect_uri"), nonce: q.Get("nonce"), scope: q.Get("scope"),
		authTime: time.Now().Unix(),
	}
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}}
	if p.urls != nil {
		back.Del("iss")
	}
	if p.lies.Callback != nil {
		p.lies.Callback(back)
	}
	redirect.RawQuery = back.Encode()
	//nolint:gosec // any redirect URI will do here: it is the client that is on trial
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

// client authenticates the client of a form (RFC 6749, section 2.3).
func (p *Provider) client(w http.ResponseWriter, r *http.Request) bool {
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		if secret != "" {
			refuse(w, http.StatusBadRequest, "invalid_request", "the client authenticates twice")
			return false
		}
		id, _ = url.QueryUnescape(user)
		secret, _ = url.QueryUnescape(password)
	}
	if r.Method != http.MethodPost || id != house.Client || secret != p.secret {
		refuse(w, http.StatusUnauthorized, "invalid_client", "")
		return false
	}
	return true
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.client(w, r) {
		return
	}
	var g grant
	var ok bool
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		verifier := r.PostFormValue("code_verifier")
		p.secrets = append(p.secrets, verifier)
		challenge := sha256.Sum256([]byte(verifier))
		g, ok = p.grants[r.PostFormValue("code")]
		ok = ok && !g.renews && g.challenge == base64.RawURLEncoding.EncodeToString(challenge[:]) &&
			g.redirectURI == r.PostFormValue("redirect_uri")
		delete(p.grants, r.PostFormValue("code"))
	case "urn:ietf:params:oauth:grant-type:device_code":
		g, ok = p.grants[r.PostFormValue("device_code")]
	case "refresh_token":
		g, ok = p.grants[r.PostFormValue("refresh_token")]
		ok = ok && g.renews
		g.nonce = ""
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "")
		return
	}
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_grant", "")
		return
	}
	now := time.Now()
	refresh, access := p.secretText("refresh"), p.secretText("access")
	p.opaque[access] = true
	claims := map[string]any{
		"iss": p.issuer, "aud": house.Client, "sub": "ada", "sid": "session-of-ada",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": g.authTime,
		"name": "Ada Lovelace", "email": house.Email, "at_hash": p.signing.AccessTokenHash(access),
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if p.lies.Claims != nil {
		p.lies.Claims(claims)
	}
	// A used refresh token stays valid: rotation is not tested here, and a lie must not cost the session.
	g.renews = true
	p.grants[refresh] = g
	body := map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh, "scope": g.scope,
		"id_token": p.sign(claims, ""),
	}
	if p.lies.Token != nil {
		p.lies.Token(body)
	}
	writeJSON(w, http.StatusOK, body)
}

// sign returns a signed JWT, with the lies applied.
func (p *Provider) sign(claims map[string]any, typ string) string {
	header := map[string]any{"alg": p.signing.Algorithm, "kid": p.signing.ID}
	if typ != "" {
		header["typ"] = typ
	}
	if p.lies.Header != nil {
		p.lies.Header(header)
	}
	sign := p.signing.Sign
	if p.lies.Sign != nil {
		sign = p.lies.Sign
	}
	raw := sign(header, claims)
	p.secrets = append(p.secrets, raw)
	return raw
}

// LogoutToken returns a logout token for the user (OpenID Connect Back-Channel Logout 1.0, section 2.4), with a change
// to its claims.
func (p *Provider) LogoutToken(change func(claims map[string]any)) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	claims := map[string]any{
		"iss": p.issuer, "aud": house.Client, "sub": "ada", "sid": "session-of-ada", "iat": now.Unix(),
		"exp": now.Add(2 * time.Minute).Unix(),
		"jti": rand.Text(), "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if change != nil {
		change(claims)
	}
	return p.sign(claims, "logout+jwt")
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ") // RFC 6750, section 2.1
	if !ok || !p.opaque[access] || r.URL.RawQuery != "" {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := map[string]any{"sub": "ada", "name": "Ada of UserInfo", "email": house.Email}
	if p.lies.UserInfo != nil {
		p.lies.UserInfo(claims)
	}
	writeJSON(w, http.StatusOK, claims)
}

func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	if !p.client(w, r) {
		return
	}
	delete(p.grants, r.PostFormValue("token"))
	w.WriteHeader(http.StatusOK)
}

// device starts a device grant, which the user has already approved.
func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	if !p.client(w, r) {
		return
	}
	code := p.secretText("device")
	p.grants[code] = grant{scope: r.PostFormValue("scope"), authTime: time.Now().Unix()}
	body := map[string]any{
		"device_code": code, "user_code": "WDJB-MJHT", "verification_uri": p.issuer + "/enter", "expires_in": 60,
		"interval": 1,
	}
	if p.lies.Device != nil {
		p.lies.Device(body)
	}
	writeJSON(w, http.StatusOK, body)
}

func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	if !p.client(w, r) {
		return
	}
	uri := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	p.grants[uri] = grant{request: r.PostForm}
	body := map[string]any{"request_uri": uri, "expires_in": 60}
	if p.lies.Push != nil {
		p.lies.Push(body)
	}
	writeJSON(w, http.StatusCreated, body)
}

func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{}
	if q.Has("state") {
		back.Set("state", q.Get("state"))
	}
	if p.lies.Return != nil {
		p.lies.Return(back)
	}
	target := q.Get("post_logout_redirect_uri")
	if target == "" {
		w.WriteHeader(http.StatusOK)
		return
	}
	if len(back) > 0 {
		target += "?" + back.Encode()
	}
	http.Redirect(w, r, target, http.StatusFound) //nolint:gosec // as above
}
