package config

import (
	"errors"
	"slices"
	"strings"
)

// An Auth0 tenant may have several domains: its own under auth0.com, and those of brands. Each is an issuer of its own
// in the tokens that are got there, so a session belongs to one of them. A profile lists the others in other_domains.
// Where one of these is named, by a flag, the environment or a .env, the domain of the profile is meant: so there is
// one session, and its tokens go to the one issuer that made them. What the profile does not list is another provider.

// sameTenant has the layers that name another domain of the profile's tenant name the profile's own.
func sameTenant(profile layer, layers ...layer) {
	own, _, _, err := issuerOf(profile)
	others := issuersOf(profile["other-domains"].text)
	if err != nil || own == "" || len(others) == 0 {
		return
	}
	for _, l := range layers {
		named, _, v, err := issuerOf(l)
		if err != nil || !slices.Contains(others, named) {
			continue
		}
		delete(l, "domain")
		delete(l, "issuer")
		for _, name := range []string{"domain", "issuer"} {
			if its, ok := profile[name]; ok {
				its.from, its.origin, its.key = v.from, v.origin, v.key
				l[name] = its
			}
		}
	}
}

// issuersOf returns the issuers of the domains in a list with spaces between.
func issuersOf(domains string) []string {
	var issuers []string
	for _, domain := range strings.Fields(domains) {
		if issuer, err := issuerOfDomain(domain); err == nil {
			issuers = append(issuers, issuer)
		}
	}
	return issuers
}

func checkOtherDomains(v value) error {
	if len(issuersOf(v.text)) != len(strings.Fields(v.text)) {
		return errors.New(`holds what is no domain: it is a list such as "login.acme.example acme.eu.auth0.com"`)
	}
	return nil
}
