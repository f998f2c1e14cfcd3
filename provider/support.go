package provider

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Support is what discovery says that the provider offers. A list is nil where discovery does not mention it.
type Support struct {
	ChallengeMethods []string // of PKCE (RFC 8414, section 2)
	GrantTypes       []string
	AuthMethods      []string // of clients at the token endpoint
	// AssertionAlgorithms are those of what clients sign to authenticate.
	AssertionAlgorithms []string
	Device              bool // the device grant
	EndSession          bool // RP-initiated logout
	Revocation          bool
	Push                bool // pushed authorization requests
	PushRequired        bool // of every client
	SignedRequired      bool // authorization requests have to be signed
	NamesItself         bool // in authorization responses (RFC 9207)
	Registration        bool // of clients, by themselves
}

// Support returns what discovery says that the provider offers. It makes no request if discovery is cached and fresh.
func (p *Provider) Support(ctx context.Context) (Support, error) {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return Support{}, err
	}
	return Support{
		ChallengeMethods: m.CodeChallengeMethods, GrantTypes: m.GrantTypes, AuthMethods: m.TokenEndpointAuthMethods,
		Device: m.DeviceEndpoint != "", EndSession: m.EndSessionEndpoint != "", Revocation: m.RevocationEndpoint != "",
		Push: m.PAREndpoint != "", PushRequired: m.PARRequired, NamesItself: m.IssInResponse,
		Registration: m.RegistrationEndpoint != "", AssertionAlgorithms: m.AssertionAlgorithms,
		SignedRequired: m.RequestObjectRequired,
	}, nil
}

// CheckKeys fetches the provider's keys unless fresh ones are cached. It reports why no ID token could be verified with
// any of them.
func (p *Provider) CheckKeys(ctx context.Context) error {
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return err
	}
	keys, _, err := p.keys(ctx, m, forLogin, time.Time{})
	if err != nil {
		return err
	}
	for _, algorithm := range m.algorithms() {
		if len(fitting(keys, jose.Header{Algorithm: algorithm})) > 0 {
			return nil
		}
	}
	return &UntrustedError{Check: ErrSignature, detail: "none of the provider's keys fits an algorithm that it signs with"}
}
