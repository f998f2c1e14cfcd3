package tenant

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const selectAccount = "select_account"

// An authorization is an authorization request that passed the checks of OpenID Connect Core 1.0, section 3.1.2.1.
type authorization struct {
	client       *Client
	redirectURI  string
	state, nonce string
	challenge    string // S256 of the code verifier
	scopes       []string
	audiences    []string
	prompt       []string
	maxAge       time.Duration // negative: not in the request
	acrs         []string      // that the request asks for
	acr          string        // of those, the one that the tenant makes
	loginHint    string
	organization *Organization // of Auth0; nil: none
	thumbprint   string        // of the key that the code is bound to (dpop_jkt)
	expires      time.Time     // only of a pushed request
}

// A grantedCode is an authorization code. It can be redeemed once.
type grantedCode struct {
	request  *authorization
	user     *User
	browser  *browserSession
	authTime time.Time
	acr      string
	expires  time.Time
	family   *family // its tokens, revoked when the code is used a second time (RFC 6749, section 4.1.2)
}

// A browserSession is a browser that the tenant knows by its cookie, with the user who is logged in there.
type browserSession struct {
	id       string // sid
	csrf     string
	user     *User
	authTime time.Time
	acr      string
	clients  []string // the IDs of those that got tokens in it
	seen     time.Time
}

const (
	codeLifetime = time.Minute
	cookieName   = "demo_tenant"
)

// parse checks an authorization request. An error in shown is for the user, because the redirect URI can't be trusted;
// an error in code and description is for the client, by redirect.
func (t *Tenant) parse(q url.Values) (a *authorization, shown string, code, description string) {
	client := t.client(q.Get("client_id"))
	if client != nil && t.unsigned(q, client) {
		return nil, "The request has to be signed (RFC 9101).", "", ""
	}
	q, why := t.openRequest(q)
	if why != "" {
		return nil, "invalid_request_object: " + why + ".", "", ""
	}
	if client == nil {
		return nil, "Unknown client: " + q.Get("client_id"), "", ""
	}
	redirect := q.Get("redirect_uri")
	if len(q["redirect_uri"]) != 1 || !client.allows(redirect) {
		return nil, "Callback URL mismatch. The provided redirect_uri is not in the list of allowed callback URLs.",
			"", ""
	}
	a = &authorization{
		client: client, redirectURI: redirect, state: q.Get("state"), nonce: q.Get("nonce"),
		challenge: q.Get("code_challenge"), scopes: strings.Fields(q.Get("scope")), prompt: strings.Fields(q.Get("prompt")),
		maxAge: -1, loginHint: q.Get("login_hint"),
		thumbprint: q.Get("dpop_jkt"),
	}
	a.audiences = q["resource"] // RFC 8707
	if t.cfg.Auth0 {
		a.audiences = q["audience"]
	}
	for name, values := range q {
		if len(values) > 1 && name != "resource" {
			return a, "", "invalid_request", name + " is given more than once"
		}
	}
	if seconds, err := strconv.Atoi(q.Get("max_age")); err == nil && seconds >= 0 {
		a.maxAge = time.Duration(seconds) * time.Second
	} else if q.Get("max_age") != "" {
		return a, "", "invalid_request", "max_age is not a number of seconds"
	}
	if a.organization, why = t.organization(q.Get("organization")); why != "" {
		return a, "", "invalid_request", why
	}
	acrs, essential, readable := acrsOf(q)
	acr, met := t.chooseACR(acrs, essential)
	if a.acr = acr; acr != "" {
		a.acrs = acrs
	}
	switch {
	case !readable:
		return a, "", "invalid_request", "claims is no JSON object of claims"
	case !met:
		return a, "", "unmet_authentication_requirements", "there is no such authentication here"
	case q.Get("response_type") != "code":
		return a, "", "unsupported_response_type", "only the authorization code flow is offered"
	case !slices.Contains(a.scopes, "openid") && !t.cfg.OAuth:
		return a, "", "invalid_scope", "openid is not among the scopes"
	case a.challenge == "" && t.isPublic(client):
		return a, "", "invalid_request", "a public client must use PKCE"
	case a.challenge != "" && (q.Get("code_challenge_method") != "S256" || !isChallenge(a.challenge)):
		return a, "", "invalid_request", "code_challenge_method must be S256"
	case slices.Contains(a.prompt, "none") && len(a.prompt) > 1:
		return a, "", "invalid_request", "prompt=none can't be combined with another value"
	}
	for _, value := range a.prompt {
		isUnlisted := len(t.cfg.Prompts) > 0 && !slices.Contains(t.cfg.Prompts, value)
		if isUnlisted || t.cfg.NoSelectAccount && value == selectAccount {
			return a, "", "invalid_request", "unsupported prompt value"
		}
	}
	if t.cfg.OneResource && len(a.audiences) > 1 {
		return a, "", "invalid_target", "one resource at a time"
	}
	for _, audience := range a.audiences {
		if slices.Contains(client.Audiences, audience) {
			continue
		}
		if t.cfg.Auth0 {
			return a, "", "access_denied", "Service not found: " + audience
		}
		return a, "", "invalid_target", "the client may not have tokens for " + audience
	}
	if t.cfg.RequireConsentForOffline && !slices.Contains(a.prompt, "consent") {
		a.scopes = slices.DeleteFunc(a.scopes, func(s string) bool { return s == "offline_access" })
	}
	return a, "", "", ""
}

