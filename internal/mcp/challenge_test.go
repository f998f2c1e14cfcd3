package mcp

import (
	"slices"
	"strings"
	"testing"
)

func TestParseBearer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mostChallenge)
	for name, c := range map[string]struct {
		fields   []string
		metadata string
		scope    string
	}{
		"none":        {nil, "", ""},
		"bare":        {[]string{"Bearer"}, "", ""},
		"metadata":    {[]string{`Bearer resource_metadata="https://x/m"`}, "https://x/m", ""},
		"as a token":  {[]string{`bearer scope=read, resource_metadata="https://x/m"`}, "https://x/m", "read"},
		"a scope":     {[]string{`Bearer realm="a, b", scope="b a b", error=invalid_token`}, "", "a b"},
		"other case":  {[]string{`BEARER Resource_Metadata="https://x/m" , SCOPE = "a"`}, "https://x/m", "a"},
		"escaped":     {[]string{`Bearer realm="\"Basic x\", scope=\"evil", scope="a"`}, "", "a"},
		"behind":      {[]string{`Basic realm="x", Bearer scope="a"`}, "", "a"},
		"behind 68":   {[]string{`Negotiate YWJj==, Bearer scope="a"`}, "", "a"},
		"before":      {[]string{`Bearer scope="a", DPoP algs="ES256", scope="b"`}, "", "a"},
		"second":      {[]string{`Basic realm="Bearer"`, `Bearer scope="a"`}, "", "a"},
		"the first":   {[]string{`Bearer scope="a"`, `Bearer scope="b"`}, "", "a"},
		"twice":       {[]string{`Bearer scope="a", scope="b"`}, "", "a"},
		"quoted only": {[]string{`Basic realm="Bearer scope=evil"`}, "", ""},
		"no end":      {[]string{`Bearer scope="a`}, "", ""},
		"no value":    {[]string{`Bearer scope=, resource_metadata="https://x/m"`}, "https://x/m", ""},
		"no scopes":   {[]string{"Bearer scope=\"a\x7fb \u202e c \\\\ d\""}, "", "c d"},
		"too long":    {[]string{`Bearer scope="` + long + `"`, `Bearer scope="a"`}, "", "a"},
	} {
		got := parseBearer(c.fields)
		if got.metadata != c.metadata || strings.Join(got.scope, " ") != c.scope {
			t.Errorf("%s: got %q and scope %q", name, got.metadata, got.scope)
		}
	}
}

// FuzzChallenge: whatever a server sends, a scope that is taken from it can stand in a scope parameter, and what a
// quoted string holds is no parameter of its own.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="x", resource_metadata="https://x/m", scope="a b"`)
	f.Add(`Negotiate YWJj==, Basic realm="\"", Bearer error=invalid_token`)
	f.Add("Bearer scope=\"\x00\x7f\u202e\", =, ,")
	foreign := func(r rune) bool { return r <= ' ' || r > '~' }
	f.Fuzz(func(t *testing.T, field string) {
		got := parseBearer([]string{field})
		for _, scope := range got.scope {
			if scope == "" || strings.ContainsFunc(scope, foreign) {
				t.Errorf("%q has the scope %q", field, scope)
			}
		}
		if !slices.IsSorted(got.scope) {
			t.Errorf("%q is not sorted", got.scope)
		}
		quoted := `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(field) + `"`
		if inside := parseBearer([]string{quoted}); inside.metadata != "" || inside.scope != nil {
			t.Errorf("%q is read out of a quoted string: %+v", quoted, inside)
		}
	})
}
