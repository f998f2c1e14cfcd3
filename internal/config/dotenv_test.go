package config

import (
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dotEnvOf returns what a .env with the content sets.
func dotEnvOf(t testing.TB, content string) dotEnvFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	write(t, path, content)
	f, err := readDotEnvFile(path, "./.env")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDotEnvIsTakenToTheLetter(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`S=plain`: "plain", `export S=plain`: "plain", `S='plain'`: "plain", `S="plain"`: "plain", "S=`plain`": "plain",
		"S = plain  # said\r\n": "plain", "\xef\xbb\xbfS=plain": "plain", "  \texport\tS=plain": "plain",
		`S=a$b`: "a$b", `S=a$HOME`: "a$HOME", `S="a$HOME"`: "a$HOME", `S='a$HOME'`: "a$HOME", `S=a${HOME}b`: "a${HOME}b",
		`S=$(touch x)`: "$(touch x)", "S='a' # it's": "a", "S='a\\b'": "a\\b", `S=it's`: "it's", "S=a\tb": "a\tb",
		"HOME=x\nS=a$HOME": "a$HOME", `S: a$HOME`: "a$HOME", `S="a\n$HOME"`: "a\n$HOME", `S="a\$b"`: "a$b", `S=a#b`: "a#b",
		`S=a$1=b`: "a$1=b", `S="a\"b"`: `a"b`, "S=first\nS=last": "last", "S=good\nS='open": "good",
		`S=`: "", "S=''": "", "": "", "S= # nothing": "", "#S=a": "", "// S=a": "", "S_=a": "", "XS=a": "", "s=a": "",
		"export S": "", "echo S=a": "",
	} {
		f := dotEnvOf(t, strings.ReplaceAll(content, "S", "AUTH0_CLIENT_ID"))
		if got := f.values["AUTH0_CLIENT_ID"].text; got != want {
			t.Errorf("%q: %q, %v; want %q", content, got, f.damaged, want)
		}
	}
}

// Older PowerShells write UTF-16.
func TestDotEnvOfPowerShell(t *testing.T) {
	t.Parallel()
	text := strings.Split("A=1\r\nAUTH0_CLIENT_ID='a'\r\n", "")
	for name, content := range map[string]string{
		"the low byte first":  "\xff\xfe" + strings.Join(text, "\x00") + "\x00",
		"the high byte first": "\xfe\xff\x00" + strings.Join(text, "\x00"),
	} {
		if got := dotEnvOf(t, content).values["AUTH0_CLIENT_ID"].text; got != "a" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What other tools write in a .env stops nothing, and says nothing about loopkey.
const othersLines = `source ./x.sh
export PATH
export PATH=$PATH:~/bin
// a comment
[section]
-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7
-----END PRIVATE KEY-----
PEM="-----BEGIN CERTIFICATE-----
AAAA
GREETING='it is open
if [ -f x ]; then . x; fi
{ "json": 1 }
%
`

func TestDotEnvOfOtherTools(t *testing.T) {
	t.Parallel()
	const mine = "AUTH0_DOMAIN=acme.auth0.com\nAUTH0_CLIENT_ID=mine\n"
	for name, content := range map[string]string{
		"before": othersLines + mine, "after": mine + othersLines, "NULs": "A=\x00\x01\n" + mine,
		"large":                      strings.Repeat("# "+strings.Repeat("x", 100)+"\n", 2000) + mine,
		"Windows":                    strings.ReplaceAll(othersLines+mine, "\n", "\r\n"),
		"a value over several lines": "PEM=\"-----\nAAA\n\"\n" + mine,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, world{dotEnv: content})
			if c.Issuer != "https://acme.auth0.com/" || c.ClientID != "mine" || len(c.Notes()) != 0 {
				t.Errorf("%+v, notes %q", c.Client, c.Notes())
			}
			if err := c.CompleteForLogin(); err != nil {
				t.Error(err)
			}
		})
	}
	c := load(t, world{dotEnv: mine + strings.Repeat("x", 2<<20)})
	if notes := c.Notes(); c.ClientID != "mine" || len(notes) != 1 || !strings.Contains(notes[0], "larger than 1024 KiB") {
		t.Errorf("%+v, notes %q", c.Client, notes)
	}
}

