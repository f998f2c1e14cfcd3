package provider_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/forge"
	"github.com/loopkey/loopkey/provider"
)

const (
	clientID = "tests"
	redirect = "http://localhost:3000/auth/callback"
	verifier = "0123456789012345678901234567890123456789012"
	nonce    = "the nonce of this login"
	api      = "https://api.example.com/"
	scope    = "openid profile email offline_access"
)

func ada() tenant.Person {
	return tenant.Person{Email: "ada@example.com", Password: "x", StopAt: redirect}
}

// start starts a tenant with one client.
func start(t testing.TB, cfg tenant.Config) *tenant.Tenant {
	t.Helper()
	cfg.Clients = append(cfg.Clients, tenant.Client{
		ID: clientID, RedirectURIs: []string{redirect}, PostLogoutRedirectURIs: []string{"http://localhost:3000"},
		Audiences: []string{api},
	})
	cfg.Users = []tenant.User{{Subject: "ada", Email: "ada@example.com", Name: "Ada Lovelace", Password: "x"}}
	started, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	return started
}

func connect(t testing.TB, at *tenant.Tenant, change ...func(*provider.Config)) *provider.Provider {
	t.Helper()
	cfg := provider.Config{Issuer: at.Issuer(), ClientID: clientID, CacheDir: filepath.Join(t.TempDir(), "cache")}
	for _, c := range change {
		c(&cfg)
	}
	p, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit goes through the tenant's pages and returns the parameters of the authorization response.
func visit(t testing.TB, p *provider.Provider, audience string) url.Values {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	target, err := p.AuthorizationURL(t.Context(), provider.AuthorizationRequest{
		RedirectURI: redirect, State: "s", Nonce: nonce, Scope: scope, Audience: audience,
		CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := ada().Visit(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	return back.Query()
}

func login(t testing.TB, p *provider.Provider, audience string) (*provider.Tokens, error) {
	t.Helper()
	code, err := p.CheckResponse(t.Context(), visit(t, p, audience))
	if err != nil {
		return nil, err
	}
	return p.Exchange(t.Context(), provider.CodeExchange{
		Code: code, RedirectURI: redirect, CodeVerifier: provider.NewSecret(verifier), Nonce: nonce,
		Scope: scope, Audience: audience,
	})
}

func mustLogin(t testing.TB, p *provider.Provider, audience string) *provider.Tokens {
	t.Helper()
	tokens, err := login(t, p, audience)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// TestLoginAndRenewal logs in and renews with every algorithm of the tenant.
func TestLoginAndRenewal(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			at := start(t, tenant.Config{Alg: alg, Rotate: true, RequirePAR: alg == "PS256", LeanIDTokens: alg == "ES256"})
			p := connect(t, at)
			tokens := mustLogin(t, p, "")
			if got := tokens.Claims.With(tokens.UserInfo).Text("name"); got != "Ada Lovelace" {
				t.Errorf("name is %q", got)
			}
			if left := time.Until(tokens.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("the access token lives for %v", left)
			}
			renewed, err := p.Refresh(t.Context(), provider.RefreshRequest{
				RefreshToken: tokens.RefreshToken, Subject: "ada", AuthTime: tokens.Claims.Time("auth_time"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if renewed.RefreshToken.Reveal() == tokens.RefreshToken.Reveal() || renewed.Claims.Subject() != "ada" {
				t.Error("the renewal brought no new refresh token, or another person")
			}
			// A refresh token that is used a second time is refused, and so are those that came after it.
			for _, old := range []provider.Secret{tokens.RefreshToken, renewed.RefreshToken} {
				_, err := p.Refresh(t.Context(), provider.RefreshRequest{RefreshToken: old, Subject: "ada"})
				if !errors.Is(err, provider.ErrInvalidGrant) {
					t.Errorf("a used refresh token gets %v", err)
				}
			}
		})
	}
}

// TestForgedIDTokens logs in with ID tokens that the tenant signs with one claim changed, and names the check that
// finds each.
func TestForgedIDTokens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	drop := func(name string) func(map[string]any) {
		return func(claims map[string]any) { delete(claims, name) }
	}
	for name, forged := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"untouched":                     {func(map[string]any) {}, nil},
		"issuer of another":             {set("iss", "https://mallory.example.com/"), provider.ErrIssuer},
		"issuer missing":                {drop("iss"), provider.ErrIssuer},
		"issuer with a slash more":      {func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }, provider.ErrIssuer},
		"audience of another":           {set("aud", "mallory"), provider.ErrAudience},
		"audience missing":              {drop("aud"), provider.ErrAudience},
		"audience empty":                {set("aud", []string{}), provider.ErrAudience},
		"several audiences without azp": {set("aud", []string{clientID, "other"}), provider.ErrAuthorizedParty},
		"several audiences, azp another": {
			func(c map[string]any) { c["aud"], c["azp"] = []string{clientID, "other"}, "other" }, provider.ErrAuthorizedParty,
		},
		"several audiences, azp ours": {
			func(c map[string]any) { c["aud"], c["azp"] = []string{clientID, "other"}, clientID }, nil,
		},
		"azp another":                   {set("azp", "other"), provider.ErrAuthorizedParty},
		"azp not a string":              {set("azp", 7), provider.ErrAuthorizedParty},
		"nonce missing":                 {drop("nonce"), provider.ErrNonce},
		"nonce of another login":        {set("nonce", "another"), provider.ErrNonce},
		"expired":                       {set("exp", now.Add(-2*time.Minute).Unix()), provider.ErrExpired},
		"expiry missing":                {drop("exp"), provider.ErrExpired},
		"expired within the leeway":     {set("exp", now.Add(-20*time.Second).Unix()), nil},
		"issued-at missing":             {drop("iat"), provider.ErrIssuedAt},
		"issued far in the future":      {set("iat", now.Add(10*time.Minute).Unix()), provider.ErrIssuedAt},
		"issued a little in the future": {set("iat", now.Add(30*time.Second).Unix()), nil},
		"subject missing":               {drop("sub"), provider.ErrSubject},
		"subject empty":                 {set("sub", ""), provider.ErrSubject},
		"subject endless":               {set("sub", strings.Repeat("a", 256)), provider.ErrSubject},
		"hash of another access token":  {set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), provider.ErrAccessTokenHash},
		"hash not a string":             {set("at_hash", 1), provider.ErrMalformed},
		"hash missing":                  {drop("at_hash"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := func() time.Time { return now } // the work may take longer than the leeway
			at := start(t, tenant.Config{OnIDToken: forged.change, Now: clock})
			_, err := login(t, connect(t, at, func(cfg *provider.Config) { cfg.Now = clock }), "")
			if forged.want == nil && err != nil || forged.want != nil && !errors.Is(err, forged.want) {
				t.Fatalf("got %v, want %v", err, forged.want)
			}
			if err != nil && !errors.Is(err, provider.ErrUntrusted) {
				t.Errorf("%v is not counted as untrusted", err)
			}
			if err != nil && strings.Contains(err.Error(), "eyJ") {
				t.Errorf("the error holds a token: %v", err)
			}
		})
	}
}

// TestForgedSignatures logs in with token responses that a third party changed.
func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	mallory := forge.OtherRS256().Named("unknown")
	const secret = "a client secret that is long enough for HMAC"
	resign := func(key forge.Key) func(map[string]any) {
		return func(response map[string]any) {
			response["id_token"] = key.Token(forge.Claims(response["id_token"].(string)))
		}
	}
	for name, forged := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"alg none": {func(a map[string]any) {
			a["id_token"] = forge.Unsigned(map[string]any{"alg": "none"}, forge.Claims(a["id_token"].(string)))
		}, provider.ErrAlgorithm},
		"HMAC with the client secret":         {resign(forge.HS256(secret).Named("")), provider.ErrAlgorithm},
		"another's RSA key":                   {resign(mallory), provider.ErrSignature},
		"an algorithm that is not advertised": {resign(mallory.As("PS256")), provider.ErrAlgorithm},
		"a bit of the signature": {func(a map[string]any) {
			token := []byte(a["id_token"].(string))
			at := strings.LastIndex(string(token), ".") + 10
			if token[at] == 'A' { // another letter of base64url, whatever it was
				token[at] = 'B'
			} else {
				token[at] = 'A'
			}
			a["id_token"] = string(token)
		}, provider.ErrSignature},
		"two parts": {
			func(a map[string]any) { a["id_token"] = "eyJhbGciOiJSUzI1NiJ9.e30" }, provider.ErrMalformed,
		},
		"none at all":                 {func(a map[string]any) { delete(a, "id_token") }, provider.ErrMalformed},
		"no access token":             {func(a map[string]any) { delete(a, "access_token") }, provider.ErrMalformed},
		"control character":           {func(a map[string]any) { a["access_token"] = "a\x1b[31m" }, provider.ErrMalformed},
		"token type":                  {func(a map[string]any) { a["token_type"] = "DPoP" }, provider.ErrTokenType},
		"token type missing":          {func(a map[string]any) { delete(a, "token_type") }, provider.ErrTokenType},
		"token type in small letters": {func(a map[string]any) { a["token_type"] = "bearer" }, nil},
		"expires_in negative":         {func(a map[string]any) { a["expires_in"] = -1 }, provider.ErrExpired},
		"expires_in a string":         {func(a map[string]any) { a["expires_in"] = "3600" }, nil},
		"expires_in missing":          {func(a map[string]any) { delete(a, "expires_in") }, nil},
		"expires_in zero":             {func(a map[string]any) { a["expires_in"] = 0 }, nil},
		"expires_in absurd":           {func(a map[string]any) { a["expires_in"] = 1e300 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := start(t, tenant.Config{OnTokenResponse: forged.change})
			tokens, err := login(t, connect(t, at, func(c *provider.Config) { c.CacheDir = "" }), "")
			if forged.want == nil && err != nil || forged.want != nil && !errors.Is(err, forged.want) {
				t.Fatalf("got %v, want %v", err, forged.want)
			}
			if err == nil && (tokens.Expiry.IsZero() || time.Until(tokens.Expiry) > 2*time.Hour) {
				t.Errorf("the access token's expiry is %v: a JWT's exp says an hour", tokens.Expiry)
			}
			if got := at.Requests("keys"); got > 2 {
				t.Errorf("%d requests for keys", got)
			}
		})
	}
}

