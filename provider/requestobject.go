package provider

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strconv"
	"time"
)

// requestObjectLife is how long a request object is good. The browser may be opened some time after it was made.
const requestObjectLife = 5 * time.Minute

// signsRequests reports whether the authorization requests of the client are signed.
func (p *Provider) signsRequests(m *metadata) bool {
	return p.cfg.SignRequests || m.RequestObjectRequired
}

// requestObject returns what stands for an authorization request in its place: a request object (RFC 9101, section 4)
// and the client ID. The object is signed with the client's key, and for this provider alone.
func (p *Provider) requestObject(ctx context.Context, m *metadata, q url.Values) (url.Values, error) {
	if p.cfg.ClientKey == nil {
		p.forgetDiscovery()
		return nil, &configError{
			ReasonRequestsUnsigned, "authorization requests have to be signed, and there is no client key",
		}
	}
	key, algorithm, err := p.clientKey(ctx, m.RequestObjectAlgorithms, "request objects")
	if err != nil {
		return nil, err
	}
	now := p.providerNow()
	claims := map[string]any{
		"iss": p.cfg.ClientID, "aud": p.cfg.Issuer, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(requestObjectLife).Unix(),
	}
	for name, values := range q {
		if _, taken := claims[name]; !taken {
			claims[name] = parameterClaim(name, values)
		}
	}
	// Section 10.8: by its typ it can't be taken for a client assertion.
	signed, err := key.sign(algorithm, "oauth-authz-req+jwt", claims)
	if err != nil {
		return nil, err
	}
	return url.Values{"client_id": {p.cfg.ClientID}, "request": {signed}}, nil
}

// parameterClaim returns the value of an authorization parameter as a member of a request object: a number or an object
// where the parameter is one (RFC 9101, section 4), and a list where there are several values.
func parameterClaim(name string, values []string) any {
	if len(values) != 1 {
		return values
	}
	text := values[0]
	switch name {
	case "max_age":
		if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
			return seconds
		}
	case "claims", "authorization_details":
		if json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	}
	return text
}

// beside adds those parameters that OpenID Connect Core 1.0, section 6.1, wants beside a request object in a URL. The
// provider takes none but the object's.
func beside(object, q url.Values) url.Values {
	for _, name := range []string{"response_type", "scope"} {
		if q.Has(name) {
			object[name] = q[name]
		}
	}
	return object
}
