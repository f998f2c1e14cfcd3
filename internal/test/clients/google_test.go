package clients_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2/google/externalaccount"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

// Google's own library for Go runs the command of docs/tools/google.md, and trades the ID token at a service that
// verifies it.
func TestGoogle(t *testing.T) {
	h := clients.LoggedIn(t, clients.Block(t, "google.md", "toml"))
	issuer, err := oidc.NewProvider(t.Context(), h.Tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	verifier := issuer.Verifier(&oidc.Config{ClientID: house.Client})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := verifier.Verify(r.Context(), r.PostFormValue("subject_token")); err != nil {
			http.Error(w, "the token can't be verified", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"ya29","issued_token_type":"x","token_type":"Bearer","expires_in":3600}`))
	}))
	t.Cleanup(service.Close)
	var file struct {
		Audience         string `json:"audience"`
		SubjectTokenType string `json:"subject_token_type"`
		Source           struct {
			Executable struct {
				Command string `json:"command"`
			} `json:"executable"`
		} `json:"credential_source"`
	}
	if err := json.Unmarshal([]byte(clients.Block(t, "google.md", "json")), &file); err != nil {
		t.Fatal(err)
	}
	// The library runs the command in the environment of this process.
	for _, pair := range h.Env {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			t.Setenv(name, value)
		}
	}
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	token := func(audience string) (string, error) {
		source, err := externalaccount.NewTokenSource(t.Context(), externalaccount.Config{
			Audience: audience, SubjectTokenType: file.SubjectTokenType, TokenURL: service.URL,
			Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
			CredentialSource: &externalaccount.CredentialSource{
				Executable: &externalaccount.ExecutableConfig{Command: file.Source.Executable.Command},
			},
		})
		if err != nil {
			return "", err //nolint:wrapcheck // a test
		}
		got, err := source.Token()
		if err != nil {
			return "", err //nolint:wrapcheck // a test
		}
		return got.AccessToken, nil
	}
	if got, err := token(file.Audience); got != "ya29" || err != nil {
		t.Errorf("the library gets %q, %v", got, err)
	}
	if _, err := token("//evil.example/x"); err == nil || !strings.Contains(err.Error(), "(host_not_listed) loopkey: ") {
		t.Errorf("a host that is not listed: %v", err)
	}
	h.Must("logout", "--local")
	if _, err := token(file.Audience); err == nil || !strings.Contains(err.Error(), "(not_logged_in) loopkey: ") ||
		!strings.Contains(err.Error(), "run loopkey login") {
		t.Errorf("nobody is logged in: %v", err)
	}
	command := strings.Fields(file.Source.Executable.Command)
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // it ends by itself
	cmd.Env = append(os.Environ(), "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE="+file.Audience)
	out, err := cmd.CombinedOutput() // Google's library for Python reads stderr too
	if err != nil || !json.Valid(out) || !strings.Contains(string(out), `"success":false`) {
		t.Errorf("without a token type: %s, %v", out, err)
	}
}
