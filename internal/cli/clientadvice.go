package cli

import (
	"cmp"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// keyPath returns the path of the client's key, as a shell reads it. An error that another process met does not say it.
func (at situation) keyPath(path string) string {
	if path == "" && at.config != nil {
		c := at.config
		path = cmp.Or(c.ClientKey, c.ClientCertificateKey, c.ClientCertificate)
	}
	return quote(cmp.Or(path, "FILE"))
}

// keyOrigin says which source names the file of the client's key or certificate.
func (at situation) keyOrigin(path string) string {
	if c := at.config; c != nil {
		for _, named := range []struct{ setting, path string }{
			{"client-key", c.ClientKey}, {"client-certificate", c.ClientCertificate},
			{"client-certificate-key", c.ClientCertificateKey},
		} {
			if named.path != "" && (path == named.path || path == "") {
				return words.Printable(c.Origin(named.setting))
			}
		}
	}
	return "--client-key, --client-certificate or the profile"
}

// proofOf says how to give what a client authenticates by: of the ways that discovery names, or the usual one.
func proofOf(methods string) string {
	secret := strings.Contains(methods, "client_secret_") || methods == ""
	var ways []string
	for _, way := range []struct {
		taken bool
		text  string
	}{
		{secret, "the client secret with --client-secret-file"},
		{strings.Contains(methods, "private_key_jwt"), "the client's key with --client-key"},
		{strings.Contains(methods, "tls_client_auth"), "the client's certificate with --client-certificate"},
	} {
		if way.taken {
			ways = append(ways, way.text)
		}
	}
	if ways == nil {
		return "what the provider takes (" + words.Printable(methods) + ")"
	}
	return strings.Join(ways, ", or ")
}

// theSecret names the client secret that was refused, and what may be meant in its place.
func (at situation) theSecret(methods string) string {
	switch c := at.config; {
	case c != nil && c.ClientKey != "":
		return "the client secret, which comes before the client key that is configured too"
	case c != nil && c.ClientCertificate != "":
		return "the client secret, which comes before the client certificate that is configured too"
	case methods != "" && !strings.Contains(methods, "client_secret_"):
		return "the client secret (the provider names no clients with one: give " + proofOf(methods) + ")"
	}
	return "the client secret"
}

// withoutKey says how to do without a client key, where the profile names one.
func (at situation) withoutKey() string {
	if at.config == nil || !strings.HasPrefix(at.config.Origin("client-key"), "profile ") {
		return ""
	}
	return "; to do without, run " + at.setting("client_key", "")
}
