package main

import (
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
)

// twoAccounts returns a house whose tenant knows Ada and Charles, and their one browser.
func twoAccounts(t *testing.T, cfg tenant.Config) (h *house.House, browser *cookiejar.Jar) {
	t.Helper()
	h = house.New(t, "http://localhost:1", "BROWSER=true")
	cfg.Rotate = true
	cfg.Clients = []tenant.Client{{
		ID: house.Client, RedirectURIs: []string{h.Base + "/auth/callback"}, PostLogoutRedirectURIs: []string{h.Base},
	}}
	cfg.Users = []tenant.User{
		{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password},
		{Subject: "charles", Email: "charles@example.com", Name: "Charles Babbage", Password: password},
	}
	started, err := tenant.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h.Tenant = started
	h.Configure(started.Issuer(), "[profile.work]", "issuer = '"+started.Issuer()+"'", "client_id = '"+house.Client+"'",
		"base_url = '"+h.Base+"'", "keystore = '"+h.Keystore()+"'")
	browser, err = cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h, browser
}

// logInAs runs a login, and is the person at their browser. It returns the prompt that the provider was sent, and what
// the terminal showed before the URL.
func logInAs(t *testing.T, h *house.House, browser *cookiejar.Jar, who string, args ...string) (prompt, said string) {
	t.Helper()
	running := h.Start(append([]string{"login"}, args...)...)
	var target string
	for target == "" {
		line, err := running.Stderr.ReadString('\n')
		if err != nil {
			t.Fatalf("no URL after %q: %v", said, err)
		}
		if strings.HasPrefix(line, "http://") {
			target = strings.TrimSpace(line)
		} else {
			said += line
		}
	}
	person := tenant.Person{Email: who, Password: password, Jar: browser}
	if _, err := person.Visit(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	running.Line(t, "Logged in as ")
	if err := running.Cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("prompt"), said
}

// Two accounts at one issuer and client, under two profiles and in one browser: each has its session from the login to
// the logout, because the second login asks which account it is for.
func TestTwoAccounts(t *testing.T) {
	t.Parallel()
	h, browser := twoAccounts(t, tenant.Config{})
	if prompt, said := logInAs(t, h, browser, email); prompt != "" || strings.Contains(said, "choose the account") {
		t.Errorf("the first login sends prompt %q: %s", prompt, said)
	}
	prompt, said := logInAs(t, h, browser, "charles@example.com", "-p", "work")
	if prompt != "select_account" ||
		!strings.Contains(said, `Profile "default" is logged in there as Ada Lovelace <ada@example.com>`) {
		t.Errorf("the second login sends prompt %q: %s", prompt, said)
	}
	for profile, name := range map[string]string{"default": "Ada Lovelace", "work": "Charles Babbage"} {
		if got := h.Must("status", "-p", profile); !strings.Contains(got, name) {
			t.Errorf("%s is %s", profile, got)
		}
		h.Must("token", "-p", profile, "--force-refresh")
	}
	if listed := h.Must("sessions"); !strings.Contains(listed, "Ada") || !strings.Contains(listed, "Charles") {
		t.Errorf("sessions: %s", listed)
	}
	h.Must("switch", "work")
	if got := h.Must("status", "--short"); !strings.HasPrefix(got, "work:charles@example.com") {
		t.Errorf("after the switch: %s", got)
	}
	// Who is logged in already is not asked again, and what the person says is what is sent.
	if prompt, _ := logInAs(t, h, browser, "charles@example.com", "-p", "work"); prompt != "" {
		t.Errorf("a login again sends prompt %q", prompt)
	}
	h.Must("logout", "-p", "work", "--no-browser")
	prompt, _ = logInAs(t, h, browser, "charles@example.com", "-p", "work", "--prompt", "consent")
	if prompt != "consent" {
		t.Errorf("--prompt consent sends %q", prompt)
	}
	h.Must("logout", "-p", "work", "--no-browser")
	house.Refused(t, h.Run("token", "-p", "work"), 3)
	h.Must("token", "-p", "default", "--force-refresh")
}

// A provider that does not take the value is not sent it, and one that refuses it is asked again without.
func TestNoChoiceOfAccounts(t *testing.T) {
	t.Parallel()
	h, browser := twoAccounts(t, tenant.Config{Prompts: []string{"none", "login", "consent"}})
	logInAs(t, h, browser, email)
	if prompt, said := logInAs(t, h, browser, email, "-p", "work"); prompt != "" ||
		strings.Contains(said, "select_account") {
		t.Errorf("prompt is %q: %s", prompt, said)
	}
	h, browser = twoAccounts(t, tenant.Config{NoSelectAccount: true})
	logInAs(t, h, browser, email)
	running := h.With("BROWSER="+house.Visitor(t)).Start("login", "-p", "work")
	running.Line(t, "The provider may not know prompt=select_account.")
	running.Line(t, "Logged in as Ada Lovelace")
}