// TestCheckResponse judges authorization responses (RFC 9207, RFC 6749 section 4.1.2).
func TestCheckResponse(t *testing.T) {
	t.Parallel()
	p := connect(t, start(t, tenant.Config{}))
	own := p.Issuer()
	for name, response := range map[string]struct {
		query url.Values
		want  error
	}{
		"good":                {url.Values{"code": {"c"}, "iss": {own}}, nil},
		"more than asked for": {url.Values{"code": {"c"}, "iss": {own}, "session_state": {"x"}, "x": {"y"}}, nil},
		"iss missing":         {url.Values{"code": {"c"}}, provider.ErrIssuer},
		"iss of another":      {url.Values{"code": {"c"}, "iss": {"https://mallory.example.com"}}, provider.ErrIssuer},
		"iss twice":           {url.Values{"code": {"c"}, "iss": {own, own}}, provider.ErrIssuer},
		"error":               {url.Values{"error": {"access_denied"}, "iss": {own}}, provider.ErrRefused},
		"error of another": {
			url.Values{"error": {"access_denied"}, "iss": {"https://mallory.example.com"}}, provider.ErrIssuer,
		},
		"error and code": {url.Values{"error": {"x"}, "code": {"c"}, "iss": {own}}, provider.ErrRefused},
		"neither":        {url.Values{"iss": {own}}, provider.ErrMalformed},
		"two codes":      {url.Values{"code": {"a", "b"}, "iss": {own}}, provider.ErrMalformed},
		"empty code":     {url.Values{"code": {""}, "iss": {own}}, provider.ErrMalformed},
	} {
		_, err := p.CheckResponse(t.Context(), response.query)
		if !errors.Is(err, response.want) || response.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, response.want)
		}
	}
}

