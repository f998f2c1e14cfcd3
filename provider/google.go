package provider

// isIssuer reports whether a token's iss names the configured issuer. Google's ID tokens may leave out its scheme
// (developers.google.com/identity, "OpenID Connect", "Validating an ID token").
func (p *Provider) isIssuer(iss string) bool {
	const google = "accounts.google.com"
	return iss == p.cfg.Issuer || iss == google && p.cfg.Issuer == "https://"+google
}
