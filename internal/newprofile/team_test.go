package newprofile

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
)

const goodTeam = `# of the team
profile = "acme"
client-id = "s6B" # with a dash
domain = "acme.eu.auth0.com"
audience = "https://api.acme.example/"
scope = "openid offline_access"
base_url = "http://localhost:3001"
callback_ports = [3001, 3002]
audience_parameter = "audience"
[[hosts]]
host = "git.acme.example"
tools = ["git", "go"]
`

func TestParseTeam(t *testing.T) {
	t.Parallel()
	team, err := ParseTeam([]byte(goodTeam))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, v := range team.Values {
		keys = append(keys, v.Key)
	}
	shown := []string{"domain", "client_id", "audience", "scope", "base_url", "callback_ports", "audience_parameter"}
	if !slices.Equal(keys, shown) || team.Profile != "acme" || team.Value("client_id") != "s6B" ||
		team.Value("callback_ports") != "3001,3002" {
		t.Errorf("%q, %+v", keys, team)
	}
	wanted := []string{`host = "git.acme.example"`, `tools = ["git", "go"]`}
	if len(team.Hosts) != 1 || !slices.Equal(team.Hosts[0].Lines, wanted) {
		t.Errorf("hosts: %+v", team.Hosts)
	}
}

// What a team's file may never set is refused by its name, and no error quotes a value.
func TestParseTeamRefuses(t *testing.T) {
	t.Parallel()
	const mayNot = ": it may not be set: "
	const issuer, client = "issuer = \"https://a.example\"\n", "client_id = \"c\"\n"
	for name, c := range map[string]struct{ line, why string }{
		"ports that are none":  {`callback_ports = ["hush"]`, "callback_ports: it must be ports"},
		"client_secret":        {`client_secret = "hush"`, "client_secret: it may not be set: a secret"},
		"client-secret":        {`client-secret = "hush"`, "client-secret: it may not be set: a secret"},
		"client_secret_file":   {`client_secret_file = "hush"`, "client_secret_file: it may not be set: a secret"},
		"client_key":           {`client_key = "hush"`, "client_key: it may not be set: it says which of your keys"},
		"client_certificate":   {`client_certificate = "hush"`, "client_certificate: it may not be set: it says which"},
		"assertion_audience":   {`assertion_audience = "hush"`, "assertion_audience: it may not be set: it says which"},
		"client_auth":          {`client_auth = "none"`, "client_auth: it may not be set: it says which of your keys"},
		"sign_requests":        {`sign_requests = true`, "sign_requests: it may not be set: it says how you log in"},
		"keystore":             {`keystore = "hush"`, "keystore: it may not be set: it says where"},
		"state_dir":            {`state_dir = "hush"`, "state_dir: it may not be set: it says where"},
		"cache_dir":            {`cache_dir = "hush"`, "cache_dir: it may not be set: it says where"},
		"browser":              {`browser = "hush"`, "browser: it may not be set: no file of others picks a program"},
		"command":              {`command = ["hush"]`, "command: it may not be set: no file of others picks a program"},
		"pages":                {`pages = "hush"`, "pages: it may not be set: no file of others picks a program"},
		"discovery_url":        {`discovery_url = "hush"`, "discovery_url: it may not be set: it says who vouches"},
		"insecure":             {`insecure = true`, "insecure: it may not be set: it says who vouches"},
		"refresh_audiences":    {`refresh_audiences = true`, "refresh_audiences: it may not be set"},
		"default_profile":      {`default_profile = "hush"`, "default_profile" + mayNot + "it is about"},
		"params":               {"[params]\nprompt = \"hush\"", "params: it may not be set: it says how you log in"},
		"another profile":      {"[profile.work]\nissuer = \"hush\"", "profile" + mayNot + "it is about"},
		"other profiles":       {"[profiles.work]\nissuer = \"hush\"", "profiles" + mayNot + "it is about"},
		"a key not known":      {`colour = "hush"`, "colour: it is not known: there are profile, domain"},
		"a number":             {`audience = 5`, "audience: it must be text in quotes"},
		"an empty value":       {`audience = ""`, "audience: it is empty"},
		"a long value":         {`audience = "` + strings.Repeat("a", 3000) + `"`, "audience: it is longer than"},
		"a control character":  {`audience = "hush\u001b[2J"`, "audience: it holds a character that can't be shown"},
		"a line":               {`audience = "hush\nkeystore"`, "audience: it holds a character that can't be shown"},
		"right to left":        {"audience = \"hush\u202e\"", "audience: it holds a character that can't be shown"},
		"twice":                {"client-id = \"hush\"", "it is given twice"},
		"a name that is none":  {`profile = "../hush"`, "the name of the profile"},
		"no scope":             {`scope = "hush,a"`, "commas"},
		"a base URL elsewhere": {`base_url = "http://hush.example:3000"`, "base_url"},
		"hosts in a line":      {`hosts = "hush"`, "hosts: hosts must be tables"},
		"a host that is a URL": {"[[hosts]]\nhost = \"https://hush.example\"", "is a URL"},
		"a host out of sight": {
			"[[hosts]]\naudience = \"" + strings.Repeat("a", 580) + "\"\nhost = \"hush.example\"",
			"hosts: entry 1: it is too long to be shown",
		},
		"a list of tools that hides": {
			"[[hosts]]\nhost = \"a.example\"\ntools = [\"git\"" + strings.Repeat(", \"git\"", 99) + "]\nusername = \"hush\"",
			"hosts: entry 1: it is too long to be shown",
		},
		"a value that hides its end": {
			"audience = \"" + strings.Repeat("a", 595) + "hush\"", "audience: it is too long to be shown",
		},
		"a host's program": {"[[hosts]]\nhost = \"a.example\"\ncommand = \"hush\"", `"command" is no key of a host`},
		"no TOML":          {`= "hush"`, "no TOML: line"},
	} {
		_, err := ParseTeam([]byte(issuer + client + c.line))
		if !errors.Is(err, ErrTeam) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "hush") && !strings.Contains(name, "host that is a URL") {
			t.Errorf("%s: the error quotes the value: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ content, why string }{
		"empty":            {"", "has to name the provider"},
		"no provider":      {client, "has to name the provider"},
		"two providers":    {issuer + client + `domain = "a.example"`, "has to name the provider"},
		"no client":        {issuer, "has to name the client_id"},
		"plain http":       {client + `issuer = "http://a.example"`, "must be https"},
		"with a password":  {client + `issuer = "https://u:hush@a.example"`, "is no issuer"},
		"an option":        {issuer + `client_id = "--debug"`, "client_id"},
		"a web page":       {"\n<!doctype html>", "is a web page"},
		"too large":        {issuer + client + strings.Repeat("#", mostTeamFile), "is larger than 64 KiB"},
		"too many servers": {issuer + client + strings.Repeat("[[hosts]]\nhost = \"a.example\"\n", 101), "more than 100"},
	} {
		if _, err := ParseTeam([]byte(c.content)); !errors.Is(err, ErrTeam) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseTeam([]byte(client + `issuer = "http://localhost:8080/realms/r"`)); err != nil {
		t.Errorf("an issuer on the loopback: %v", err)
	}
}

// FuzzParseTeam checks that whatever a file holds, it sets only what it may, in values that can be shown as they are
// and that a config.toml takes.
func FuzzParseTeam(f *testing.F) {
	f.Add(goodTeam)
	f.Add("issuer = 'https://a.example'\nclient_id = '''c'''\n[[hosts]]\nhost = '*.a.example'\nusername = \"\\\\\"\n")
	f.Fuzz(func(t *testing.T, content string) {
		team, err := ParseTeam([]byte(content))
		if err != nil {
			return
		}
		for _, v := range team.Values {
			if !slices.Contains(teamKeys(), v.Key) || words.Printable(v.Value) != v.Value || len(v.Value) > mostTeamValue {
				t.Errorf("%q sets %s = %q", content, v.Key, v.Value)
			}
		}
		name := team.Profile
		if name == "" {
			name = "team"
		}
		text, err := config.Edit(nil, name, team.Values...)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range team.Hosts {
			text = append(text, "[[profile.'"+name+"'.hosts]]\n"+strings.Join(h.Lines, "\n")+"\n"...)
		}
		if err := config.CheckHosts(text, name); len(team.Hosts) > 0 && err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// A team's file is read over https alone, from the origin that was named, and no further than its limit.
func TestReadTeam(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	page := func(path string, handler http.HandlerFunc) { mux.HandleFunc("GET "+path, handler) }
	page("/loopkey.toml", func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 || r.Header.Get("Authorization") != "" {
			t.Error("the request carries a credential")
		}
		_, _ = w.Write([]byte(goodTeam))
	})
	page("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	page("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loopkey.toml", http.StatusFound) })
	page("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	page("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://mallory.example/loopkey.toml?hush", http.StatusFound)
	})
	page("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/loopkey.toml", http.StatusFound)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	read := func(source string) ([]byte, error) {
		content, _, err := readTeam(t.Context(), source, server.Client())
		return content, err
	}
	for _, path := range []string{"/loopkey.toml?token=hush", "/here"} {
		if content, err := read(server.URL + path); err != nil || string(content) != goodTeam {
			t.Errorf("%s: %q, %v", path, content, err)
		}
	}
	if content, err := read(server.URL + "/endless"); err != nil || len(content) != mostTeamFile+1 {
		t.Errorf("of an endless file %d bytes were read: %v", len(content), err)
	}
	for source, why := range map[string]string{
		server.URL + "/away?hush":  "it redirects to https://mallory.example: if you trust",
		server.URL + "/plain?hush": "it redirects to http://127.0.0.1",
		server.URL + "/loop?hush":  "too many redirects",
		server.URL + "/none?hush":  "replied with HTTP 404",
		strings.Replace(server.URL, "https", "http", 1) + "/loopkey.toml?hush":          "must be https",
		strings.Replace(server.URL, "https://", "https://u:hush@", 1) + "/loopkey.toml": "without a user",
		"file:///etc/hush": "must be https",
		t.TempDir():        "can't be read",
	} {
		if _, err := read(source); !errors.Is(err, ErrTeam) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", source, err)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error quotes the query: %v", source, err)
		}
	}
	path := filepath.Join(t.TempDir(), "loopkey.toml")
	if err := os.WriteFile(path, []byte(goodTeam), 0o664); err != nil {
		t.Fatal(err)
	}
	if content, _, err := ReadTeam(context.Background(), path); err != nil || string(content) != goodTeam {
		t.Errorf("a file: %q, %v", content, err)
	}
}