// TestRenewalOfAnother renews, and gets an ID token about another user, provider, client or authentication.
func TestRenewalOfAnother(t *testing.T) {
	t.Parallel()
	for name, forged := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"subject":   {func(c map[string]any) { c["sub"] = "charles" }, provider.ErrSubject},
		"issuer":    {func(c map[string]any) { c["iss"] = "https://mallory.example.com" }, provider.ErrIssuer},
		"audience":  {func(c map[string]any) { c["aud"] = "mallory" }, provider.ErrAudience},
		"auth_time": {func(c map[string]any) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() }, provider.ErrAuthTime},
		"none":      {func(map[string]any) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lie := false
			at := start(t, tenant.Config{OnIDToken: func(c map[string]any) {
				if lie {
					forged.change(c)
				}
			}})
			p := connect(t, at)
			tokens := mustLogin(t, p, "")
			lie = true
			_, err := p.Refresh(t.Context(), provider.RefreshRequest{
				RefreshToken: tokens.RefreshToken, Subject: "ada", AuthTime: tokens.Claims.Time("auth_time"),
			})
			if !errors.Is(err, forged.want) || forged.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, forged.want)
			}
		})
	}
}

// TestSilentAudience: Auth0 sends a token for another audience without an error.
func TestSilentAudience(t *testing.T) {
	t.Parallel()
	at := start(t, tenant.Config{Auth0: true})
	p := connect(t, at, func(c *provider.Config) { c.Auth0 = true })
	tokens := mustLogin(t, p, api)
	const other = "https://other.example.com/"
	_, err := p.Refresh(t.Context(), provider.RefreshRequest{
		RefreshToken: tokens.RefreshToken, Subject: "ada", Audience: other,
	})
	got, want := provider.Diagnose(err), provider.Diagnosis{Reason: provider.ReasonAudienceNotRenewed, Audience: other}
	if !errors.Is(err, provider.ErrAudience) || got != want {
		t.Errorf("got %v (%+v)", err, got)
	}
}

