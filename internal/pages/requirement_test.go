package pages

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/provider"
)

// claimsOf decodes claims as the provider room does.
func claimsOf(t testing.TB, text string) provider.Claims {
	t.Helper()
	var claims provider.Claims
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func requirementOf(t testing.TB, text string) requirement {
	t.Helper()
	fm, _, err := readFrontMatter([]byte("---\n" + text + "\n---\n"))
	if err != nil {
		t.Fatal(err)
	}
	return fm.require
}

func TestCheck(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	ago := func(d time.Duration) string {
		return `{"auth_time": ` + strconv.FormatInt(now.Add(-d).Unix(), 10) + `}`
	}
	for name, test := range map[string]struct {
		require, claims string
		want            outcome
	}{
		"nothing asked":        {"title: a", `{}`, allowed},
		"a string":             {"require: {org_id: org_1}", `{"org_id": "org_1"}`, allowed},
		"another string":       {"require: {org_id: org_1}", `{"org_id": "org_10"}`, forbidden},
		"in another case":      {"require: {role: admin}", `{"role": "Admin"}`, forbidden},
		"no such claim":        {"require: {role: admin}", `{}`, forbidden},
		"a claim that is null": {"require: {role: admin}", `{"role": null}`, forbidden},
		"null is no word":      {"require: {role: 'null'}", `{"role": null}`, forbidden},
		"in a list":            {"require: {roles: admin}", `{"roles": ["user", "admin"]}`, allowed},
		"not in a list": {"require: {roles: admin}", `{"roles": ["user", "administrator"]}`,
			forbidden},
		"in an empty list":           {"require: {roles: admin}", `{"roles": []}`, forbidden},
		"in a list of a list":        {"require: {roles: admin}", `{"roles": [["admin"]]}`, forbidden},
		"part of a string":           {"require: {scope: a}", `{"scope": "a b"}`, forbidden},
		"any of":                     {"require: {roles: [hr, admin]}", `{"roles": ["hr"]}`, allowed},
		"none of":                    {"require: {roles: [hr, admin]}", `{"roles": ["dev"]}`, forbidden},
		"all claims":                 {"require: {a: x, b: y}", `{"a": "x", "b": "y"}`, allowed},
		"one claim of two":           {"require: {a: x, b: y}", `{"a": "x"}`, forbidden},
		"a boolean":                  {"require: {email_verified: true}", `{"email_verified": true}`, allowed},
		"the other boolean":          {"require: {email_verified: true}", `{"email_verified": false}`, forbidden},
		"a boolean as text":          {"require: {email_verified: true}", `{"email_verified": "true"}`, allowed},
		"quoted is no boolean":       {"require: {email_verified: 'true'}", `{"email_verified": true}`, forbidden},
		"a number":                   {"require: {level: 3}", `{"level": 3}`, allowed},
		"another number":             {"require: {level: 3}", `{"level": 30}`, forbidden},
		"a number written otherwise": {"require: {level: 3}", `{"level": 3.0}`, allowed},
		"numbers that a float64 can't tell": {"require: {level: 9007199254740993}", `{"level": 9007199254740992}`,
			forbidden},
		"a number far too large": {"require: {level: 1}", `{"level": 1e999999999}`, forbidden},
		"not a number":           {"require: {level: NaN}", `{"level": 0}`, forbidden},
		"quoted is no number":    {"require: {level: '3'}", `{"level": 3}`, forbidden},
		"an object":              {"require: {role: admin}", `{"role": {"admin": true}}`, forbidden},
		"nested": {"require: {realm_access.roles: admin}",
			`{"realm_access": {"roles": ["admin"]}}`, allowed},
		"nested deeper": {"require: {a.b.c: x}", `{"a": {"b": {"c": "x"}}}`, allowed},
		"nested, names with dots": {"require: {resource_access.my.app.roles: x}",
			`{"resource_access": {"my.app": {"roles": ["x"]}}}`, allowed},
		"nested, the last is missing": {"require: {realm_access.roles: admin}",
			`{"realm_access": {"groups": ["admin"]}}`, forbidden},
		"nested in text": {"require: {realm_access.roles: admin}", `{"realm_access": "roles"}`,
			forbidden},
		"namespaced": {"require: {https://example.com/roles: hr}",
			`{"https://example.com/roles": ["hr"]}`, allowed},
		"namespaced and nested": {"require: {https://example.com/app.roles: hr}",
			`{"https://example.com/app": {"roles": "hr"}}`, allowed},
		"the literal name first":               {"require: {a.b: x}", `{"a.b": "y", "a": {"b": "x"}}`, forbidden},
		"acr":                                  {"acr: mfa", `{"acr": "mfa"}`, allowed},
		"another acr":                          {"acr: mfa", `{"acr": "pwd"}`, stepUp},
		"no acr":                               {"acr: mfa", `{}`, stepUp},
		"one acr of several":                   {"acr: [a, b]", `{"acr": "b"}`, allowed},
		"acr that is no string":                {"acr: mfa", `{"acr": ["mfa"]}`, stepUp},
		"young enough":                         {"max_age: 10m", ago(10 * time.Minute), allowed},
		"within the leeway":                    {"max_age: 10m", ago(11 * time.Minute), allowed},
		"too old":                              {"max_age: 10m", ago(11*time.Minute + time.Second), stepUp},
		"no auth_time":                         {"max_age: 10m", `{}`, stepUp},
		"auth_time is text":                    {"max_age: 10m", `{"auth_time": "1800000000"}`, stepUp},
		"logged in tomorrow":                   {"max_age: 10m", ago(-24 * time.Hour), stepUp},
		"a claim is lacking that no login has": {"require: {a: x}\nacr: mfa", `{}`, forbidden},
		"the claim is there, acr is not":       {"require: {a: x}\nacr: mfa", `{"a": "x"}`, stepUp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := requirementOf(t, test.require).check(claimsOf(t, test.claims), now)
			if got.outcome != test.want {
				t.Errorf("%+v", got)
			}
			if (got.outcome == allowed) != (got.lacks == nil) {
				t.Errorf("explained wrongly: %+v", got)
			}
		})
	}
}

func TestStepUpAsksForAllThatThePageDoes(t *testing.T) {
	t.Parallel()
	q := requirementOf(t, "acr: [a, b]\nmax_age: 5m")
	now := time.Unix(1_800_000_000, 0)
	got := q.check(claimsOf(t, `{"acr": "b"}`), now)
	if got.outcome != stepUp || strings.Join(got.acr, " ") != "a b" || got.maxAge != 5*time.Minute {
		t.Errorf("%+v", got)
	}
}

func TestLacksAreSaidInWords(t *testing.T) {
	t.Parallel()
	got := requirementOf(t, "require: {roles: [hr, admin], org: x}").check(claimsOf(t, `{"roles": ["dev", "\u202egnp"]}`),
		time.Now())
	want := []string{
		"It asks for “hr” or “admin” in roles; your login has “dev”, “gnp” there.",
		"It asks for “x” in org; your login has no such claim.",
	}
	if strings.Join(got.lacks, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got.lacks)
	}
}
