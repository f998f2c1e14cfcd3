package provider

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Where a login would end is told from what providers send to a browser that nobody is logged in with.
func TestProbe(t *testing.T) {
	t.Parallel()
	const callback = "http://localhost:3000/auth/callback"
	page := func(status int, html string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(html))
		}
	}
	to := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", strings.ReplaceAll(target, "STATE", r.URL.Query().Get("state")))
			w.WriteHeader(http.StatusFound)
		}
	}
	google := base64.URLEncoding.EncodeToString([]byte("\n\x15redirect_uri_mismatch\x12\x10no such redirect"))
	for name, c := range map[string]struct {
		authorize http.HandlerFunc
		then      http.HandlerFunc // of /then
		landing   Landing
		reason    Reason
		check     error
	}{
		"a login page":         {authorize: page(200, `<form><input name="redirect_uri"></form>`), landing: LandsAtLogin},
		"Auth0: to its login":  {authorize: to("/then?state=x"), then: page(200, "Log in"), landing: LandsAtLogin},
		"to another provider":  {authorize: to("https://login.example.com/"), landing: LandsAtLogin},
		"to itself for ever":   {authorize: to("/authorize?client_id=x"), landing: LandsAtLogin},
		"asks by HTTP":         {authorize: basic, landing: LandsAtLogin},
		"needs its own cookie": {authorize: cookied(to("/then")), then: wantsCookie, landing: LandsAtLogin},
		"login_required": {
			authorize: to(callback + "?error=login_required&state=STATE"), landing: LandsAtCallback,
			reason: ReasonInteractionRequired,
		},
		"a code at once": {authorize: to(callback + "?code=secret&state=STATE"), landing: LandsAtCallback},
		"a query beside": {
			authorize: to(callback + "?code=secret&state=STATE&more=1"), landing: LandsAtCallback,
		},
		"another state": {authorize: to(callback + "?code=c&state=x"), landing: LandsAtCallback, check: ErrMalformed},
		"no state":      {authorize: to(callback + "?code=c"), landing: LandsAtCallback, check: ErrMalformed},
		"another issuer's code": {
			authorize: to(callback + "?code=c&state=STATE&iss=x"), landing: LandsAtCallback, check: ErrIssuer,
		},
		"Auth0: callback": {
			authorize: page(403, "<h1>Callback URL mismatch.</h1>The provided redirect_uri is not in the list"),
			landing:   LandsAtError, reason: ReasonCallbackNotAllowed,
		},
		"Keycloak: callback": {
			authorize: page(400, "<p>Invalid parameter: redirect_uri</p>"), landing: LandsAtError,
			reason: ReasonCallbackNotAllowed,
		},
		"Keycloak: client": {
			authorize: page(400, `<a href="/?redirect_uri=x">x</a><p>Client not found.</p>`), landing: LandsAtError,
			reason: ReasonUnknownClient,
		},
		"Cognito: callback": {
			authorize: to("/error?error=redirect_mismatch&client_id=x"), landing: LandsAtError, reason: ReasonCallbackNotAllowed,
		},
		"Google: callback": {
			authorize: to("/signin/oauth/error?authError=" + url.QueryEscape(google)), landing: LandsAtError,
			reason: ReasonCallbackNotAllowed,
		},
		"Entra ID: callback": {
			authorize: page(200, `<script>$Config={"strServiceExceptionMessage":"AADSTS50011: The redirect URI"}</script>`),
			landing:   LandsAtError, reason: ReasonCallbackNotAllowed,
		},
		"Entra ID: client": {
			authorize: page(400, `<script>$Config={"x":"AADSTS700016: Application with identifier"}</script>`),
			landing:   LandsAtError, reason: ReasonUnknownClient,
		},
		"JSON": {
			authorize: page(400, `{"error":"invalid_client","error_description":"unknown client \u001b[2J"}`),
			landing:   LandsAtError, reason: ReasonUnknownClient,
		},
		"an error page of few words": {authorize: page(400, "Oops"), landing: LandsAtError},
		"an error page by redirect":  {authorize: to("https://errors.example.com/?error=x"), landing: LandsAtError},
		"a script about a callback": {
			authorize: page(400, `<script>x="redirect_uri"</script><style>client_id{}</style>Oops`), landing: LandsAtError,
		},
		"a tag that does not end": {authorize: page(400, `Oops <script`), landing: LandsAtError},
		"to nowhere":              {authorize: to(""), check: ErrMalformed},
		"down":                    {authorize: page(502, "Oops"), check: ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.handle["/authorize"], f.handle["/then"] = c.authorize, c.then
			p := must(New(Config{Issuer: f.URL, ClientID: fakeClient, CacheDir: t.TempDir()}))
			landing, err := p.Probe(t.Context(), AuthorizationRequest{
				RedirectURI: callback, State: "of-this-request", CodeChallenge: "x", Scope: "openid",
			})
			if landing != c.landing || Diagnose(err).Reason != c.reason {
				t.Errorf("it lands at %q: %v", landing, err)
			}
			if c.check != nil && !errors.Is(err, c.check) || c.check == nil && c.reason == "" &&
				(err != nil) != (landing == LandsAtError) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b") {
				t.Errorf("got %q", err)
			}
		})
	}
}

func basic(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("WWW-Authenticate", "Negotiate")
	w.WriteHeader(http.StatusUnauthorized)
}

// cookied sets a cookie beside what a handler does.
func cookied(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "here", Value: "1", Path: "/"})
		handle(w, r)
	}
}

func wantsCookie(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("here"); err != nil {
		http.Error(w, "cookies are off", http.StatusBadRequest)
	}
}

// Nothing is asked at the callback, or at another origin than the provider's own.
func TestProbeStaysThere(t *testing.T) {
	t.Parallel()
	elsewhere := newFake(t)
	for _, path := range []string{"/auth/callback", "/login"} {
		f := newFake(t)
		f.handle["/authorize"] = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+path+"?code=c&state=s", http.StatusSeeOther)
		}
		p := must(New(Config{Issuer: f.URL, ClientID: fakeClient}))
		if _, err := p.Probe(t.Context(), AuthorizationRequest{
			RedirectURI: elsewhere.URL + "/auth/callback", State: "s",
		}); err != nil {
			t.Error(err)
		}
	}
	if len(elsewhere.asked) > 0 {
		t.Errorf("it asked for %v", elsewhere.asked)
	}
}