// isChallenge reports whether s can be the S256 of a verifier (RFC 7636, section 4.2).
func isChallenge(s string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(raw) == 32
}

// read returns the authorization request in q: that of a GET, or of the login form, whose URL repeats it. Where it
// returns false it has responded with the error.
func (t *Tenant) read(w http.ResponseWriter, q url.Values) (*authorization, bool) {
	if uri := q.Get("request_uri"); uri != "" { // RFC 9126, section 4
		t.mu.Lock()
		a := t.requests[uri]
		t.mu.Unlock()
		if a == nil || a.client.ID != q.Get("client_id") || t.cfg.Now().After(a.expires) {
			t.pages.problem(w, http.StatusBadRequest, "This request is unknown or has expired.")
			return nil, false
		}
		return a, true
	}
	a, shown, code, description := t.parse(q)
	switch {
	case shown != "":
		status := http.StatusBadRequest
		if t.cfg.Auth0 {
			status = http.StatusForbidden
		}
		t.pages.problem(w, status, shown)
		return nil, false
	case t.cfg.RequirePAR:
		code, description = "invalid_request", "authorization requests have to be pushed"
	}
	if code != "" {
		t.respond(w, a, url.Values{"error": {code}, "error_description": {description}})
		return nil, false
	}
	return a, true
}

// authorize shows the login page, or redirects at once where the browser is logged in already.
func (t *Tenant) authorize(w http.ResponseWriter, r *http.Request) {
	a, ok := t.read(w, r.URL.Query())
	if !ok {
		return
	}
	session := t.browser(w, r)
	asks := slices.Contains(a.prompt, "login") || slices.Contains(a.prompt, selectAccount)
	fresh := session.user != nil && !asks &&
		(a.maxAge < 0 || t.cfg.Now().Sub(session.authTime) <= a.maxAge) &&
		(a.acr == "" || slices.Contains(a.acrs, session.acr))
	switch {
	case fresh && !slices.Contains(a.prompt, "consent"):
		t.grant(w, a, session)
	case slices.Contains(a.prompt, "none"):
		t.respond(w, a, url.Values{"error": {"login_required"}, "error_description": {"Login required"}})
	default:
		t.askLogin(w, r, a, session, loginPage{Email: a.loginHint})
	}
}

// logIn handles the login form.
func (t *Tenant) logIn(w http.ResponseWriter, r *http.Request) {
	a, ok := t.read(w, r.URL.Query())
	if !ok {
		return
	}
	session := t.browser(w, r)
	if r.PostFormValue("csrf") != session.csrf {
		t.pages.problem(w, http.StatusForbidden, "This form is not from this page.")
		return
	}
	if r.PostFormValue("decision") == "deny" {
		t.respond(w, a, url.Values{"error": {"access_denied"}, "error_description": {"User did not authorize the request"}})
		return
	}
	user := t.user(r.PostFormValue("email"))
	if as := r.PostFormValue("as"); as != "" && t.cfg.OneClick {
		user = t.user(as)
	} else if user != nil && user.Password != r.PostFormValue("password") {
		user = nil
	}
	if user == nil {
		t.askLogin(w, r, a, session, loginPage{Email: r.PostFormValue("email"), Wrong: true})
		return
	}
	t.mu.Lock()
	session.user, session.authTime, session.acr = user, t.cfg.Now(), a.acr
	t.mu.Unlock()
	t.grant(w, a, session)
}

