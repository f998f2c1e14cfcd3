package config

import (
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/provider"
)

// ProviderOf returns by what a client asks its provider: without a client secret, and without a cache.
func ProviderOf(k known.Client) provider.Config {
	return provider.Config{
		Issuer: k.Issuer, DiscoveryURL: k.DiscoveryURL, ClientID: k.ClientID, Auth0: k.Auth0,
		AudienceParameter: k.AudienceParameter, OAuth: k.Resource != "", DPoP: k.DPoP,
		AssertionToEndpoint: k.AssertionAudience == "token_endpoint",
		Public:              k.ClientAuth == authNone,
	}
}
