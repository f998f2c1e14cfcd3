package hostile

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// google changes a provider to one as Google is: it knows no offline_access and refuses the whole login for it, and
// gives a refresh token only to those who ask with access_type=offline.
func google(p *Provider) {
	p.Lie(Lies{Discovery: set("scopes_supported", []string{"openid", "email", "profile"})})
	offline := false
	p.On(Authorize, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Query().Get("scope"), "offline_access") {
			http.Error(w, "Error 400: invalid_scope", http.StatusBadRequest)
			return true
		}
		offline = r.URL.Query().Get("access_type") == "offline"
		return false
	})
	p.On(Token, func(http.ResponseWriter, *http.Request) bool {
		lies := Lies{Discovery: set("scopes_supported", []string{"openid", "email", "profile"})}
		if !offline {
			lies.Token = without("refresh_token")
		}
		p.Lie(lies)
		return false
	})
}

// Parameters of the provider's own go to its authorization endpoint, from flags and from the profile.
func TestParams(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Configure(p.Issuer(), "[profile.default.params]", `kc_idp_hint = "azure"`, `hd = "example.com"`)
	const claims = `{"id_token":{"email":{"essential":true}}}`
	h.Must(
		"login", "--param", "access_type=offline", "--param", "claims="+claims, "--param", "hd=other.example.com", "--prompt",
		"consent",
	)
	q := p.Queries()[0]
	for name, want := range map[string]string{
		"access_type": "offline", "claims": claims, "hd": "other.example.com", "kc_idp_hint": "azure", "prompt": "consent",
	} {
		if got := q[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s was sent as %q, not %q", name, got, want)
		}
	}
	h.Must("login", "--param", "hd=")
	if q := p.Queries()[1]; q.Has("hd") || q.Get("kc_idp_hint") != "azure" {
		t.Errorf("an empty --param does not take the profile's away: %v", q)
	}

	// A pushed request has them too.
	p.Lie(Lies{Discovery: set("require_pushed_authorization_requests", true)})
	h = house.New(t, p.Issuer())
	h.Must("login", "--param", "domain_hint=example.com")
	if p.Requests(Push) != 1 || p.Queries()[2].Get("domain_hint") != "example.com" {
		t.Errorf("the pushed request lacks the parameter: %v", p.Queries()[2])
	}
}

// What a login sets itself nobody else may set, however it is spelt; nor is a wish dropped in silence.
func TestParamsRefused(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	for _, name := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"audience", "resource", "response_mode", "request", "request_uri", "Redirect_URI", "client_secret",
	} {
		r := h.Run("login", "--param", name+"=hunter2")
		house.Refused(t, r, 2, "--param", name)
		if strings.Contains(r.Stderr, "hunter2") {
			t.Errorf("the value is shown: %s", r.Stderr)
		}
	}
	house.Refused(t, h.Run("login", "--param", "hd"), 2, "NAME=VALUE")
	house.Refused(t, h.Run("login", "--param", "=x"), 2, "name")
	house.Refused(t, h.Run("login", "--param", "hd=a", "--param", "hd=b"), 2, "hd", "second time")
	house.Refused(t, h.Run("login", "--param", "max_age=soon"), 2, "max_age")
	house.Refused(t, h.Run("login", "--param", "prompt=none", "--prompt", "consent"), 2, "--prompt")
	house.Refused(t, h.Run("login", "--param", "hd=a", "--device"), 2, "--device can't carry --param")
	house.Refused(t, h.Run("serve", "--param", "state=a"), 2, "state")
	h.Configure(p.Issuer(), "[profile.default.params]", `nonce = "x"`)
	house.Refused(t, h.Run("login"), 2, "params.nonce", "config.toml")
	h.Configure(p.Issuer(), "[profile.default.params]", `max_age = 7`)
	house.Refused(t, h.Run("login"), 2, "params.max_age", "text in quotes")
	h.Configure(p.Issuer(), `params = "hd=x"`)
	house.Refused(t, h.Run("login"), 2, "params", "table")
	if n := p.Requests(Authorize); n != 0 {
		t.Errorf("%d authorization requests were made", n)
	}

	// A .env sets none.
	h.Configure(p.Issuer())
	env := "LOOPKEY_PARAM=hd=x\nLOOPKEY_PARAMS=hd=x\nPARAM=hd=x\nPARAMS=hd=x\n"
	if err := os.WriteFile(filepath.Join(h.Dir, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	login := h.Command(t.Context(), "login")
	login.Dir = h.Dir
	if r := h.Finish(login); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	if q := p.Queries()[0]; q.Has("hd") {
		t.Errorf("./.env set a parameter: %v", q)
	}
}

// The web UI's logins carry the profile's parameters, and those of serve --param.
func TestParamsServed(t *testing.T) {
	t.Parallel()
	p := Start(t)
	h := house.New(t, p.Issuer())
	h.Configure(p.Issuer(), "[profile.default.params]", `kc_idp_hint = "azure"`)
	h.Serve("--param", "access_type=offline")
	_, at, _ := get(t, h.Base+"/auth/login?prompt=consent")
	q := at.Query()
	if q.Get("access_type") != "offline" || q.Get("kc_idp_hint") != "azure" || q.Get("prompt") != "consent" {
		t.Errorf("the browser is sent to %s", at)
	}
}

// Google works: offline_access is left out, with a word, and access_type=offline brings a refresh token.
func TestGoogle(t *testing.T) {
	t.Parallel()
	p := Start(t)
	google(p)
	h := house.New(t, p.Issuer())
	r := h.Run("login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "offline_access is left out") ||
		!strings.Contains(r.Stderr, "--param access_type=offline") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	r = h.Run("login", "--param", "access_type=offline", "--prompt", "consent") // what it said
	if r.Code != 0 || strings.Contains(r.Stderr, "No refresh token") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	h.Must("token", "--force-refresh")
	if got := p.Queries()[1].Get("scope"); got != "openid profile email" {
		t.Errorf("the scope is %q", got)
	}
	// The choice of the person is sent as it is.
	p.On(Authorize, nil)
	r = h.Run("login", "--scope", "openid offline_access calendar")
	if got := p.Queries()[2].Get("scope"); r.Code != 0 || got != "openid offline_access calendar" ||
		strings.Contains(r.Stderr, "left out") {
		t.Errorf("the scope is %q: %s", got, r.Stderr)
	}
}
