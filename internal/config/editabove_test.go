package config

import (
	"errors"
	"strings"
	"testing"
)

// An edit above the profiles changes one key, and leaves every other byte of the file as it was.
func TestEditAbove(t *testing.T) {
	t.Parallel()
	const table = "[profile.work]\nclient_id = \"c\" # mine\n"
	for name, c := range map[string]struct{ before, value, after string }{
		"no file":             {"", "work", "default_profile = \"work\"\n"},
		"only a mark":         {"\ufeff", "work", "\ufeffdefault_profile = \"work\"\n"},
		"a profile":           {table, "work", "default_profile = \"work\"\n\n" + table},
		"a heading":           {"# of Ada\n#\n\n" + table, "work", "# of Ada\n#\n\ndefault_profile = \"work\"\n\n" + table},
		"a profile's comment": {"# the job\n" + table, "work", "default_profile = \"work\"\n\n# the job\n" + table},
		"only a comment":      {"# of Ada", "work", "# of Ada\ndefault_profile = \"work\"\n"},
		"an empty line first": {"\n" + table, "work", "default_profile = \"work\"\n\n\n" + table},
		"another value": {
			"default_profile = 'x' # now\n" + table, "work", "default_profile = \"work\" # now\n" + table,
		},
		"Windows's lines": {
			"default_profile = \"x\"\r\n\r\n# end\r\n", "work", "default_profile = \"work\"\r\n\r\n# end\r\n",
		},
		"taken out":            {"# a\ndefault_profile = \"x\" # now\n" + table, "", "# a\n" + table},
		"over several lines":   {"default_profile = \"\"\"x\ny\"\"\"\n# end\n", "", "# end\n"},
		"not there, taken out": {table, "", table},
	} {
		got, err := EditAbove([]byte(c.before), Assignment{"default_profile", c.value})
		if err != nil || string(got) != c.after {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, c.after)
		}
	}
	for name, c := range map[string]struct{ before, key, value string }{
		"no such key":          {"", "issuer", "https://x"},
		"no name of a profile": {"", "default_profile", "a b"},
		"no TOML":              {"[", "default_profile", "work"},
	} {
		got, err := EditAbove([]byte(c.before), Assignment{c.key, c.value})
		if !errors.Is(err, ErrInvalid) || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// default_profile is an ambient default: a flag and the environment come first, and a .env beats what it sets.
func TestDefaultProfile(t *testing.T) {
	t.Parallel()
	const file = "default_profile = \"work\"\n[profile.work]\nissuer = \"https://work.example\"\nclient_id = \"w\"\n" +
		"[profile.home]\nissuer = \"https://home.example\"\nclient_id = \"h\"\n"
	for name, c := range map[string]struct {
		world                   world
		profile, client, origin string
		named                   bool
	}{
		"alone": {world{toml: file}, "work", "w", "default_profile in ", false},
		"a flag": {
			world{toml: file, flags: map[string]string{"profile": "home"}}, "home", "h", "flag --profile", true,
		},
		"the environment": {
			world{toml: file, env: []string{"LOOPKEY_PROFILE=home"}}, "home", "h", "LOOPKEY_PROFILE in", true,
		},
		"a .env": {world{toml: file, dotEnv: "LOOPKEY_CLIENT_ID=e\n"}, "work", "e", "default_profile in ", false},
		"none":   {world{toml: file[strings.Index(file, "["):]}, "default", "", "default", false},
	} {
		got := load(t, c.world)
		if got.Profile != c.profile || got.ClientID != c.client || got.ProfileNamed() != c.named ||
			!strings.HasPrefix(got.Origin("profile"), c.origin) {
			t.Errorf("%s: profile %s, client %s, from %s, named %v", name, got.Profile, got.ClientID, got.Origin("profile"),
				got.ProfileNamed())
		}
	}
	for name, line := range map[string]string{
		"no name":         `default_profile = "a b"`,
		"no text":         `default_profile = true`,
		"in a profile":    "[profile.default]\ndefault_profile = \"x\"",
		"another spelled": `default-profile = "work"`,
	} {
		_, err := Load(world{toml: line}.input(t))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "default") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
