package pages

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var compare = cmp.AllowUnexported(frontMatter{}, requirement{}, claimRequirement{}, want{}, verdict{})

func TestReadFrontMatter(t *testing.T) {
	t.Parallel()
	roles := func(name string, values ...want) frontMatter {
		return frontMatter{require: requirement{claims: []claimRequirement{{name, values}}}}
	}
	for name, test := range map[string]struct {
		source string
		want   frontMatter
		body   string
	}{
		"none":                {"# Hello\n", frontMatter{}, "# Hello\n"},
		"empty file":          {"", frontMatter{}, ""},
		"a rule further down": {"Hello\n\n---\nrequire: x\n---\n", frontMatter{}, "Hello\n\n---\nrequire: x\n---\n"},
		"a long rule":         {"-----\nHello\n", frontMatter{}, "-----\nHello\n"},
		"empty":               {"---\n---\nHello\n", frontMatter{}, "Hello\n"},
		"title":               {"---\ntitle: Pay day # or so\n---\nHello\n", frontMatter{title: "Pay day"}, "Hello\n"},
		"title in quotes": {"---\n\"title\" : 'It''s: paid #1'  # yes\n---\n", frontMatter{title: "It's: paid #1"},
			""},
		"escapes":                  {"---\ntitle: \"a \\\"b\\\" \\\\ c\"\n---\n", frontMatter{title: `a "b" \ c`}, ""},
		"closed by dots":           {"---\ntitle: a\n...\nb", frontMatter{title: "a"}, "b"},
		"Windows lines":            {"---\r\ntitle: a\r\n---\r\nb\r\n", frontMatter{title: "a"}, "b\r\n"},
		"byte order mark":          {"\uFEFF---\ntitle: a\n---\nb", frontMatter{title: "a"}, "b"},
		"blank lines before":       {"\n \n---\ntitle: a\n---\nb", frontMatter{title: "a"}, "b"},
		"invisible before":         {"\u200b---\u00a0\ntitle: a\n---\nb", frontMatter{title: "a"}, "b"},
		"comments and blank lines": {"---\n# hm\n\n  # hm\ntitle: a\n---\n", frontMatter{title: "a"}, ""},
		"keys of other tools": {"---\ntags:\n- a\n- b\ndate: 2026-01-01\ndescription: >\n  long: text\ntitle: a\n---\n",
			frontMatter{title: "a"}, ""},
		"values of ignored keys": {"---\ntags: [it's, 'a]', {\"b\": c}] # d\ndate: 'x' # y\nlang: |2- # z\n  a: b\n\n  c\n" +
			"layout: ' #\"'\nauthor: {a: b, c: [d]}\nweight:\n  a: b\n  c:\n  - d\ntitle: a\n---\n",
			frontMatter{title: "a"}, ""},
		"claim":           {"---\nrequire:\n  role: admin\n---\n", roles("role", want{text: "admin"}), ""},
		"claim in quotes": {"---\nrequire:\n  'role': \"1\"\n---\n", roles("role", want{"1", true}), ""},
		"negative number": {"---\nrequire:\n  level: -3\n---\n", roles("level", want{text: "-3"}), ""},
		"namespaced": {"---\nrequire:\n  https://example.com/roles: hr\n---\n",
			roles("https://example.com/roles", want{text: "hr"}), ""},
		"any of": {"---\nrequire:\n  role: [hr, 'a, b', \"c\"]\n---\n",
			roles("role", want{text: "hr"}, want{"a, b", true}, want{"c", true}), ""},
		"any of, a line each": {"---\nrequire:\n  role:\n  - hr\n  - 2\n---\n",
			roles("role", want{text: "hr"}, want{text: "2"}), ""},
		"any of, further in": {"---\nrequire:\n  role:\n    - hr # note\n---\n", roles("role", want{text: "hr"}), ""},
		"braces":             {"---\nrequire: {role: hr}\n---\n", roles("role", want{text: "hr"}), ""},
		"two claims": {"---\nrequire: { \"a\": [x, y], https://e.com/b: true } # both\n---\n",
			frontMatter{require: requirement{claims: []claimRequirement{
				{"a", []want{{text: "x"}, {text: "y"}}}, {"https://e.com/b", []want{{text: "true"}}}}}}, ""},
		"acr": {"---\nacr: urn:example:mfa\n---\n",
			frontMatter{require: requirement{acr: []string{"urn:example:mfa"}}}, ""},
		"several acr":     {"---\nacr: [a, b]\n---\n", frontMatter{require: requirement{acr: []string{"a", "b"}}}, ""},
		"seconds":         {"---\nmax_age: 90\n---\n", frontMatter{require: requirement{maxAge: 90 * time.Second}}, ""},
		"minutes":         {"---\nmax_age: 10m\n---\n", frontMatter{require: requirement{maxAge: 10 * time.Minute}}, ""},
		"days, in quotes": {"---\nmax_age: \"2d\"\n---\n", frontMatter{require: requirement{maxAge: 48 * time.Hour}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, body, err := readFrontMatter([]byte(test.source))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, compare); diff != "" {
				t.Error(diff)
			}
			if string(body) != test.body {
				t.Errorf("body %q, want %q", body, test.body)
			}
			sameAsYAML(t, []byte(test.source), got)
		})
	}
}

