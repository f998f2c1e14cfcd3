// panva's certified oidc-provider, on a port of its own choosing, for one test. It
// prints its issuer as a line of JSON, and ends when its stdin does.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTLSServer } from 'node:https';

// oidc-provider 9 asks for Node 22; this is all that it needs of it here.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
const { Provider, errors } = await import('oidc-provider');

const options = JSON.parse(process.env.PANVA_OPTIONS);
const key = (type, parameters, alg) => {
  const jwk = generateKeyPairSync(type, parameters).privateKey.export({ format: 'jwk' });
  const kid = createHash('sha256').update(jwk.x ?? jwk.n).digest('base64url');
  return { ...jwk, kid, use: 'sig', alg };
};
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const client = (id, more) => ({
  client_id: id,
  application_type: 'native', // RFC 8252: any port of a loopback redirect URI
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code', exchange],
  response_types: ['code'],
  redirect_uris: ['http://localhost/auth/callback', 'http://127.0.0.1/auth/callback'],
  post_logout_redirect_uris: ['http://localhost', 'http://127.0.0.1'],
  id_token_signed_response_alg: options.algorithm,
  ...more,
});

const server = options.certificate
  ? createTLSServer({ cert: options.certificate, key: options.key, requestCert: true, rejectUnauthorized: false })
  : createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http${options.certificate ? 's' : ''}://127.0.0.1:${server.address().port}`;
  const keyed = { token_endpoint_auth_method: 'private_key_jwt', jwks: options.clientKeys };
  const getResourceServerInfo = (_, resource) => {
    const mcp = options.mcp && resource === options.mcp;
    if (!mcp && !options.resources.includes(resource)) throw new errors.InvalidTarget();
    return {
      scope: mcp ? 'mcp:read mcp:write' : 'read write', audience: resource, accessTokenFormat: 'jwt',
      accessTokenTTL: options.accessTokenSeconds,
      jwt: { sign: { alg: 'RS256' } },
    };
  };
  const provider = new Provider(issuer, {
    clients: [
      client('public', { token_endpoint_auth_method: 'none' }),
      client('bound', { token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true }),
      client('confidential', { token_endpoint_auth_method: 'client_secret_basic', client_secret: options.secret }),
      client('machine', {
        token_endpoint_auth_method: 'client_secret_basic', client_secret: options.secret,
        grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
      }),
      client('confidential-post', { token_endpoint_auth_method: 'client_secret_post', client_secret: options.secret }),
      ...(options.clientKeys ? [
        client('keyed', keyed),
        client('keyed-signed', { ...keyed, require_signed_request_object: true, request_object_signing_alg: 'ES256' }),
        client('public-signed', {
          token_endpoint_auth_method: 'none', jwks: options.clientKeys,
          require_signed_request_object: true, request_object_signing_alg: 'ES256',
        }),
        client('certified', {
          token_endpoint_auth_method: 'self_signed_tls_client_auth', tls_client_certificate_bound_access_tokens: true,
          jwks: options.clientKeys,
        }),
      ] : []),
    ],
    jwks: {
      keys: [
        key('rsa', { modulusLength: 2048 }, 'RS256'),
        key('rsa', { modulusLength: 2048 }, 'PS256'),
        key('ec', { namedCurve: 'P-256' }, 'ES256'),
        key('ed25519', {}, 'EdDSA'),
      ],
    },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    clientAuthMethods: [
      'none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt',
      ...(options.certificate ? ['self_signed_tls_client_auth'] : []),
    ],
    // What it accepts beside the issuer, draft-ietf-oauth-rfc7523bis forbids.
    assertJwtClientAuthClaimsAndHeader: async (_, claims) => {
      if (claims.aud !== issuer) throw new errors.InvalidClientAuth('the audience is not the issuer');
    },
    cookies: { keys: [createHash('sha256').update(issuer).digest('hex')] },
    pkce: { required: () => true },
    acrValues: options.acr ? [options.acr, 'urn:example:another'] : [],
    scopes: ['openid', 'offline_access', 'profile', 'email', 'read', 'write', 'mcp:read', 'mcp:write'],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], auth_time: null, acr: null },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true }),
    }),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: options.accessTokenSeconds, AuthorizationCode: 60, DeviceCode: 300, Grant: 3600, IdToken: 600,
      Interaction: 300, RefreshToken: options.refreshTokenSeconds, Session: 3600,
    },
    features: {
      claimsParameter: { enabled: Boolean(options.acr) },
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => options.proofNonce },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: options.requirePush },
      registration: { enabled: options.register },
      requestObjects: { enabled: true },
      mTLS: {
        enabled: Boolean(options.certificate), certificateBoundAccessTokens: true, selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => {
          const der = ctx.socket.getPeerCertificate?.()?.raw;
          return der && `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----`;
        },
      },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      userinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => false,
        getResourceServerInfo,
      },
    },
  });
  // Token exchange (RFC 8693) is a grant that oidc-provider leaves to its users: the checks of the request, the client and
  // the token are its own.
  const types = 'urn:ietf:params:oauth:token-type:';
  provider.registerGrantType(exchange, async (ctx) => {
    const { params, client: asking } = ctx.oidc;
    const subject = params.subject_token_type === `${types}access_token`
      && await provider.AccessToken.find(params.subject_token);
    if (!subject || subject.clientId !== asking.clientId) throw new errors.InvalidRequest('subject_token is not accepted');
    if (![undefined, `${types}access_token`].includes(params.requested_token_type)) throw new errors.InvalidRequest();
    const info = getResourceServerInfo(ctx, params.audience);
    const token = new provider.AccessToken({
      client: asking, accountId: subject.accountId, grantId: subject.grantId, gty: 'token_exchange',
    });
    token.resourceServer = new provider.ResourceServer(params.audience, info);
    token.scope = params.scope?.split(' ').filter((one) => info.scope.split(' ').includes(one)).join(' ');
    ctx.body = {
      access_token: await token.save(), issued_token_type: `${types}access_token`, token_type: token.tokenType,
      expires_in: token.expiration, scope: token.scope,
    };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope']);
  const finished = provider.interactionFinished.bind(provider);
  provider.interactionFinished = (request, response, result, how) => {
    if (options.acr && result.login) result.login.acr = options.acr;
    return finished(request, response, result, how);
  };
  provider.on('server_error', (_, error) => console.error(error));
  // The test counts what reaches the provider.
  const counts = {};
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const path = new URL(request.url, issuer).pathname;
    if (path === '/requests') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(counts));
      return;
    }
    const name = `${request.method} ${path}`;
    counts[name] = (counts[name] ?? 0) + 1;
    answer(request, response);
  });
  process.stdin.resume().on('end', () => process.exit(0));
  console.log(JSON.stringify({ issuer }));
});