// TestRequests counts the requests of logins and renewals.
func TestRequests(t *testing.T) {
	t.Parallel()
	at := start(t, tenant.Config{CacheControl: "public, max-age=15"}) // Auth0's own
	dir := filepath.Join(t.TempDir(), "cache")
	fresh := func() *provider.Provider { // as a new process
		return connect(t, at, func(c *provider.Config) { c.CacheDir = dir })
	}
	count := func(what string, want map[string]int) {
		t.Helper()
		for _, endpoint := range []string{"discovery", "keys", "token", "userinfo"} {
			if got := at.Requests(endpoint); got != want[endpoint] {
				t.Errorf("%s: %d requests to %s, not %d", what, got, endpoint, want[endpoint])
			}
		}
		at.Reset()
	}
	tokens := mustLogin(t, fresh(), "")
	count("the first login", map[string]int{"discovery": 1, "keys": 1, "token": 1})
	mustLogin(t, fresh(), "")
	count("the next login", map[string]int{"token": 1})
	renew := func() {
		t.Helper()
		r := provider.RefreshRequest{RefreshToken: tokens.RefreshToken, Subject: "ada"}
		if _, err := fresh().Refresh(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	count("a renewal", map[string]int{"token": 1})
	// Rotated keys are fetched once, when a key ID is not known.
	at.RotateKeys()
	renew()
	count("a renewal after the keys rotated", map[string]int{"token": 1, "keys": 1})
	// The cache is a private file.
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the cache holds %v: %v", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the cache's mode is %v: %v", info.Mode(), err)
	}
	// A broken cache, or another issuer's, is fetched anew.
	for _, content := range []string{"", "{", `{"issuer":"https://mallory.example.com/"}`} {
		if err := os.WriteFile(filepath.Join(dir, entries[0].Name()), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		renew()
		count("a renewal with a broken cache", map[string]int{"token": 1, "discovery": 1, "keys": 1})
	}
}

// TestRefusals refreshes, and gets refusals in many forms. Only invalid_grant may end a session.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, response := range map[string]struct {
		status    int
		body      string
		want      error
		maybeSent bool
	}{
		"invalid_grant": {400, `{"error":"invalid_grant"}`, provider.ErrInvalidGrant, false},
		"as Auth0 does": {
			403, `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`,
			provider.ErrInvalidGrant, false,
		},
		"empty body":          {400, ``, provider.ErrRefused, false},
		"HTML":                {403, `<h1>no</h1>`, provider.ErrRefused, false},
		"error is an object":  {400, `{"error":{"code":"nope","message":"no"}}`, provider.ErrRefused, false},
		"500":                 {500, `{"error":"invalid_grant"}`, provider.ErrUnreachable, true},
		"503":                 {503, ``, provider.ErrUnreachable, false},
		"429":                 {429, ``, provider.ErrUnreachable, false},
		"redirect":            {302, ``, provider.ErrRefused, false},
		"200 that is no JSON": {200, `hello`, provider.ErrUntrusted, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := start(t, tenant.Config{Intercept: func(endpoint string, w http.ResponseWriter, _ *http.Request) bool {
				if endpoint != "token" {
					return false
				}
				w.Header().Set("Location", "http://127.0.0.1:9/")
				w.WriteHeader(response.status)
				_, _ = w.Write([]byte(response.body))
				return true
			}})
			_, err := connect(t, at).Refresh(t.Context(), provider.RefreshRequest{
				RefreshToken: provider.NewSecret("secret-refresh-token"), Subject: "ada",
			})
			if !errors.Is(err, response.want) {
				t.Fatalf("got %v, want %v", err, response.want)
			}
			if !errors.Is(response.want, provider.ErrInvalidGrant) && errors.Is(err, provider.ErrInvalidGrant) {
				t.Error("this must not end a session")
			}
			if provider.MaybeSent(err) != response.maybeSent {
				t.Errorf("maybe sent: %v", provider.MaybeSent(err))
			}
			if strings.Contains(err.Error(), "secret-refresh-token") {
				t.Errorf("the error holds the refresh token: %v", err)
			}
			if at.Requests("token") != 1 {
				t.Errorf("%d requests, not 1", at.Requests("token"))
			}
		})
	}
}