// A line of ours that is damaged, or a value that can't be used, is told once. It is an error only for a command that
// needs that very value and has it from nowhere else.
func TestDotEnvDamaged(t *testing.T) {
	t.Parallel()
	const hidden = "do-not-tell"
	client := "AUTH0_CLIENT_ID=mine\n"
	for name, test := range map[string]struct {
		dotEnv, setting string
		note            string
	}{
		"an open quotation": {"\nAUTH0_DOMAIN='" + hidden + "\n" + client, "issuer",
			"AUTH0_DOMAIN in ./.env, line 2: its quotation"},
		"a word after one": {
			"AUTH0_DOMAIN='" + hidden + "'x\n" + client, "issuer", "AUTH0_DOMAIN in ./.env, line 1: something follows",
		},
		"no sign between": {"AUTH0_DOMAIN " + hidden + "\n" + client, "issuer", "AUTH0_DOMAIN in ./.env, line 1: it is not"},
		"no value":        {"AUTH0_DOMAIN\n" + client, "issuer", "AUTH0_DOMAIN in ./.env, line 1: it is not"},
		"a control character": {
			"AUTH0_DOMAIN=" + hidden + "\x1b[31m\n" + client, "issuer", "AUTH0_DOMAIN in ./.env, line 1: it holds a control",
		},
		"a domain that is none": {"AUTH0_DOMAIN=" + hidden + "/x\n" + client, "issuer",
			"AUTH0_DOMAIN in ./.env: it has a path"},
		"an issuer that is none": {
			"LOOPKEY_ISSUER=http://" + hidden + "\n" + client, "issuer", "LOOPKEY_ISSUER in ./.env: it must be https",
		},
		"a sample's issuer": {"ISSUER_BASE_URL=ftp://" + hidden + "\n" + client, "issuer",
			"ISSUER_BASE_URL in ./.env: it is no"},
		"a client ID": {
			"AUTH0_DOMAIN=a.auth0.com\nLOOPKEY_CLIENT_ID=" + hidden + "é\n", "client-id",
			"LOOPKEY_CLIENT_ID in ./.env: it holds",
		},
		"an audience": {"AUTH0_AUDIENCE=\"\n" + client, "audience", "AUTH0_AUDIENCE in ./.env, line 1: its quotation"},
		"a scope":     {`LOOPKEY_SCOPE='openid "` + hidden + "\"'\n" + client, "scope", "LOOPKEY_SCOPE in ./.env: it holds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, world{dotEnv: test.dotEnv})
			err := c.Needs(test.setting)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.note) {
				t.Errorf("Needs: %v", err)
			}
			if notes := c.Notes(); len(notes) != 1 || !strings.HasPrefix(notes[0], test.note) {
				t.Errorf("notes: %q, want %q", notes, test.note)
			}
			if test.setting == "issuer" || test.setting == "client-id" {
				if got := c.Complete(); got == nil || got.Error() != err.Error() {
					t.Errorf("Complete: %v", got)
				}
			}
			for _, text := range append(c.Notes(), err.Error()) {
				if strings.Contains(text, hidden) || strings.Contains(text, "\x1b") {
					t.Errorf("%q tells %q", text, hidden)
				}
			}
			flags := map[string]string{
				"domain": "b.auth0.com", "client-id": "other", "audience": "https://api", "scope": "openid",
			}
			c = load(t, world{dotEnv: test.dotEnv, flags: flags})
			if err := c.CompleteForLogin(); err != nil {
				t.Errorf("with flags: %v", err)
			}
			if notes := c.Notes(); strings.Contains(test.note, "line") != (len(notes) == 1) {
				t.Errorf("with flags, notes: %q", notes)
			}
			toml := "[profile.default]\ndomain = 'b.auth0.com'\nclient_id = 'other'\naudience = 'https://api'\n" +
				"scope = 'openid'\n"
			if err := load(t, world{dotEnv: test.dotEnv, toml: toml}).CompleteForLogin(); err != nil {
				t.Errorf("with a profile: %v", err)
			}
		})
	}
}

