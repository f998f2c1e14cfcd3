// Package mcp connects an MCP host that speaks over stdin and stdout with a remote MCP server, and has the access
// tokens for that server.
package mcp

import (
	"context"

	"github.com/loopkey/loopkey/provider"
)

// An Authorizer has the access tokens for one MCP server.
type Authorizer interface {
	// Token returns the access token for the next request. It is the zero Token before the server has asked for one.
	Token(ctx context.Context) (Token, error)
	// Challenged is told that the server refused a request: its status (401, or 403 with insufficient_scope), its
	// WWW-Authenticate fields, and the token that was sent (zero: none). It returns nil once the request may be sent
	// again.
	Challenged(ctx context.Context, status int, challenges []string, sent provider.Secret) error
}

// A Token is an access token for the MCP server.
type Token struct {
	provider.Secret
	Prover *provider.Prover // authorizes requests with the token; nil for a bearer token
}
