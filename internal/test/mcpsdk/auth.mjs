// An MCP server of the reference SDK behind the SDK's own authorization server, both on one free port of 127.0.0.1. The
// person at the authorization server agrees to everything. It writes a line of JSON with its port. GET /seen replies
// with how many requests came by method and path, POST /refuse makes all access tokens bad ones.
import express from 'express';
import { randomUUID } from 'node:crypto';
import {
	InvalidGrantError, InvalidTargetError, InvalidTokenError,
} from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

// The SDK's demo has no refresh tokens and no revocation.
class Provider extends DemoInMemoryAuthProvider {
	refreshTokens = new Map();
	constructor(resource) {
		super((asked) => asked?.href === resource.href);
		this.resource = resource;
	}
	issue(client, tokens) {
		const refresh_token = randomUUID();
		this.refreshTokens.set(refresh_token, { client_id: client.client_id, scope: tokens.scope });
		return { ...tokens, refresh_token };
	}
	async exchangeAuthorizationCode(client, code, verifier, redirectUri, resource) {
		if (resource?.href !== this.resource.href) throw new InvalidTargetError('another resource');
		return this.issue(client, await super.exchangeAuthorizationCode(client, code, verifier));
	}
	async exchangeRefreshToken(client, token, scopes, resource) {
		const grant = this.refreshTokens.get(token);
		if (grant?.client_id !== client.client_id) throw new InvalidGrantError('no such refresh token');
		if (resource?.href !== this.resource.href) throw new InvalidTargetError('another resource');
		this.refreshTokens.delete(token);
		const access_token = randomUUID();
		this.tokens.set(access_token, {
			clientId: client.client_id, scopes: grant.scope.split(' '), expiresAt: Date.now() + 3600000, resource,
		});
		return this.issue(client, { access_token, token_type: 'bearer', expires_in: 3600, scope: grant.scope });
	}
	async revokeToken(_client, { token }) {
		this.refreshTokens.delete(token);
		this.tokens.delete(token);
	}
	async verifyAccessToken(token) {
		if (!this.tokens.has(token)) throw new InvalidTokenError('unknown');
		return super.verifyAccessToken(token);
	}
}

const seen = {};
const app = express();
const http = app.listen(0, '127.0.0.1', () => {
	const origin = new URL(`http://127.0.0.1:${http.address().port}`);
	const resource = new URL('/mcp', origin);
	const provider = new Provider(resource);
	app.get('/seen', (_, res) => res.json(seen));
	app.post('/refuse', (_, res) => { provider.tokens.clear(); res.end(); });
	app.use((req, _, next) => {
		const name = `${req.method} ${req.path}`;
		seen[name] = (seen[name] ?? 0) + 1;
		next();
	});
	app.use(mcpAuthRouter({
		provider, issuerUrl: origin, resourceServerUrl: resource, scopesSupported: ['mcp:tools'],
	}));
	app.use('/mcp', requireBearerAuth({
		verifier: provider, requiredScopes: ['mcp:tools'], expectedResource: resource,
		resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource),
	}));
	app.post('/mcp', express.json(), async (req, res) => {
		const server = new McpServer({ name: 'peer', version: '1' });
		server.registerTool('hello', {}, () => ({ content: [{ type: 'text', text: `hello ${req.auth.scopes}` }] }));
		const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
		res.on('close', () => server.close());
		await server.connect(transport);
		await transport.handleRequest(req, res, req.body);
	});
	app.all('/mcp', (_, res) => res.status(405).end());
	console.log(JSON.stringify({ port: http.address().port }));
});
process.stdin.resume().on('end', () => process.exit());