// The base URL of a web app is its own.
func TestBaseURLOfAWebApp(t *testing.T) {
	t.Parallel()
	const client = "AUTH0_DOMAIN=a.auth0.com\nAUTH0_CLIENT_ID=mine\n"
	c := load(t, world{dotEnv: client + "APP_BASE_URL=https://app.example.com\n"})
	if err := c.CompleteForLogin(); err != nil || c.BaseURL != "http://localhost:3000" {
		t.Errorf("%q, %v", c.BaseURL, err)
	}
	if notes := c.Notes(); len(notes) != 1 || !strings.HasPrefix(notes[0], "APP_BASE_URL in ./.env: it ") {
		t.Errorf("notes: %q", notes)
	}
	c = load(t, world{dotEnv: client, env: []string{"APP_BASE_URL=https://app.example.com"}})
	if err := c.Complete(); err != nil {
		t.Error(err)
	}
	if err := c.CompleteForLogin(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(),
		"APP_BASE_URL in the env") {
		t.Errorf("%v", err)
	}
}

// Auth0's samples spell the issuer in several ways.
func TestDotEnvOfSamples(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dotEnv                 string
		issuer, client, secret string
		auth0                  bool
		base                   string // "": the default
	}{
		"nextjs-auth0": {
			"AUTH0_SECRET='x'\nAUTH0_BASE_URL='http://localhost:3000'\nAUTH0_ISSUER_BASE_URL='https://acme.us.auth0.com'\n" +
				"AUTH0_CLIENT_ID='c'\nAUTH0_CLIENT_SECRET='s'\n", "https://acme.us.auth0.com/", "c", "s", true, "",
		},
		"express-openid-connect": {
			"ISSUER_BASE_URL=https://acme.us.auth0.com\nCLIENT_ID=c\nCLIENT_SECRET=s\nBASE_URL=http://localhost:4000\n",
			"https://acme.us.auth0.com/", "c", "s", true, "http://localhost:4000",
		},
		"without https": {
			"AUTH0_ISSUER_BASE_URL=login.acme.com\nCLIENT_ID=c\n", "https://login.acme.com/", "c", "", true, "",
		},
		"a domain of their own": {
			"AUTH0_ISSUER_BASE_URL=https://login.acme.com/\nCLIENT_ID=c\n", "https://login.acme.com/", "c", "", true, "",
		},
		"another provider": {
			"ISSUER_BASE_URL=https://login.acme.com/realms/x\nCLIENT_ID=c\n", "https://login.acme.com/realms/x",
			"c", "", false, "",
		},
		"another provider without a path": {
			"ISSUER_BASE_URL=https://login.acme.com\nCLIENT_ID=c\n", "https://login.acme.com", "c", "", false, "",
		},
		"no issuer beside them": {
			"CLIENT_ID=c\nCLIENT_SECRET=s\nBASE_URL=http://localhost:4000\n", "", "", "", false, "",
		},
		"an issuer of another spelling": {
			"AUTH0_DOMAIN=a.auth0.com\nCLIENT_ID=c\nCLIENT_SECRET=s\nBASE_URL=http://localhost:4000\n", "https://a.auth0.com/",
			"", "", true, "",
		},
		"the base URL of a web app": {
			"ISSUER_BASE_URL=https://a.auth0.com\nCLIENT_ID=c\nBASE_URL=https://app.example.com\n", "https://a.auth0.com/",
			"c", "", true, "",
		},
		"loopkey's names first": {
			"ISSUER_BASE_URL=https://a.auth0.com\nAUTH0_DOMAIN=b.auth0.com\nCLIENT_ID=c\nAUTH0_CLIENT_ID=d\n",
			"https://b.auth0.com/", "d", "", true, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, world{dotEnv: test.dotEnv})
			secret, err := c.ClientSecret()
			if err != nil || c.Issuer != test.issuer || c.ClientID != test.client || secret != test.secret ||
				c.Auth0 != test.auth0 || c.BaseURL != cmp.Or(test.base, "http://localhost:3000") {
				t.Errorf("%+v, %q, %v", c.Client, secret, err)
			}
		})
	}
	env := []string{"ISSUER_BASE_URL=https://a.auth0.com", "CLIENT_ID=c", "AUTH0_ISSUER_BASE_URL=https://a.auth0.com"}
	if c := load(t, world{env: env}); c.Issuer != "" || c.ClientID != "" {
		t.Errorf("they count in the environment: %+v", c.Client)
	}
}

