package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/provider"
)

// issuer chooses the issuer. The first layer that sets a domain or an issuer decides. One of a .env that can't be used
// decides nothing.
func (c *Config) issuer(layers []layer) error {
	var fault error
	defer func() {
		if fault != nil {
			c.fault("issuer", fault)
		}
	}()
	for _, l := range layers {
		issuer, auth0, v, err := issuerOf(l)
		if err != nil && l.fromDotEnv() {
			c.notes = append(c.notes, strings.TrimPrefix(err.Error(), ErrInvalid.Error()+": ")+": it is passed over.")
			fault = err
			continue
		}
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

// issuerOf returns the issuer that one layer names, or "". In the environment LOOPKEY_ISSUER beats AUTH0_DOMAIN, which
// may be there for another program. Two flags, or two keys of one profile, must name the same issuer.
func issuerOf(l layer) (issuer string, auth0 bool, v value, err error) {
	domain, hasDomain := l["domain"]
	named, hasIssuer := l["issuer"]
	if hasIssuer {
		if err := checkIssuer(named.text); err != nil {
			return "", false, v, named.refuse("%w", named.corrected(err))
		}
		issuer, auth0, v = named.text, ofAuth0(named.text), named
	}
	if !hasDomain || hasIssuer && named.from == fromEnvironment {
		return issuer, auth0, v, nil
	}
	ofDomain, err := issuerOfDomain(domain.text)
	if err != nil {
		return "", false, v, domain.refuse("%w", domain.corrected(err))
	}
	if hasIssuer && issuer != ofDomain {
		return "", false, v, domain.refuse("%w",
			because(ReasonGivenTwice, "", "is another issuer than the one that is given beside it"))
	}
	return ofDomain, true, domain, nil
}

var (
	errDomain = errors.New("is no domain, such as acme.eu.auth0.com")
	errIssuer = errors.New("is no issuer, such as https://acme.eu.auth0.com/")
	errPlain  = errors.New("must be https: plain http is for loopback hosts alone")
)

// A correctableError says what is wrong with a value. The value that was probably meant is a part of the wrong one, so
// it is told only where that may be.
type correctableError struct{ what, meant string }

func (e *correctableError) Error() string { return e.what }

// corrected adds to an error about v what was probably meant, if v came from a flag or the environment.
func (v value) corrected(err error) error {
	var e *correctableError
	ok := errors.As(err, &e)
	if !ok || v.from != fromFlag && v.from != fromEnvironment || strings.Contains(v.text, "@") {
		return err
	}
	return fmt.Errorf("%w: it is %s", err, e.meant)
}

// issuerOfDomain returns the issuer of an Auth0 tenant, https://DOMAIN/. The domain may be written with https:// before
// it, with a port and with a slash at its end. Before a loopback host it may be http://.
func issuerOfDomain(domain string) (string, error) {
	text := strings.TrimSpace(domain)
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Path != "" && u.Path != "/" {
		if alone, err := issuerOfDomain(u.Host); err == nil {
			host := strings.TrimSuffix(strings.TrimPrefix(alone, "https://"), "/")
			return "", &correctableError{"has a path, and a domain has none", host}
		}
	}
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" {
		return "", errDomain
	}
	// Auth0's own metadata have the issuer in lower case, however the person wrote it.
	issuer := u.Scheme + "://" + strings.ToLower(u.Host) + "/"
	if err := checkIssuer(issuer); errors.Is(err, errPlain) {
		return "", err
	} else if err != nil || u.User != nil || strings.ContainsAny(text, "?#") || u.Hostname() == "" {
		return "", errDomain
	}
	return issuer, nil
}

// checkIssuer checks an issuer by OpenID Connect Discovery 1.0, section 3: https, no query, no fragment. The issuer
// itself is kept as it is written, since issuers are compared letter by letter.
func checkIssuer(issuer string) error {
	if before, _, found := strings.Cut(issuer, "/.well-known/"); found && checkIssuer(before) == nil {
		if ofAuth0(before) {
			before += "/"
		}
		return &correctableError{"is the address of the provider's metadata, which the issuer stands before", before}
	}
	return checkAddress(issuer)
}

// checkAddress checks an address of a provider: https, no query, no fragment.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.User != nil || strings.ContainsAny(address, "?#\\"):
		return errIssuer
	case !validHost(u) || localurl.Port(u) == 0:
		return errIssuer
	case strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errIssuer
	case u.Scheme == "https", u.Scheme == "http" && localurl.IsLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errPlain
	}
	return errIssuer
}

// validHost reports whether a host is letters, digits, dots, dashes and underscores, or an IPv6 address in brackets.
func validHost(u *url.URL) bool {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		return net.ParseIP(host) != nil
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// ofAuth0 reports whether an issuer is an Auth0 tenant's by its host.
func ofAuth0(issuer string) bool { return provider.Config{Issuer: issuer}.IsAuth0() }
