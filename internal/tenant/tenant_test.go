package tenant

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A person with a browser comes back to the client with what the tenant and the person decided.
func TestVisit(t *testing.T) {
	t.Parallel()
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("query: " + r.URL.RawQuery))
	}))
	t.Cleanup(client.Close)
	callback := client.URL + "/cb"
	started, err := Start(t.Context(), Config{
		Clients: []Client{{ID: "c", RedirectURIs: []string{callback}}},
		Users:   []User{{Subject: "ada", Email: "a@b", Password: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	authorizationURL := started.Issuer() + "/authorize?" + url.Values{
		"client_id": {"c"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {"WSN_gJU3IhHnZvbWXnkUXh8cgr8klnyVMLH8OcMlYZo"}, "code_challenge_method": {"S256"},
	}.Encode()
	for name, c := range map[string]struct {
		person   Person
		response string // a parameter that the client has to get
		status   int
	}{
		"allowed":  {Person{Email: "a@b", Password: "p"}, "code=", http.StatusOK},
		"declined": {Person{Email: "a@b", Password: "p", Deny: true}, "error=access_denied", http.StatusOK},
		"stopped":  {Person{Email: "a@b", Password: "p", StopAt: callback}, "code=", 0},
	} {
		visit, err := c.person.Visit(t.Context(), authorizationURL)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, parameter := range []string{c.response, "state=s", "iss=" + url.QueryEscape(started.Issuer())} {
			if !strings.HasPrefix(visit.URL, callback+"?") || !strings.Contains(visit.URL, parameter) {
				t.Errorf("%s: the visit ended at %s, without %s", name, visit.URL, parameter)
			}
		}
		if visit.Status != c.status || c.status != 0 && !strings.HasPrefix(visit.Body, "query: ") {
			t.Errorf("%s: the client's page is %d: %s", name, visit.Status, visit.Body)
		}
	}
	if _, err := (Person{Email: "a@b", Password: "wrong"}).Visit(t.Context(), authorizationURL); err == nil {
		t.Error("a wrong password logs in")
	}
}
