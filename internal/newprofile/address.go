// Package newprofile makes a profile of what a person, or a team's file, says: which issuer an address means, where
// the URLs of the local server belong at a provider, what the auth0 program has to be told, and what a loopkey.toml may
// set.
package newprofile

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
)

// An Address is what was meant by what a person typed or pasted for their provider.
type Address struct {
	Issuers  []string // in the order in which they are to be tried
	ClientID string   // that the pasted URL names; ""
	Why      string   // what was pasted, where that was no issuer: "the address of Auth0's Dashboard"; ""
}

// ErrAddress says that no issuer can be made of an address. The errors that wrap it say why, and where the right one
// is.
var ErrAddress = errors.New("that is no address of a provider")

// mostAddress is how long an address may be.
const mostAddress = 4 << 10

// ReadAddress returns the issuers that an address may mean: a domain, an issuer, the URL of its metadata or of a login
// page there, or that of the provider's own console.
func ReadAddress(typed string) (Address, error) {
	text := strings.Trim(strings.TrimSpace(typed), `"'<>`)
	switch {
	case text == "":
		return Address{}, fmt.Errorf("%w: it is empty", ErrAddress)
	case len(text) > mostAddress:
		return Address{}, fmt.Errorf("%w: it is too long", ErrAddress)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return Address{}, fmt.Errorf("%w: it holds a space, or a character that is not ASCII", ErrAddress)
	}
	bare := !strings.Contains(text, "://")
	if bare {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return Address{}, fmt.Errorf("%w: such as acme.eu.auth0.com or https://login.example.com", ErrAddress)
	case u.User != nil:
		return Address{}, fmt.Errorf("%w: leave out the user before the @", ErrAddress)
	}
	u.Host = strings.ToLower(u.Host)
	if name := u.Hostname(); bare && u.Path == "" && u.Port() == "" && !strings.Contains(name, ".") &&
		!localurl.IsLoopback(name) {
		return Address{}, fmt.Errorf("%w: write the whole domain, such as %[2]s.eu.auth0.com, "+
			"or https://%[2]s for a host of that name", ErrAddress, name)
	}
	if u.Scheme == "http" && !localurl.IsLoopback(u.Hostname()) {
		u.Scheme = "https"
	}
	a, err := readURL(u)
	if err != nil {
		return Address{}, err
	}
	if a.Why == "" && !bare && strings.TrimSuffix(text, "/") != strings.TrimSuffix(a.Issuers[0], "/") {
		a.Why = "a URL of it"
	}
	return a, nil
}

// readURL returns what a URL means.
func readURL(u *url.URL) (Address, error) {
	host, parts := u.Hostname(), strings.Split(strings.Trim(u.Path, "/"), "/")
	part := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch {
	case host == "manage.auth0.com":
		return dashboard(parts)
	case strings.HasSuffix(host, ".auth0.com"):
		return one("https://" + u.Host + "/"), nil
	case strings.HasSuffix(host, "-admin.okta.com"):
		org := strings.TrimSuffix(host, "-admin.okta.com")
		return pasted("https://"+org+".okta.com", "the address of Okta's console"), nil
	case strings.HasSuffix(host, ".okta.com"):
		if part(0) == "oauth2" && part(1) != "" && part(1) != "v1" {
			return one("https://" + u.Host + "/oauth2/" + part(1)), nil
		}
		return one("https://" + u.Host), nil
	case host == "portal.azure.com", host == "entra.microsoft.com":
		return Address{}, fmt.Errorf("%w but that of the portal: it is https://login.microsoftonline.com/TENANT-ID/v2.0, "+
			"with the Directory (tenant) ID from the application's overview", ErrAddress)
	case host == "login.microsoftonline.com":
		return entra(part(0))
	case host == "console.cloud.google.com", host == "console.developers.google.com", host == "accounts.google.com":
		return one("https://accounts.google.com"), nil
	case strings.HasSuffix(host, ".console.aws.amazon.com"):
		return cognito(host, parts)
	}
	return general(u), nil
}

func one(issuer string) Address { return Address{Issuers: []string{issuer}} }

func pasted(issuer, why string) Address { return Address{Issuers: []string{issuer}, Why: why} }

// dashboard returns the tenant of a page of Auth0's Dashboard: /dashboard/REGION/TENANT/applications/CLIENT-ID/….
func dashboard(parts []string) (Address, error) {
	if len(parts) < 3 || parts[0] != "dashboard" {
		return Address{}, fmt.Errorf("%w but that of the Dashboard: "+
			"it is the Domain under Applications → your app → Settings", ErrAddress)
	}
	region, tenant := parts[1], parts[2]
	a := pasted("https://"+tenant+"."+region+".auth0.com/", "the address of Auth0's Dashboard")
	if region == "us" { // tenants from before there were regions
		a.Issuers = append(a.Issuers, "https://"+tenant+".auth0.com/")
	}
	if len(parts) > 4 && parts[3] == "applications" {
		a.ClientID = parts[4]
	}
	return a, nil
}

// entra returns the issuer of a tenant of Entra ID.
func entra(tenant string) (Address, error) {
	switch tenant {
	case "", "common", "organizations", "consumers":
		return Address{}, fmt.Errorf("%w of one tenant: put the Directory (tenant) ID into "+
			"https://login.microsoftonline.com/TENANT-ID/v2.0", ErrAddress)
	}
	return one("https://login.microsoftonline.com/" + tenant + "/v2.0"), nil
}

// cognito returns the issuer of a page of AWS's console about a user pool.
func cognito(host string, parts []string) (Address, error) {
	for _, part := range parts {
		region, _, ok := strings.Cut(part, "_")
		if ok && strings.HasPrefix(host, region+".") {
			return pasted("https://cognito-idp."+region+".amazonaws.com/"+part, "the address of AWS's console"), nil
		}
	}
	return Address{}, fmt.Errorf("%w but that of AWS's console: "+
		"it is https://cognito-idp.REGION.amazonaws.com/POOL-ID", ErrAddress)
}

// general returns what a URL of any provider means: what stands before the paths of its endpoints.
func general(u *url.URL) Address {
	path := u.EscapedPath()
	if realm, ok := strings.CutPrefix(u.Fragment, "/"); ok && strings.HasSuffix(path, "/console/") { // Keycloak's console
		realm, _, _ = strings.Cut(realm, "/")
		base, _, _ := strings.Cut(path, "/admin/")
		return pasted(u.Scheme+"://"+u.Host+base+"/realms/"+url.PathEscape(realm), "the address of Keycloak's console")
	}
	if base, realm, ok := strings.Cut(path, "/realms/"); ok {
		realm, _, _ = strings.Cut(realm, "/")
		return one(u.Scheme + "://" + u.Host + base + "/realms/" + realm)
	}
	for _, end := range []string{"/.well-known/", "/oauth2/v2.0/", "/protocol/openid-connect/", "/oauth/", "/authorize"} {
		if before, _, ok := strings.Cut(path, end); ok {
			path = before
		}
	}
	return one(u.Scheme + "://" + u.Host + path)
}