// What is not understood closes the page. Otherwise each of these would be a page whose author believes that it is
// protected.
func TestReadFrontMatterRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		source string
		line   int
	}{
		"not closed":              {"---\ntitle: a\n", 1},
		"not closed, and long":    {"---\n" + strings.Repeat("tags: x\n", 4000) + "---\n", 1},
		"TOML":                    {"+++\ntitle = 'a'\n+++\n", 1},
		"something after ---":     {"--- yaml\ntitle: a\n---\n", 1},
		"old Mac lines":           {"---\rrequire: {a: b}\r---\r", 1},
		"UTF-16":                  {"-\x00-\x00-\x00\n\x00", 1},
		"Latin-1":                 {"---\ntitle: \xe9\n---\n", 1},
		"misspelt":                {"---\nrequires:\n  role: admin\n---\n", 2},
		"in another case":         {"---\nRequire:\n  role: admin\n---\n", 2},
		"twice":                   {"---\nacr: a\nacr: b\n---\n", 3},
		"claim twice":             {"---\nrequire:\n  a: b\n  a: c\n---\n", 4},
		"nothing required":        {"---\nrequire:\n---\n", 2},
		"nothing required below":  {"---\nrequire: # later\ntitle: a\n---\n", 2},
		"require is text":         {"---\nrequire: admin\n---\n", 2},
		"require is a list":       {"---\nrequire:\n- admin\n---\n", 2},
		"require in brackets":     {"---\nrequire: [admin]\n---\n", 2},
		"claim without value":     {"---\nrequire:\n  role:\n---\n", 3},
		"claim with empty list":   {"---\nrequire:\n  role: []\n---\n", 3},
		"claim with empty text":   {"---\nrequire:\n  role: \"\"\n---\n", 3},
		"claim null":              {"---\nrequire:\n  role: null\n---\n", 3},
		"claim nested":            {"---\nrequire:\n  realm:\n    roles: a\n---\n", 3},
		"ragged":                  {"---\nrequire:\n   a: b\n  c: d\n---\n", 4},
		"tab":                     {"---\nrequire:\n\ta: b\n---\n", 3},
		"alias":                   {"---\nrequire: *x\n---\n", 2},
		"anchor":                  {"---\nrequire:\n  a: &x b\n---\n", 3},
		"tag":                     {"---\nrequire:\n  a: !!str b\n---\n", 3},
		"block text":              {"---\nrequire:\n  a: |\n    b\n---\n", 3},
		"merge key":               {"---\n<<: {a: b}\n---\n", 2},
		"list not closed":         {"---\nrequire:\n  a: [b, c\n---\n", 3},
		"list in a list":          {"---\nrequire:\n  a: [[b]]\n---\n", 3},
		"brace not closed":        {"---\nrequire: {a: b\n---\n", 2},
		"brace in a brace":        {"---\nrequire: {a: {b: c}}\n---\n", 2},
		"text after a list":       {"---\nrequire:\n  a: [b] c\n---\n", 3},
		"text after a brace":      {"---\nrequire: {a: b} c\n---\n", 2},
		"quote not closed":        {"---\nrequire:\n  a: \"b\n---\n", 3},
		"unknown escape":          {"---\ntitle: \"\\x41\"\n---\n", 2},
		"colon in a text":         {"---\ntitle: a: b\n---\n", 2},
		"title is a list":         {"---\ntitle: [a, b]\n---\n", 2},
		"indented for nothing":    {"---\n  title: a\n---\n", 2},
		"list for nothing":        {"---\ntitle: a\n- b\n---\n", 3},
		"no key":                  {"---\njust text\n---\n", 2},
		"control character":       {"---\ntitle: a\x01b\n---\n", 2},
		"acr with a space":        {"---\nacr: a b\n---\n", 2},
		"acr with a quote":        {"---\nacr: 'a\"b'\n---\n", 2},
		"acr null":                {"---\nacr: ~\n---\n", 2},
		"max_age zero":            {"---\nmax_age: 0\n---\n", 2},
		"max_age negative":        {"---\nmax_age: -1\n---\n", 2},
		"max_age of two units":    {"---\nmax_age: 1h30m\n---\n", 2},
		"max_age of a century":    {"---\nmax_age: 40000d\n---\n", 2},
		"max_age past the int":    {"---\nmax_age: 99999999999999999999\n---\n", 2},
		"max_age with a fraction": {"---\nmax_age: 1.5\n---\n", 2},
		// What YAML knows beyond the part that is taken here.
		"a second document":       {"---\ntitle: a\n--- # b\nrequire: {a: b}\n---\n", 3},
		"a document's end":        {"---\ntitle: a\n... # b\nrequire: {a: b}\n---\n", 3},
		"a directive":             {"---\n%YAML 1.1\ntitle: a\n---\n", 2},
		"YAML's other line end":   {"---\ntitle: a\u2028acr: b\n---\n", 2},
		"text on two lines":       {"---\ntitle: a\n  b\n---\n", 3},
		"quotes on two lines":     {"---\ntitle: 'a\n  b'\n---\n", 2},
		"text on the next line":   {"---\ntitle:\n  a\n---\n", 2},
		"list on two lines":       {"---\nacr: [a,\n  b]\n---\n", 2},
		"bracket on another line": {"---\nacr: [a\n  ]\n---\n", 2},
		"braces on two lines":     {"---\nrequire: {a: b,\n  c: d}\n---\n", 2},
		"comma before a bracket":  {"---\nacr: [a,]\n---\n", 2},
		"comma before a brace":    {"---\nrequire: {a: b,}\n---\n", 2},
		"claim in braces, alone":  {"---\nrequire: {a, b: c}\n---\n", 2},
		"key after a mark":        {"---\n? title\n: a\n---\n", 2},
		"claim after a mark":      {"---\nrequire: {? a : b}\n---\n", 2},
		"merge key in require":    {"---\nrequire:\n  <<: b\n---\n", 3},
		"tag without a value":     {"---\n!\n---\n", 2},
		"alias of an ignored key": {"---\ntags: &x b\nrequire:\n  a: *x\n---\n", 4},
		"anchor of a list":        {"---\nacr: &x [a]\n---\n", 2},
		"tag of a list":           {"---\nacr: !!seq [a]\n---\n", 2},
		"tag of braces":           {"---\nrequire: !!map {a: b}\n---\n", 2},
		"a mark of YAML's":        {"---\nacr: -mfa\n---\n", 2},
		"a mark before a claim":   {"---\nrequire:\n  :a: b\n---\n", 3},
		"swallowed by quotes":     {"---\ndescription: \"a\nrequire: {a: b}\n\"\n---\n", 2},
		"swallowed by brackets":   {"---\ntags: [a,\nrequire: {a: b}\n]\n---\n", 2},
		"colon before a bracket":  {"---\nacr: [a:]\n---\n", 2},
		"comment without a space": {"---\ntitle: 'a'#b\n---\n", 2},
		"error after many lines":  {"---\n" + strings.Repeat("# a\n", 100) + "title: a: b\n---\n", 102},
		// A requirement must not be lost in the value of an ignored key.
		"below a text":           {"---\ntags: a\n  require: b\n---\n", 3},
		"below a list":           {"---\ntags: [a]\n- require: b\n---\n", 3},
		"below text in quotes":   {"---\ntags: 'a'\n  require: {a: b}\n---\n", 3},
		"below no text's mark":   {"---\ntags: >a\n  require: {a: b}\n---\n", 3},
		"a colon in a tag":       {"---\ntags: require: a\n---\n", 2},
		"a quote in a list":      {"---\ntags: [a, 'b]\n---\n", 2},
		"a brace in a list":      {"---\ntags: [a, {b: 'c}'\nrequire: {a: b}\n---\n", 2},
		"text after a tag":       {"---\ntags: 'a' b\n---\n", 2},
		"text after a tags list": {"---\ntags: [a] b\n---\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, body, err := readFrontMatter([]byte(test.source))
			var parse *frontMatterError
			if !errors.As(err, &parse) {
				t.Fatalf("no error, but %+v", got)
			}
			if parse.line != test.line || parse.reason == "" {
				t.Errorf("%v: want line %d", err, test.line)
			}
			if len(body) > 0 {
				t.Errorf("an error, and yet a text: %q", body)
			}
		})
	}
}

