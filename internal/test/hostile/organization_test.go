package hostile

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// A login for an Auth0 organization must be of that organization. Otherwise the members of every organization of the
// tenant could log in.
func TestOrganization(t *testing.T) {
	t.Parallel()
	w := worldOf(t, StartAt(t, "/"))
	login := func(asked string) []string {
		return []string{"login", "--domain", strings.TrimSuffix(w.Issuer(), "/"), "--organization", asked}
	}
	both := func(id, name string) func(map[string]any) {
		return func(c map[string]any) { c["org_id"], c["org_name"] = id, name }
	}
	all := make(worlds, 1)
	all <- w
	all.refuse(t, map[string]trial{
		"another": {
			lies: Lies{Claims: set("org_id", "org_2")}, args: login("org_1"), words: `organization "org_2", not "org_1"`,
		},
		"none":            {lies: Lies{}, args: login("org_1"), words: "of no organization"},
		"a_list":          {lies: Lies{Claims: set("org_id", []any{"org_1"})}, args: login("org_1"), words: "organization"},
		"an_ID_as_a_name": {lies: Lies{Claims: both("org_2", "org_1")}, args: login("org_1"), words: "organization"},
		"another_name": {
			lies: Lies{Claims: both("org_1", "mallory")}, args: login("acme"), words: `organization "mallory", not "acme"`,
		},
		"no_name":           {lies: Lies{Claims: set("org_id", "org_1")}, args: login("acme"), words: "org_…"},
		"a_name_as_an_ID":   {lies: Lies{Claims: set("org_id", "acme")}, args: login("acme"), words: "organization"},
		"begins_alike":      {lies: Lies{Claims: set("org_id", "org_12")}, args: login("org_1"), words: "organization"},
		"escapes_made_safe": {lies: Lies{Claims: set("org_id", "org_\x1b[2J")}, args: login("org_1"), words: "organization"},
	})
	all.accept(t, map[string]trial{
		"by_ID":          {lies: Lies{Claims: both("org_1", "acme")}, args: login("org_1")},
		"by_name":        {lies: Lies{Claims: both("org_1", "acme")}, args: login("acme")},
		"name_of_a_case": {lies: Lies{Claims: both("org_1", "acme")}, args: login("ACME")},
	})
}

// Every renewal must name the organization of the login.
func TestOrganizationRenewed(t *testing.T) {
	t.Parallel()
	w := worldOf(t, StartAt(t, "/"))
	domain := strings.TrimSuffix(w.Issuer(), "/")
	w.Lie(Lies{Claims: set("org_id", "org_1")})
	w.house.Must("login", "--domain", domain)
	w.was = w.stored(t)
	w.Lie(Lies{Claims: set("org_id", "org_2")})
	house.Refused(t, w.house.Run("token", "--domain", domain, "--force-refresh"), 4, "another organization")
	w.unharmedButRotated(t)
	w.Lie(Lies{Claims: set("org_id", "org_1")})
	w.house.Must("token", "--domain", domain, "--force-refresh")
	w.Confess() // without an organization in the ID token
	w.house.Must("token", "--domain", domain, "--force-refresh")
	w.was = w.stored(t)
	w.Lie(Lies{Claims: set("org_id", "org_2")})
	house.Refused(t, w.house.Run("token", "--domain", domain, "--force-refresh"), 4, "another organization")
	w.unharmedButRotated(t)
}