// askLogin shows the login page for a request; of page it takes what was typed before.
func (t *Tenant) askLogin(
	w http.ResponseWriter, r *http.Request, a *authorization, session *browserSession, page loginPage,
) {
	page.Action, page.CSRF, page.Client, page.Scopes = formAction(r), session.csrf, a.client.ID, a.scopes
	page.StepUp, page.Users, page.OneClick = a.acr != "", t.cfg.Users, t.cfg.OneClick
	t.pages.login(w, page)
}

// formAction returns the URL of the login form: that of the authorization request that the form was shown for.
func formAction(r *http.Request) string {
	return "?" + r.URL.RawQuery
}

// organization returns the organization that a login asks for, by its ID or its name, or why there is none, in Auth0's
// words. To any other provider the parameter means nothing.
func (t *Tenant) organization(asked string) (of *Organization, why string) {
	if asked == "" || !t.cfg.Auth0 {
		return nil, ""
	}
	if t.cfg.OrganizationIDs && !strings.HasPrefix(asked, "org_") {
		return nil, "authorization request parameter organization must be an organization id"
	}
	for i := range t.cfg.Organizations {
		of = &t.cfg.Organizations[i]
		if asked == of.ID || strings.EqualFold(asked, of.Name) {
			return of, ""
		}
	}
	return nil, "parameter organization is invalid"
}

// grant sends the client a code for the user who is logged in.
func (t *Tenant) grant(w http.ResponseWriter, a *authorization, session *browserSession) {
	if of := a.organization; of != nil && !slices.Contains(of.Members, session.user.Subject) {
		why := "user " + session.user.Subject + " is not part of the " + of.ID + " organization"
		t.respond(w, a, url.Values{"error": {"access_denied"}, "error_description": {why}})
		return
	}
	code := rand.Text()
	t.mu.Lock()
	now := t.cfg.Now()
	keep(t.codes, code, &grantedCode{
		request: a, user: session.user, browser: session, authTime: session.authTime, acr: session.acr,
		expires: now.Add(codeLifetime),
	}, now)
	if !slices.Contains(session.clients, a.client.ID) {
		session.clients = append(session.clients, a.client.ID)
	}
	t.mu.Unlock()
	t.respond(w, a, url.Values{"code": {code}})
}

// respond sends the authorization response by redirect to the client, with the issuer in it (RFC 9207).
func (t *Tenant) respond(w http.ResponseWriter, a *authorization, q url.Values) {
	if a.state != "" {
		q.Set("state", a.state)
	}
	q.Set("iss", t.issuer)
	target, err := url.Parse(a.redirectURI)
	if err != nil {
		t.pages.problem(w, http.StatusInternalServerError, "The registered callback URL is no URL.")
		return
	}
	all := target.Query()
	for name, values := range q {
		all[name] = values
	}
	target.RawQuery = all.Encode()
	w.Header().Set("Location", target.String())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// browser returns the session of the browser that sent r. A browser without one gets a new session, and its cookie.
func (t *Tenant) browser(w http.ResponseWriter, r *http.Request) *browserSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cookie, err := r.Cookie(cookieName); err == nil {
		if session := t.browsers[cookie.Value]; session != nil {
			session.seen = t.cfg.Now()
			return session
		}
	}
	secret := rand.Text()
	session := &browserSession{id: rand.Text(), csrf: rand.Text(), seen: t.cfg.Now()}
	keep(t.browsers, secret, session, session.seen)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // plain http on loopback: a Secure cookie would not come back
		Name: cookieName, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return session
}

// push accepts an authorization request from the client itself (RFC 9126, section 2).
func (t *Tenant) push(w http.ResponseWriter, r *http.Request) {
	client, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	form := url.Values{}
	for name, values := range r.PostForm {
		if !slices.Contains([]string{"client_secret", "client_assertion", "client_assertion_type"}, name) {
			form[name] = values
		}
	}
	form.Set("client_id", client.ID)
	a, shown, code, description := t.parse(form)
	if shown != "" {
		code, description = "invalid_request", shown
	}
	if code != "" || form.Has("request_uri") {
		refuse(w, http.StatusBadRequest, code, description)
		return
	}
	now := t.cfg.Now()
	a.expires = now.Add(time.Minute)
	uri := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	t.mu.Lock()
	keep(t.requests, uri, a, now)
	t.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
}