func TestDotEnvLocal(t *testing.T) {
	t.Parallel()
	in := world{dotEnv: "LOOPKEY_ISSUER=https://a.example.com\nLOOPKEY_CLIENT_ID=a\nAUTH0_AUDIENCE=https://api\n"}.input(t)
	write(t, filepath.Join(in.Dir, ".env.local"),
		"AUTH0_DOMAIN=b.auth0.com\nAUTH0_CLIENT_ID=b\nAUTH0_CLIENT_SECRET=s\nLOOPKEY_SCOPE=\n")
	c, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := c.ClientSecret(); c.Issuer != "https://b.auth0.com/" || c.ClientID != "b" ||
		c.Audience != "https://api" || err != nil || secret != "s" {
		t.Errorf("%+v, %q, %v", c, secret, err)
	}
	for setting, want := range map[string]string{
		"issuer": "AUTH0_DOMAIN in ./.env.local", "client-id": "AUTH0_CLIENT_ID in ./.env.local",
		"audience": "AUTH0_AUDIENCE in ./.env", "scope": "default",
	} {
		if got := c.Origin(setting); got != want {
			t.Errorf("origin of %s: %q", setting, got)
		}
	}
}

// What a named profile sets no .env changes; what the person names beats what the folder brings.
func TestNamedProfileBeatsDotEnv(t *testing.T) {
	t.Parallel()
	const toml = "[profile.default]\nclient_id = 'of-default'\n" +
		"[profile.work]\ndomain = 'work.auth0.com'\nclient_id = 'work'\n" +
		"audience = 'https://work'\nclient_secret = 'of work'\n"
	const dotEnv = "AUTH0_DOMAIN=folder.auth0.com\nAUTH0_CLIENT_ID=folder\nAUTH0_AUDIENCE=https://folder\n" +
		"AUTH0_CLIENT_SECRET=of-folder\nLOOPKEY_SCOPE=openid folder\n"
	for name, w := range map[string]world{
		"flag":        {flags: map[string]string{"profile": "work"}},
		"environment": {env: []string{"LOOPKEY_PROFILE=work"}},
	} {
		w.toml, w.dotEnv = toml, dotEnv
		c := load(t, w)
		secret, err := c.ClientSecret()
		if c.Issuer != "https://work.auth0.com/" || c.ClientID != "work" || c.Audience != "https://work" ||
			secret != "of work" || err != nil {
			t.Errorf("%s: %+v, %q, %v", name, c, secret, err)
		}
		if c.Scope != "openid profile email offline_access" { // the folder's is for the folder's client
			t.Errorf("%s: scope %q", name, c.Scope)
		}
		w.env = append(w.env, "AUTH0_CLIENT_ID=environment")
		if c := load(t, w); c.ClientID != "environment" {
			t.Errorf("%s: the environment does not come first: %+v", name, c.Client)
		}
	}
	byName := world{flags: map[string]string{"profile": "default"}, toml: toml, dotEnv: dotEnv}
	if c := load(t, byName); c.ClientID != "of-default" {
		t.Errorf("default, by name: %+v", c.Client)
	}
	fill := world{flags: map[string]string{"profile": "work"}, toml: toml,
		dotEnv: "LOOPKEY_SCOPE=openid\nAUTH0_AUDIENCE=https://folder\n"}
	if c := load(t, fill); c.Scope != "openid" || c.Audience != "https://work" {
		t.Errorf("a .env that names no client: scope %q, audience %q", c.Scope, c.Audience)
	}
	if c := load(t, world{toml: toml, dotEnv: dotEnv}); c.ClientID != "folder" {
		t.Errorf("default, not named: %+v", c.Client)
	}
}

