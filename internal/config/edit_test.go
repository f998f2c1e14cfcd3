package config

import (
	"errors"
	"strings"
	"testing"
)

// An edit changes what it has to change, and leaves every other byte of the file as it was.
func TestEdit(t *testing.T) {
	t.Parallel()
	set := func(key, value string) Assignment { return Assignment{key, value} }
	for name, c := range map[string]struct {
		before  string
		profile string // "": work
		changes []Assignment
		after   string
	}{
		"no file": {
			"",
			"",
			[]Assignment{set("domain", "a.example"), set("client_id", "c")},
			"[profile.work]\ndomain = \"a.example\"\nclient_id = \"c\"\n",
		},
		"only a mark": {
			"\ufeff",
			"",
			[]Assignment{set("client_id", "c")},
			"\ufeff[profile.work]\nclient_id = \"c\"\n",
		},
		"another one": {
			"# mine\n[profile.a]\nclient_id = \"x\" # y\n",
			"",
			[]Assignment{set("client_id", "c")},
			"# mine\n[profile.a]\nclient_id = \"x\" # y\n\n[profile.work]\nclient_id = \"c\"\n",
		},
		"no last line": {
			"[profile.a]\nclient_id = \"x\"",
			"",
			[]Assignment{set("client_id", "c")},
			"[profile.a]\nclient_id = \"x\"\n\n[profile.work]\nclient_id = \"c\"\n",
		},
		"a new value, its comment": {
			"[profile.work] # mine\n  client_id = 'x'  # of the team\n\n[profile.b]\nclient_id = \"x\"\n", "",
			[]Assignment{set("client_id", "c"), set("audience", `a"b\c`)},
			"[profile.work] # mine\n  client_id = \"c\"  # of the team\n  audience = \"a\\\"b\\\\c\"\n\n" +
				"[profile.b]\nclient_id = \"x\"\n",
		},
		"Windows's lines": {
			"[profile.work]\r\nclient_id = \"x\"\r\n\r\n# end\r\n", "",
			[]Assignment{set("client_id", "c"), set("audience", "a")},
			"[profile.work]\r\nclient_id = \"c\"\r\naudience = \"a\"\r\n\r\n# end\r\n",
		},
		"a key is taken out": {
			"[profile.work]\nissuer = \"https://a.example\" # old\nclient_id = \"x\"\n", "",
			[]Assignment{set("issuer", ""), set("domain", "b.example"), set("audience", "")},
			"[profile.work]\nclient_id = \"x\"\ndomain = \"b.example\"\n",
		},
		"an empty table": {
			"[profile.work]\n# nothing yet\n[profile.b]\n",
			"",
			[]Assignment{set("client_id", "c")},
			"[profile.work]\nclient_id = \"c\"\n# nothing yet\n[profile.b]\n",
		},
		"only its hosts": {
			"[[profile.work.hosts]]\nhost = \"h\"\n",
			"",
			[]Assignment{set("client_id", "c")},
			"[[profile.work.hosts]]\nhost = \"h\"\n\n[profile.work]\nclient_id = \"c\"\n",
		},
		"before hosts": {
			"[profile.work]\nclient_id = \"x\"\n[[profile.work.hosts]]\nhost = \"h\"\n",
			"",
			[]Assignment{set("audience", "a")},
			"[profile.work]\nclient_id = \"x\"\naudience = \"a\"\n[[profile.work.hosts]]\nhost = \"h\"\n",
		},
		"with dashes": {
			"[profile.work]\nclient-id = \"x\"\n",
			"",
			[]Assignment{set("client_id", "c")},
			"[profile.work]\nclient-id = \"c\"\n",
		},
		"dotted keys": {
			"profile.work.client_id = \"x\"\n",
			"",
			[]Assignment{set("client_id", "c"), set("audience", "a")},
			"profile.work.client_id = \"c\"\nprofile.work.audience = \"a\"\n",
		},
		"one above": {
			"[profile]\nwork.client_id = \"x\" # y\n",
			"",
			[]Assignment{set("audience", "a")},
			"[profile]\nwork.client_id = \"x\" # y\nwork.audience = \"a\"\n",
		},
		"odd spaces": {
			"[ profiles . \"work\" ]\n\tclient_id=\"x\"\n",
			"",
			[]Assignment{set("audience", "a")},
			"[ profiles . \"work\" ]\n\tclient_id=\"x\"\n\taudience = \"a\"\n",
		},
		"a name with dot": {
			"",
			"a.b",
			[]Assignment{set("client_id", "c")},
			"[profile.\"a.b\"]\nclient_id = \"c\"\n",
		},
		"text that looks like a table": {
			"[profile.a]\nscope = \"\"\"\n[profile.work]\nclient_id = \"x\"\n\"\"\"\n", "", []Assignment{set("client_id", "c")},
			"[profile.a]\nscope = \"\"\"\n[profile.work]\nclient_id = \"x\"\n\"\"\"\n\n[profile.work]\nclient_id = \"c\"\n",
		},
		"text of several lines": {
			"[profile.work]\naudience = '''\nx'''\nclient_id = \"x\"\n",
			"",
			[]Assignment{set("audience", "a")},
			"[profile.work]\naudience = \"a\"\nclient_id = \"x\"\n",
		},
		"several lines go": {
			"[profile.work]\naudience = '''\nx'''\nclient_id = \"x\"\n",
			"",
			[]Assignment{set("audience", "")},
			"[profile.work]\nclient_id = \"x\"\n",
		},
		"a switch": {
			"[profile.work]\nrefresh_audiences = true # false\n",
			"",
			[]Assignment{set("refresh_audiences", "false")},
			"[profile.work]\nrefresh_audiences = false # false\n",
		},
		"nothing to do": {
			"[profile.work]\nclient_id = \"c\" \n",
			"",
			[]Assignment{set("client_id", "c"), set("audience", "")},
			"[profile.work]\nclient_id = \"c\" \n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			profile := c.profile
			if profile == "" {
				profile = "work"
			}
			got, err := Edit([]byte(c.before), profile, c.changes...)
			if err != nil || string(got) != c.after {
				t.Errorf("%v\n%q, not\n%q", err, got, c.after)
			}
			again, err := Edit(got, profile, c.changes...)
			if err != nil || string(again) != c.after {
				t.Errorf("a second time: %v\n%q", err, again)
			}
		})
	}
}

