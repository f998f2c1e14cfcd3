package challenge

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mostChallenge)
	for name, c := range map[string]struct {
		fields   []string
		metadata string
		scope    string
	}{
		"none":        {nil, "", ""},
		"many fields": {slices.Repeat([]string{"Basic " + strings.Repeat("a ", 4<<10)}, 600), "", ""},
		"too late":    {[]string{"Basic " + long[:mostChallenge-8], `Bearer scope="a"`}, "", ""},
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
		got := Parse(c.fields)
		if got.Metadata != c.metadata || strings.Join(got.Scope, " ") != c.scope {
			t.Errorf("%s: got %q and scope %q", name, got.Metadata, got.Scope)
		}
	}
}

// FuzzChallenge: whatever a server sends, a scope that is taken from it can stand in a scope parameter, and what a
// quoted string holds is no parameter of its own.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="x", resource_metadata="https://x/m", scope="a b"`)
	f.Add(`Negotiate YWJj==, Basic realm="\"", Bearer error=invalid_token`)
	f.Add(`Bearer error="insufficient_user_authentication", acr_values="a b", max_age="5"`)
	f.Add("Bearer scope=\"\x00\x7f\u202e\", =, ,")
	foreign := func(r rune) bool { return r <= ' ' || r > '~' }
	f.Fuzz(func(t *testing.T, field string) {
		got := Parse([]string{field})
		for _, scope := range slices.Concat(got.Scope, got.ACR) {
			if scope == "" || strings.ContainsFunc(scope, foreign) {
				t.Errorf("%q has the scope %q", field, scope)
			}
		}
		if !slices.IsSorted(got.Scope) {
			t.Errorf("%q is not sorted", got.Scope)
		}
		quoted := `Basic realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(field) + `"`
		if inside := Parse([]string{quoted}); !reflect.DeepEqual(inside, Bearer{}) {
			t.Errorf("%q is read out of a quoted string: %+v", quoted, inside)
		}
	})
}

// What an API asks for by RFC 9470 is read, in tokens and in quoted strings, and goes before other challenges.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x ", mostScope)
	for name, c := range map[string]struct {
		fields []string
		want   Bearer
	}{
		"both": {
			[]string{`Bearer error="insufficient_user_authentication", acr_values="b a", max_age="300"`},
			Bearer{Error: InsufficientAuthentication, ACR: []string{"b", "a"}, MaxAge: 300 * time.Second, HasMaxAge: true},
		},
		"as tokens": {
			[]string{`Bearer error=insufficient_user_authentication, max_age=0`},
			Bearer{Error: InsufficientAuthentication, HasMaxAge: true},
		},
		"of DPoP": {
			[]string{`Bearer scope="a"`, `DPoP algs="ES256", error="insufficient_user_authentication", acr_values="a"`},
			Bearer{Error: InsufficientAuthentication, ACR: []string{"a"}},
		},
		"behind another": {
			[]string{`Bearer error="invalid_token"`, `DPoP algs="ES256", Bearer error="insufficient_user_authentication"`},
			Bearer{Error: InsufficientAuthentication},
		},
		"foreign text": {
			[]string{"Bearer error=\"insufficient_user_authentication\", acr_values=\"a\x1b[2J b \u202ec\", max_age=\"-1\""},
			Bearer{Error: InsufficientAuthentication, ACR: []string{"b"}},
		},
		"too long": {
			[]string{
				`Bearer error="insufficient_user_authentication", acr_values="` + long + `", max_age="99999999999999999999"`,
			},
			Bearer{Error: InsufficientAuthentication},
		},
		"an error of several words": {[]string{`Bearer error="insufficient_scope x"`}, Bearer{}},
	} {
		got := Parse(c.fields)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, not %+v", name, got, c.want)
		}
	}
}
