package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
)

const (
	acme = "https://api.acme.example/"
	job  = "repo:acme/orders:ref:refs/heads/main" // the subject of a CI job
)

// trusting returns a house whose tenant trusts another one, and that one. Both have the house's client, which may have
// tokens for acme and for each other's issuer.
func trusting(t *testing.T) (h *house.House, trusted *tenant.Tenant) {
	t.Helper()
	h = house.New(t, "http://127.0.0.1:1") // configured below
	client := tenant.Client{
		ID: house.Client, RedirectURIs: []string{h.Base + "/auth/callback"}, Audiences: []string{acme},
		Scopes: []string{"read:orders"}, Federated: job,
	}
	start := func(cfg tenant.Config, audiences ...string) *tenant.Tenant {
		client.Audiences = append([]string{acme}, audiences...)
		cfg.Clients = []tenant.Client{client}
		cfg.Users = []tenant.User{{Subject: "ada", Email: house.Email, Name: "Ada Lovelace", Password: house.Password}}
		started, err := tenant.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(started.Close)
		return started
	}
	listener := httptest.NewServer(http.NotFoundHandler()) // an address that is free again
	address := listener.Listener.Addr().String()
	listener.Close()
	trusted = start(tenant.Config{}, "http://"+address)
	keys := map[string]jose.JSONWebKeySet{trusted.Issuer(): trusted.Keys()}
	h.Tenant = start(tenant.Config{Addr: address, Trusted: keys})
	h.Configure(h.Tenant.Issuer())
	return h, trusted
}

// payload returns the claims of a token.
func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	_, rest, _ := strings.Cut(strings.TrimSpace(token), ".")
	middle, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(middle)
	claims := map[string]any{}
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatalf("%q: %v", token, err)
	}
	return claims
}

// The line of docs/tools/ci.md gets a token in each CI for the job, and on a laptop the session's.
func TestCI(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/tools/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`\$\(loopkey (token --ci .*?)\)`).FindAllStringSubmatch(string(page), -1)
	if len(lines) != 2 || lines[0][1] != lines[1][1] {
		t.Fatalf("the page has not one line for both: %q", lines)
	}
	line := strings.Fields(lines[0][1])
	h, ci := trusting(t)
	tokenOf := func(audience string) string {
		token, err := ci.Assert("JWT", map[string]any{
			"iss": ci.Issuer(), "sub": job, "aud": audience,
			"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer request-token" && r.URL.Query().Get("api-version") == "2.0" {
			_ = json.NewEncoder(w).Encode(map[string]any{"value": tokenOf(r.URL.Query().Get("audience"))})
		}
	}))
	t.Cleanup(github.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(tokenOf(h.Tenant.Issuer())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := func(r house.Result, sub string) {
		t.Helper()
		token, ok := strings.CutPrefix(r.Stdout, "Authorization: Bearer ")
		if r.Code != 0 || !ok {
			t.Fatalf("exit %d: %q: %s", r.Code, r.Stdout, r.Stderr)
		}
		if got := payload(t, token); got["sub"] != sub || got["aud"] != acme || got["iss"] != h.Tenant.Issuer() {
			t.Errorf("the token says %v", got)
		}
	}
	jobs := map[string]*house.House{
		"GitHub Actions": h.With("GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=request-token",
			"ACTIONS_ID_TOKEN_REQUEST_URL="+github.URL+"/idtoken?api-version=2.0"),
		"GitLab CI":  h.With("GITLAB_CI=true", "LOOPKEY_CI_TOKEN="+tokenOf(h.Tenant.Issuer())),
		"Kubernetes": h.With("LOOPKEY_CI_TOKEN_FILE=" + file),
	}
	for name, in := range jobs {
		t.Run(name, func(t *testing.T) {
			r := in.Run(line...)
			bearer(r, job)
			if r.Stderr != "" {
				t.Errorf("stderr says %s", r.Stderr)
			}
			bearer(in.Run(append(line, "--jwt-bearer")...), job)
		})
	}

	federated := jobs["Kubernetes"]
	bearer(federated.Run(append(line, "--client-credentials", "--scope", "read:orders")...), house.Client+"@clients")
	house.Refused(t, federated.With("LOOPKEY_CLIENT_SECRET=s3cret").Run(append(line, "--client-credentials")...), 2,
		"leave the client secret")

	house.Refused(t, h.With("GITHUB_ACTIONS=true").Run(line...), 2, "permissions: id-token: write")
	house.Refused(t, h.With("GITLAB_CI=true").Run(line...), 2, "id_tokens: LOOPKEY_CI_TOKEN: aud: "+h.Tenant.Issuer())
	cluster := h.With("LOOPKEY_CI_TOKEN=" + tokenOf("https://kubernetes.default.svc.cluster.local"))
	h.Tenant.Reset()
	house.Refused(t, cluster.Run(line...), 2, "LOOPKEY_CI_TOKEN: ", "for another audience", "--ci-audience")
	if got := h.Tenant.Requests("token"); got != 0 {
		t.Errorf("the cluster's own token was sent %d times", got)
	}

	house.Refused(t, h.Run(line...), 3, "nobody is logged in") // a laptop
	h.Must("login", "--audience", acme)
	bearer(h.Run(line...), "ada")
	r := h.Run(append(line, "--verbose")...)
	if !strings.Contains(r.Stderr, "the session") {
		t.Errorf("--verbose does not say what it used: %s", r.Stderr)
	}
}

// Cross-app access: the session's provider makes an identity assertion, for which the authorization server of another
// profile gives a token. That is kept with the session.
func TestIDJAG(t *testing.T) {
	t.Parallel()
	h, idp := trusting(t)
	h.Configure(h.Tenant.Issuer(), "[profile.work]", "issuer = \""+idp.Issuer()+"\"", "client_id = \""+house.Client+"\"",
		"base_url = \""+h.Base+"\"", "keystore = \""+h.Keystore()+"\"")
	args := []string{"token", "--id-jag", "work", "--audience", acme, "--scope", "read:orders"}
	house.Refused(t, h.Run(args...), 3, `profile "work"`, "run loopkey login -p work")
	h.Must("login", "-p", "work")
	token := h.Must(args...)
	if got := payload(t, token); got["iss"] != h.Tenant.Issuer() || got["sub"] != "ada" || got["aud"] != acme ||
		got["scope"] != "read:orders" {
		t.Errorf("the token says %v", got)
	}
	if again := h.Must(args...); again != token {
		t.Error("the token is not kept")
	}
	if got := h.Tenant.Requests("token"); got != 1 {
		t.Errorf("%d requests, not 1", got)
	}
	h.Must("logout", "-p", "work", "--local")
	house.Refused(t, h.Run(args...), 3, "nobody is logged in")
}
