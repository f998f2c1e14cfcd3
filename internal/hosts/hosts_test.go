package hosts_test

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/hosts"
)

// list is what a profile lists in these tests.
func list(t *testing.T) hosts.List {
	t.Helper()
	entry := func(host string, more ...any) map[string]any {
		table := map[string]any{"host": host}
		for i := 0; i < len(more); i += 2 {
			table[more[i].(string)] = more[i+1]
		}
		return table
	}
	l, err := hosts.Parse([]any{
		entry("Git.acme.example"), entry("git.acme.example:8443", "audience", "other port"),
		entry("*.acme.example", "audience", "below"), entry("*.eu.acme.example", "audience", "further below"),
		entry("only.acme.example", "tools", []any{"git"}), entry("localhost:5000"), entry("[::1]:5000"),
		entry("127.0.0.1:5000"), entry("xn--bcher-kva.example"), entry("*.ports.example:8443"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Only the very host that is listed matches, however its name is written.
func TestMatch(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{ // "": none
		"https://git.acme.example":                               "git.acme.example",
		"https://GIT.ACME.example/path?q#f":                      "git.acme.example",
		"grpcs://git.acme.example/Service/Method":                "git.acme.example",
		"https://git.acme.example:443/":                          "git.acme.example",
		"https://git.acme.example:8443/":                         "git.acme.example:8443",
		"https://sub.git.acme.example/":                          "*.acme.example",
		"https://a.eu.acme.example/":                             "*.eu.acme.example",
		"https://xn--bcher-kva.example/":                         "xn--bcher-kva.example",
		"https://a.ports.example:8443/":                          "*.ports.example:8443",
		"http://localhost:5000/":                                 "localhost:5000",
		"http://[::1]:5000/":                                     "[::1]:5000",
		"http://[0:0:0:0:0:0:0:1]:5000/":                         "[::1]:5000",
		"http://127.0.0.1:5000/":                                 "127.0.0.1:5000",
		"https://localhost:5000/":                                "localhost:5000",
		"https://acme.example/":                                  "",
		"https://git.acme.example:444/":                          "",
		"https://a.ports.example/":                               "",
		"https://git.acme.example:0443/":                         "",
		"https://git.acme.example:/":                             "",
		"https://git.acme.example:443:443/":                      "",
		"https://git.acme.example:+443/":                         "",
		"https://git.acme.example:65979/":                        "", // 443 + 65536
		"https://git.acme.example./":                             "",
		"https://.git.acme.example/":                             "",
		"https://evil.example#@git.acme.example/":                "",
		"https://user@git.acme.example/":                         "",
		"https://git.acme.example@evil.example/":                 "",
		"https://evil.example\\@git.acme.example/":               "",
		"https://git.acme.example\\.evil.example/":               "",
		"https://git%2eacme.example/":                            "",
		"https://git.acme.example%00.evil.example/":              "",
		"https://git.acme.example\x00.evil.example/":             "",
		"https://git.acme.example\r\nhost=evil/":                 "",
		"https://git.acme.example /":                             "",
		" https://git.acme.example/":                             "",
		"https://b\u00fccher.example/":                           "",
		"https://git\u3002acme.example/":                         "", // a dot of another script
		"https://\u212aacme.example/":                            "", // KELVIN SIGN, which folds to k
		"https://gitXacme.example/":                              "",
		"https://evilgit.acme.example.evil.example/":             "",
		"https://evilacme.example/":                              "",
		"http://git.acme.example/":                               "",
		"http://git.acme.example:8443/":                          "",
		"http://localhost/":                                      "",
		"http://localhost:5001/":                                 "",
		"http://127.0.0.2:5000/":                                 "",
		"http://127.1:5000/":                                     "",
		"http://2130706433:5000/":                                "",
		"http://[::ffff:127.0.0.1]:5000/":                        "",
		"http://[::1%25lo]:5000/":                                "",
		"http://[::1]5000/":                                      "",
		"ssh://git.acme.example/":                                "",
		"git://git.acme.example/":                                "",
		"file:///git.acme.example":                               "",
		"ftp://git.acme.example/":                                "",
		"https:git.acme.example":                                 "",
		"https:///git.acme.example":                              "",
		"//git.acme.example":                                     "",
		"git.acme.example":                                       "",
		"":                                                       "",
		"https://":                                               "",
		"https://" + strings.Repeat("a.", 200) + "acme.example/": "",
	} {
		got := ""
		if origin, err := hosts.ParseURL(url); err == nil {
			if h := list(t).Match("bazel", origin); h != nil {
				got = h.String()
			}
		}
		if got != want {
			t.Errorf("%q is given the token of %q, not of %q", url, got, want)
		}
	}
}

// An entry for some tools is for no others, not even where a wider entry covers the host.
func TestTools(t *testing.T) {
	t.Parallel()
	origin, err := hosts.ParseURL("https://only.acme.example/")
	if err != nil {
		t.Fatal(err)
	}
	if list(t).Match("git", origin) == nil {
		t.Error("git is listed and gets nothing")
	}
	origin.Scheme = "grpcs"
	if list(t).Match("git", origin) != nil {
		t.Error("git gets a token for gRPC")
	}
	if list(t).Match("docker", origin) != nil {
		t.Error("docker is not listed and gets a token")
	}
}

// What config.toml lists is refused if it says something else than what was meant.
func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tables any
		want   string
	}{
		"no tables":        {"git.acme.example", "[[profile.NAME.hosts]]"},
		"one table":        {map[string]any{"host": "a.example"}, "[[profile.NAME.hosts]]"},
		"no host":          {[]any{map[string]any{"audience": "x"}}, "it has no host"},
		"a URL":            {[]any{map[string]any{"host": "https://a.example"}}, "is a URL"},
		"twice":            {[]any{map[string]any{"host": "a.example"}, map[string]any{"host": "A.example"}}, "listed twice"},
		"another script":   {[]any{map[string]any{"host": "b\u00fccher.example"}}, "punycode"},
		"too wide":         {[]any{map[string]any{"host": "*.example"}}, "covers too much"},
		"all":              {[]any{map[string]any{"host": "*"}}, "is no host"},
		"in the middle":    {[]any{map[string]any{"host": "a.*.example"}}, "is no host"},
		"a path":           {[]any{map[string]any{"host": "a.example/b"}}, "is no host"},
		"unknown key":      {[]any{map[string]any{"host": "a.example", "audiense": "x"}}, "is no key of a host"},
		"unknown tool":     {[]any{map[string]any{"host": "a.example", "tools": []any{"svn"}}}, "not known"},
		"tools as text":    {[]any{map[string]any{"host": "a.example", "tools": "git"}}, "must be a list"},
		"refresh token":    {[]any{map[string]any{"host": "a.example", "token": "refresh"}}, `must be "access" or "id"`},
		"a line end":       {[]any{map[string]any{"host": "a.example", "username": "a\nb"}}, "control character"},
		"a number":         {[]any{map[string]any{"host": "a.example", "scope": int64(1)}}, "text in quotes"},
		"unknown authtype": {[]any{map[string]any{"host": "a.example", "authtype": "digest"}}, "must be"},
	} {
		if _, err := hosts.Parse(c.tables); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v does not say %q", name, err, c.want)
		}
	}
}

// Whatever a tool sends, a host that is not listed gets nothing: what matches is written as one of these.
func FuzzMatch(f *testing.F) {
	for _, seed := range []string{
		"https://git.acme.example/", "https://a@git.acme.example", "https://git.acme.example.", "http://[::1]:5000",
		"https://git.acme.example%2eevil.example", "https://evil.example\\@git.acme.example", "grpcs://a.b.c:1/d",
	} {
		f.Add(seed)
	}
	l, err := hosts.Parse([]any{map[string]any{"host": "git.acme.example"}, map[string]any{"host": "localhost:5000"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, url string) {
		origin, err := hosts.ParseURL(url)
		if err != nil || l.Match("git", origin) == nil {
			return
		}
		scheme, rest, _ := strings.Cut(strings.ToLower(url), "://")
		if end := strings.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		switch scheme + " " + rest {
		case "https git.acme.example", "https git.acme.example:443", "grpcs git.acme.example",
			"grpcs git.acme.example:443", "https localhost:5000", "http localhost:5000", "grpcs localhost:5000":
		default:
			t.Errorf("%q matches", url)
		}
	})
}