// A session that is known from its login resolves without the flags, the folder and the environment's client.
func TestAlone(t *testing.T) {
	t.Parallel()
	w := world{
		flags:  map[string]string{"profile": "work", "issuer": "https://flag.example.com", "audience": "https://flag"},
		env:    []string{"AUTH0_CLIENT_SECRET=x", "AUTH0_AUDIENCE=https://env"},
		toml:   "[profile.work]\ndomain = 'work.auth0.com'\nclient_id = 'work'\n",
		dotEnv: "AUTH0_CLIENT_ID=folder\nLOOPKEY_SCOPE=x\n",
	}
	for _, test := range []struct{ variable, secret string }{
		{"", "x"}, {"LOOPKEY_CLIENT_ID=env", ""}, {"AUTH0_DOMAIN=env.auth0.com", ""},
	} {
		in := w.input(t)
		in.Alone, in.Environ = true, append(in.Environ, test.variable)
		c, err := Load(in)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := c.ClientSecret()
		if c.Issuer != "https://work.auth0.com/" || c.ClientID != "work" || c.Audience != "" ||
			secret != test.secret || err != nil {
			t.Errorf("%s: %+v, %q, %v", test.variable, c, secret, err)
		}
	}
}

func TestDotEnvThatIsNoFile(t *testing.T) {
	t.Parallel()
	in := world{}.input(t)
	if err := os.Mkdir(filepath.Join(in.Dir, ".env"), 0o700); err != nil { // a virtual environment
		t.Fatal(err)
	}
	if c, err := Load(in); err != nil || len(c.Notes()) != 0 {
		t.Error(c, err)
	}
	in.Dir = filepath.Join(in.Dir, "gone")
	if c, err := Load(in); err != nil || len(c.Notes()) != 0 {
		t.Error(c, err)
	}
}

func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{
		"=a$b\n", "='x'", "=\"a\\n$HOME\"", ": y", "='", "#", "=\x01", "=a #b", "=\"\\$\"", " ", "\n\xff\xfe",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		content := "AUTH0_CLIENT_ID" + string(rest)
		file := dotEnvOf(t, content)
		for _, err := range file.damaged {
			known := []error{errOpenQuote, errAfterQuote, errNoValue, errControl}
			if !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
				t.Errorf("error quotes the file: %q", err)
			}
		}
		for name, v := range file.values {
			if strings.Count(content, "$") < strings.Count(v.text, "$") || len(v.text) > len(content) {
				t.Errorf("%s = %q, of %q", name, v.text, content)
			}
		}
		if c, err := Load(world{dotEnv: content}.input(t)); err != nil {
			t.Errorf("%q stops a command: %v", content, err)
		} else if len(slices.Collect(maps.Keys(c.faults))) > 0 && len(c.Notes()) == 0 {
			t.Errorf("%q: nothing is said", content)
		}
		// A value that is written without quotes stands in the file as it is.
		if value, ok := strings.CutPrefix(string(rest), "="); ok &&
			!strings.ContainsAny(value, "\n\"'`#\\ \t\v\f\r\u0085\u00a0") && !strings.ContainsFunc(value, func(r rune) bool {
			return r < ' ' || r == 0x7f
		}) && strings.TrimSpace(value) == value && file.values["AUTH0_CLIENT_ID"].text != value {
			t.Errorf("=%q became %q", value, file.values["AUTH0_CLIENT_ID"].text)
		}
	})
}