// What can't be changed without a guess is left to the person, and what a profile can't have is refused. No error
// quotes the file.
func TestEditRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, profile string
		change          Assignment
		byHand          bool
	}{
		"an inline table": {
			"profile = { work = { client_id = \"s3cret\" } }\n",
			"work",
			Assignment{"client_id", "c"},
			true,
		},
		"a profile inline": {
			"[profile]\nwork = { client_id = \"s3cret\" }\n",
			"work",
			Assignment{"client_id", "c"},
			true,
		},
		"an inline that is new": {
			"profile = { other = { client_id = \"s3cret\" } }\n",
			"work",
			Assignment{"client_id", "c"},
			true,
		},
		"a number": {"[profile.work]\nclient_id = 5\n", "work", Assignment{"client_id", "c"}, true},
		"no TOML": {
			"[profile.work\nclient_id = s3cret\n",
			"work",
			Assignment{"client_id", "c"},
			false,
		},
		"UTF-16":              {"\xff\xfe[\x00", "work", Assignment{"client_id", "c"}, false},
		"no key":              {"", "work", Assignment{"colour", "c"}, false},
		"a table":             {"", "work", Assignment{"hosts", "c"}, false},
		"a control character": {"", "work", Assignment{"audience", "a\x1bb"}, false},
		"a line":              {"", "work", Assignment{"audience", "a\nkeystore = \"file\""}, false},
		"plain http":          {"", "work", Assignment{"issuer", "http://a.example"}, false},
		"no keystore":         {"", "work", Assignment{"keystore", "cloud"}, false},
		"no switch":           {"", "work", Assignment{"refresh_audiences", "yes"}, false},
		"no name":             {"", "a]b", Assignment{"client_id", "c"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Edit([]byte(c.before), c.profile, c.change)
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrByHand) != c.byHand || got != nil {
				t.Errorf("%q, %v", got, err)
			} else if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

// FuzzEdit checks that an edit gives the profile its value and changes no other profile, whatever the file is.
func FuzzEdit(f *testing.F) {
	f.Add("[profile.work]\nclient_id = \"x\"\n", "c")
	f.Add("profile.work.client_id = 'x'\r\n[profile.b]\nscope=\"\"\"\n[profile.work]\"\"\"", `a"\`)
	f.Fuzz(func(t *testing.T, content, id string) {
		got, err := Edit([]byte(content), "work", Assignment{"client_id", id}, Assignment{"audience", ""})
		if err != nil {
			return
		}
		before, _ := parseProfiles([]byte(content))
		after, err := parseProfiles(got)
		if err != nil {
			t.Fatalf("%q is no config.toml: %v", got, err)
		}
		if id != "" && after["work"]["client_id"] != id && after["work"]["client-id"] != id {
			t.Errorf("client_id is %v, not %q", after["work"]["client_id"], id)
		}
		if len(after) > len(before)+1 {
			t.Errorf("%d profiles became %d", len(before), len(after))
		}
	})
}