// TestIssuers configures issuers that can and can't be used.
func TestIssuers(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://acme.eu.auth0.com/": true, "https://accounts.example.com": true,
		"http://127.0.0.1:8080/x": true, "http://[::1]:1": true,
		"http://provider.example.com": false, "ftp://x": false, "": false, "acme": false, "https://u:p@x.example.com": false,
		"https://x.example.com?y": false, "https://x.example.com#y": false, "http://127.0.0.1.example.com": false,
	} {
		if _, err := provider.New(provider.Config{Issuer: issuer, ClientID: "c"}); (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	// The issuer is compared to the letter: with a slash more it is another one.
	at := start(t, tenant.Config{Path: "/realm"})
	p, err := provider.New(provider.Config{Issuer: at.Issuer() + "/", ClientID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Warm(t.Context())
	want := provider.Diagnosis{Reason: provider.ReasonIssuerName, Issuer: at.Issuer()}
	if !errors.Is(err, provider.ErrIssuer) || provider.Diagnose(err) != want {
		t.Errorf("got %v (%+v)", err, provider.Diagnose(err))
	}
}

// TestLogoutTokens verifies logout tokens that the tenant signed.
func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	at := start(t, tenant.Config{})
	p := connect(t, at)
	for name, c := range map[string]struct {
		change func(map[string]any)
		ok     bool
	}{
		"good":        {nil, true},
		"by session":  {func(c map[string]any) { delete(c, "sub"); c["sid"] = "s" }, true},
		"nonce":       {func(c map[string]any) { c["nonce"] = "n" }, false},
		"no event":    {func(c map[string]any) { delete(c, "events") }, false},
		"other event": {func(c map[string]any) { c["events"] = map[string]any{"x": map[string]any{}} }, false},
		"event no object": {func(c map[string]any) {
			c["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": "x"}
		}, false},
		"nobody":       {func(c map[string]any) { delete(c, "sub") }, false},
		"other client": {func(c map[string]any) { c["aud"] = "mallory" }, false},
		"other issuer": {func(c map[string]any) { c["iss"] = "https://mallory.example.com" }, false},
		"old":          {func(c map[string]any) { c["iat"] = time.Now().Add(-time.Hour).Unix() }, false},
		"of tomorrow":  {func(c map[string]any) { c["iat"] = time.Now().Add(24 * time.Hour).Unix() }, false},
		"expired":      {func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, false},
		"no ID":        {func(c map[string]any) { delete(c, "jti") }, false},
		"no issued-at": {func(c map[string]any) { delete(c, "iat") }, false},
	} {
		raw, err := at.LogoutToken(clientID, "ada", "", c.change)
		if err != nil {
			t.Fatal(err)
		}
		token, err := p.VerifyLogoutToken(t.Context(), raw)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && token.ID == "" {
			t.Errorf("%s: no ID", name)
		}
	}
}

// TestUnreachable asks a provider that is not there.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	p, err := provider.New(provider.Config{Issuer: "http://127.0.0.1:9", ClientID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Warm(t.Context())
	if !errors.Is(err, provider.ErrUnreachable) || provider.MaybeSent(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Warm(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestOAuth2 hands tokens to package golang.org/x/oauth2.
func TestOAuth2(t *testing.T) {
	t.Parallel()
	tokens := mustLogin(t, connect(t, start(t, tenant.Config{})), "")
	got := tokens.OAuth2()
	if got.AccessToken != tokens.AccessToken.Reveal() || got.RefreshToken != tokens.RefreshToken.Reveal() ||
		got.Type() != "Bearer" || !got.Expiry.Equal(tokens.Expiry) || !got.Valid() {
		t.Errorf("got %+v", got)
	}
	if got.Extra("id_token") != tokens.IDToken.Reveal() || got.Extra("scope") != tokens.Scope || tokens.Scope == "" {
		t.Errorf("id_token %v, scope %v", got.Extra("id_token"), got.Extra("scope"))
	}
	empty := (&provider.Tokens{}).OAuth2()
	if empty.Valid() || empty.Extra("id_token") != nil || !empty.Expiry.IsZero() {
		t.Errorf("got %+v", empty)
	}
	// A token whose expiry is not known does not expire, as package oauth2 has it.
	unknown := &provider.Tokens{AccessToken: provider.NewSecret("a"), TokenType: "Bearer"}
	if got := unknown.OAuth2(); !got.Valid() {
		t.Errorf("got %+v", got)
	}
}
