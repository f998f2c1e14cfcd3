package tenant

import (
	"io"
	"net/http"
	"net/http/cookiejar"
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

// Only a tenant that says so logs somebody in by one click, and only from its own page.
func TestOneClick(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		oneClick, foreign bool
		as                string
		status            int
	}{
		"one click":       {oneClick: true, as: "a@b", status: http.StatusSeeOther},
		"of nobody":       {oneClick: true, as: "x@b", status: http.StatusOK},
		"of another page": {oneClick: true, foreign: true, as: "a@b", status: http.StatusForbidden},
		"where it is off": {as: "a@b", status: http.StatusOK},
	} {
		started, err := Start(t.Context(), Config{
			OneClick: c.oneClick, Alg: "ES256",
			Clients: []Client{{ID: "c", RedirectURIs: []string{"http://localhost:1/cb"}}},
			Users:   []User{{Subject: "ada", Name: "Ada", Email: "a@b", Password: "p"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(started.Close)
		jar, _ := cookiejar.New(nil)
		browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		at := started.Issuer() + "/authorize?" + url.Values{
			"client_id": {"c"}, "redirect_uri": {"http://localhost:1/cb"}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {"WSN_gJU3IhHnZvbWXnkUXh8cgr8klnyVMLH8OcMlYZo"}, "code_challenge_method": {"S256"},
		}.Encode()
		page := fetch(t, browser, http.MethodGet, at, nil)
		if shown := strings.Contains(page.body, `value="a@b">Continue as Ada</button>`); shown != c.oneClick {
			t.Errorf("%s: the page has a button for Ada: %v", name, shown)
		}
		form := url.Values{"as": {c.as}}
		if !c.foreign {
			form.Set("csrf", inputTag().FindStringSubmatch(page.body)[1])
			form.Set("csrf", attributes(form.Get("csrf"))["value"])
		}
		if got := fetch(t, browser, http.MethodPost, at, form); got.status != c.status {
			t.Errorf("%s: %d, not %d", name, got.status, c.status)
		}
	}
}

type fetched struct {
	status int
	body   string
}

func fetch(t *testing.T, browser *http.Client, method, target string, form url.Values) fetched {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fetched{resp.StatusCode, string(body)}
}
