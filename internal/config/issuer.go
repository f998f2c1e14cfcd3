package config

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
)

// issuer finds the one value that has two names: the highest layer that sets either decides.
func (c *Config) issuer(layers []layer) error {
	for _, l := range layers {
		issuer, auth0, v, err := issuerOf(l)
		if err != nil {
			return err
		}
		if issuer != "" {
			c.Issuer, c.Auth0, c.values["issuer"] = issuer, auth0, v
			return nil
		}
	}
	return nil
}

// issuerOf returns the issuer that one layer names, "" for none. In the environment
// and in ./.env LOOPKEY_ISSUER goes before AUTH0_DOMAIN, which other programs may
// need there; a person who gives both flags, or both in one profile, must mean one.
func issuerOf(l layer) (issuer string, auth0 bool, v value, err error) {
	domain, hasDomain := l["domain"]
	named, hasIssuer := l["issuer"]
	if hasIssuer {
		if err := checkIssuer(named.text); err != nil {
			return "", false, v, named.refuse("%w", err)
		}
		issuer, auth0, v = named.text, auth0Host(named.text), named
	}
	if !hasDomain || hasIssuer && (named.from == fromEnvironment || named.from == fromDotEnv) {
		return issuer, auth0, v, nil
	}
	ofDomain, err := IssuerOfDomain(domain.text)
	if err != nil {
		return "", false, v, domain.refuse("%w", err)
	}
	if hasIssuer && issuer != ofDomain {
		return "", false, v, domain.refuse("is another issuer than the one that is given beside it: give one")
	}
	return ofDomain, true, domain, nil
}

var (
	errDomain = errors.New("is no domain, such as acme.eu.auth0.com")
	errIssuer = errors.New("is no issuer, such as https://acme.eu.auth0.com/")
	errPlain  = errors.New("must be https: plain http is for loopback hosts alone")
)

// IssuerOfDomain returns the issuer of an Auth0 tenant, https://DOMAIN/. The domain
// may be written with https:// and a slash at its end, and with a port; with http://
// only for a loopback host.
func IssuerOfDomain(domain string) (string, error) {
	text := strings.TrimSpace(domain)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" {
		return "", errDomain
	}
	// Auth0 names itself in lower case, whatever the person typed.
	issuer := u.Scheme + "://" + strings.ToLower(u.Host) + "/"
	if err := checkIssuer(issuer); errors.Is(err, errPlain) {
		return "", err
	} else if err != nil || u.User != nil || strings.ContainsAny(text, "?#") || u.Hostname() == "" {
		return "", errDomain
	}
	return issuer, nil
}

// checkIssuer holds an issuer to OpenID Connect Discovery 1.0, section 3: https, no
// query, no fragment. It is kept to the letter, since it is compared to the letter.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Opaque != "" || u.User != nil || !validHost(u) || localurl.Port(u) == 0 || strings.ContainsAny(issuer, "?#\\"):
		return errIssuer
	case strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errIssuer
	case u.Scheme == "https", u.Scheme == "http" && localurl.IsLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errPlain
	}
	return errIssuer
}

// validHost: letters, digits, dots and dashes, or an address of IPv6 in brackets.
func validHost(u *url.URL) bool {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		return net.ParseIP(host) != nil
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

func auth0Host(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".auth0.com")
}
