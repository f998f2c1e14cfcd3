package hostile

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// A provider whose metadata is not under its issuer, as those of Azure B2C, IDCS and authentik are.
func TestDiscoveryURL(t *testing.T) {
	t.Parallel()
	p := Start(t)
	// The issuer's own place has nothing; the metadata is elsewhere, under a query.
	p.On(Discovery, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("p") == "B2C_1_in" {
			return false
		}
		http.NotFound(w, r)
		return true
	})
	at, err := url.Parse(p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(at)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/tenant/.well-known/openid-configuration" {
			http.NotFound(w, r)
			return
		}
		r.URL.Path = "/.well-known/openid-configuration"
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	metadata := elsewhere.URL + "/tenant/.well-known/openid-configuration?p=B2C_1_in"

	h := house.New(t, p.Issuer())
	house.Refused(t, h.Run("login"), 4, "--discovery-url")
	env := "LOOPKEY_DISCOVERY_URL=" + metadata + "\nDISCOVERY_URL=" + metadata + "\n"
	if err := os.WriteFile(filepath.Join(h.Dir, ".env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	strange := h.Command(t.Context(), "login")
	strange.Dir = h.Dir
	house.Refused(t, h.Finish(strange), 4, "--discovery-url")
	for _, wrong := range []string{
		"http://login.example.com/x", "login.example.com", "https://user@login.example.com/", "https://a/#b",
	} {
		house.Refused(t, h.Run("login", "--discovery-url", wrong), 2, "--discovery-url")
	}

	h.Must("login", "--discovery-url", metadata)
	// Later commands need no flag, and discovery is cached: whatever the issuer, the profile and the environment say.
	p.Reset()
	h.Must("token", "--force-refresh")
	h.Must("login")
	if n := p.Requests(Discovery); n != 0 {
		t.Errorf("the cache is not used: %d requests", n)
	}
	if err := os.RemoveAll(filepath.Join(h.Dir, ".cache")); err != nil {
		t.Fatal(err)
	}
	h.Must("token", "--force-refresh")
	if n := p.Requests(Discovery); n != 1 {
		t.Errorf("%d requests for discovery", n)
	}
	h.Must("logout", "--no-browser")
	h.Configure(p.Issuer(), "discovery_url = \""+metadata+"\"")
	h.Must("login")
	h.Must("logout", "--all", "--no-browser")

	// The issuer is compared to the letter, as ever, and another issuer gets no profile's discovery URL.
	p.Lie(Lies{Discovery: set("issuer", p.Issuer()+"/")})
	house.Refused(t, h.Run("login", "--discovery-url", metadata+"&again"), 4, "issuer", p.Issuer()+"/")
	p.Lie(Lies{})
	other := Start(t)
	h.Must("login", "--issuer", other.Issuer())
	if n := other.Requests(Discovery); n != 1 {
		t.Errorf("another issuer was asked %d times", n)
	}
	if strings.Contains(h.Must("status", "--issuer", other.Issuer()), p.Issuer()) {
		t.Error("the session is another issuer's")
	}
}
