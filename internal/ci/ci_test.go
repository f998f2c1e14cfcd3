package ci

import (
	"strings"
	"testing"
	"time"
)

// The token that asks GitHub Actions for an ID token goes to a host of GitHub's, to the server that runs the job, or
// to a loopback address.
func TestGitHub(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, server string
		ok          bool
	}{
		{"https://pipelines.actions.githubusercontent.com/x?api-version=2.0", "https://github.com", true},
		{"https://RUN.actions.githubusercontent.com:443/x", "", true},
		{"https://github.acme.example/_services/token", "https://github.acme.example", true},
		{"https://token.actions.acme.ghe.com/x", "https://acme.ghe.com", true},
		{"http://127.0.0.1:8080/x", "https://github.com", true},
		{"http://[::1]:8080/x", "", true},
		{"http://pipelines.actions.githubusercontent.com/x", "https://github.com", false},
		{"https://actions.githubusercontent.com.evil.example/x", "https://github.com", false},
		{"https://evilactions.githubusercontent.com/x", "https://github.com", false},
		{"https://evil.github.com/x", "https://github.com", false},
		{"https://evil.example/x", "http://evil.example", false},
		{"https://evil.example/x", "https://example", false},
		{"https://evilgithub.acme.example/x", "https://github.acme.example", false},
		{"https://user:secret@pipelines.actions.githubusercontent.com/", "", false},
		{"https://pipelines.actions.githubusercontent.com/#x", "", false},
		{"file:///etc/passwd", "", false}, {"", "", false}, {"://", "", false},
	} {
		if _, err := parseRequest(c.url, c.server); (err == nil) != c.ok {
			t.Errorf("%q on %q: %v", c.url, c.server, err)
		}
	}
}

// What lies ready counts before what is asked for, and two answers are none.
func TestFind(t *testing.T) {
	t.Parallel()
	find := func(pairs ...string) (*Job, error) {
		return Find(func(name string) string {
			for _, pair := range pairs {
				if value, ok := strings.CutPrefix(pair, name+"="); ok {
					return value
				}
			}
			return ""
		}, time.Now)
	}
	const url, token = "ACTIONS_ID_TOKEN_REQUEST_URL=https://a.actions.githubusercontent.com/",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN=t"
	for _, c := range []struct {
		env    []string
		source string // "": there is none
		fails  bool
	}{
		{nil, "", false},
		{[]string{"CI=true"}, "", false},
		{[]string{url, token, "GITHUB_ACTIONS=true"}, "GitHub Actions", false},
		{[]string{url, token, "LOOPKEY_CI_TOKEN=x"}, TokenVariable, false},
		{[]string{"LOOPKEY_CI_TOKEN_FILE=/x", "GITLAB_CI=true"}, FileVariable, false},
		{[]string{"LOOPKEY_CI_TOKEN_FILE=/x", "LOOPKEY_CI_TOKEN=x"}, "", true},
		{[]string{url, "GITHUB_ACTIONS=true"}, "", true},
		{[]string{"GITLAB_CI=true"}, "", true},
	} {
		job, err := find(c.env...)
		if (err != nil) != c.fails || (job == nil) != (c.source == "") || job != nil && job.Source != c.source {
			t.Errorf("%q: %+v, %v", c.env, job, err)
		}
	}
}

// Whatever an endpoint sends, what is taken for the token is not empty.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"count":1,"value":"eyJ.e30.x"}`))
	f.Add([]byte(`{"value":7}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if token, err := parseReply(body); (err == nil) == (token == "") {
			t.Errorf("%q: %q, %v", body, token, err)
		}
	})
}