// sameAsYAML fails the test if a YAML library reads front matter otherwise than readFrontMatter did.
func sameAsYAML(t *testing.T, source []byte, fm frontMatter) {
	t.Helper()
	lines, _, _, err := cutFrontMatter(source)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Title   string
		Require yaml.Node
		ACR     yaml.Node
		MaxAge  string `yaml:"max_age"`
	}
	err = yaml.Unmarshal([]byte("---\n"+strings.Join(lines, "\n")+"\n"), &read)
	if err != nil && slices.ContainsFunc(lines, func(text string) bool {
		return slices.ContainsFunc(ignored, func(key string) bool { return strings.Contains(text, key) })
	}) {
		return // the value of a key that is ignored
	}
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	if read.Title != fm.title {
		t.Errorf("the title is %q, in YAML %q", fm.title, read.Title)
	}
	values := func(n *yaml.Node) []want {
		if n.Kind == yaml.ScalarNode {
			n = &yaml.Node{Content: []*yaml.Node{n}}
		}
		var values []want
		for _, v := range n.Content {
			if v.Kind != yaml.ScalarNode || v.Anchor != "" || v.Tag == "!!null" {
				t.Errorf("in YAML a value is %+v", v)
			}
			values = append(values, want{v.Value, v.Style != 0})
		}
		return values
	}
	var claims []claimRequirement
	for i := 0; i < len(read.Require.Content); i += 2 {
		claims = append(claims, claimRequirement{read.Require.Content[i].Value, values(read.Require.Content[i+1])})
	}
	if diff := cmp.Diff(claims, fm.require.claims, compare); diff != "" {
		t.Error(diff)
	}
	var acr []string
	for _, v := range values(&read.ACR) {
		acr = append(acr, v.text)
	}
	if diff := cmp.Diff(acr, fm.require.acr); diff != "" {
		t.Error(diff)
	}
	if (read.MaxAge != "") != (fm.require.maxAge != 0) {
		t.Errorf("max_age is %v, in YAML %q", fm.require.maxAge, read.MaxAge)
	}
}

// FuzzFrontMatter asks that nothing which looks like front matter is ever taken
// for text, that an error names a line of the file, that a YAML library reads the
// same, and that what was understood can be written out again and means the same.
func FuzzFrontMatter(f *testing.F) {
	for _, seed := range []string{
		"---\ntitle: a\nrequire: {a: b, 'c': [d, \"e\"]}\nacr: [x]\nmax_age: 5m\n---\nHello",
		"---\nrequire:\n  https://example.com/roles:\n    - hr\n    - 'it''s'\n---\n", "\n--- \n---", "+++\n+++",
		"---\r\n---", "text",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		fm, body, err := readFrontMatter(source)
		if err != nil {
			var parse *frontMatterError
			if !errors.As(err, &parse) || parse.line < 1 || parse.line > strings.Count(string(source), "\n")+1 || body != nil {
				t.Fatalf("%#v, body %q", err, body)
			}
			return
		}
		sameAsYAML(t, source, fm)
		if strings.HasPrefix(string(source), "---\n") && len(body) == len(source) {
			t.Fatalf("front matter is shown as text")
		}
		for _, c := range fm.require.claims {
			if c.name == "" || len(c.any) == 0 {
				t.Fatalf("asks for nothing: %+v", c)
			}
			for _, w := range c.any {
				if w.text == "" {
					t.Fatalf("asks for an empty value: %+v", c)
				}
			}
		}
		again, _, err := readFrontMatter([]byte(write(fm)))
		if err != nil {
			t.Fatalf("%v:\n%s", err, write(fm))
		}
		if diff := cmp.Diff(fm, again, compare); diff != "" {
			t.Fatal(diff)
		}
	})
}

// write writes front matter as an author would who quotes all that can be quoted.
func write(fm frontMatter) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	var b strings.Builder
	b.WriteString("---\n")
	if fm.title != "" {
		b.WriteString("title: " + quote(fm.title) + "\n")
	}
	if fm.require.claims != nil {
		b.WriteString("require:\n")
	}
	for _, c := range fm.require.claims {
		b.WriteString("  " + quote(c.name) + ":\n")
		for _, w := range c.any {
			text := w.text
			if w.quoted {
				text = quote(text)
			}
			b.WriteString("    - " + text + "\n")
		}
	}
	if fm.require.acr != nil {
		b.WriteString("acr:\n")
	}
	for _, acr := range fm.require.acr {
		b.WriteString("- " + quote(acr) + "\n")
	}
	if fm.require.maxAge > 0 {
		b.WriteString("max_age: " + seconds(fm.require.maxAge) + "s\n")
	}
	return b.String() + "---\n"
}
