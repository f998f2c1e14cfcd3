package provider

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/words"
)

// A Prover holds the key that the tokens of one login are bound to, and makes the proofs that go with them (DPoP, RFC
// 9449). The key is a P-256 key of that login alone. A nil Prover stands for bearer tokens. It is safe for concurrent
// use.
type Prover struct {
	private *ecdsa.PrivateKey
	now     func() time.Time
	remote  ProofMaker               // makes the proofs where this process lacks the key; nil: private does
	isOwn   func(target string) bool // reports whether a URL takes proofs without a token; nil: none does

	mu     sync.Mutex
	nonces map[string]string // the last one of each server, by its origin; "": of the provider itself
}

// BoundTokenType is the TokenType of access tokens that are bound to a key.
const BoundTokenType = "DPoP"

// proofAlgorithm is the algorithm of every proof.
const proofAlgorithm = "ES256"

// Limits of nonces.
const (
	longestNonce    = 1 << 10
	mostNonceOrigin = 32 // servers whose nonces are kept
)

// NewProver returns a prover with a new key for one login, or nil if Config.DPoP is not set. The provider has to say in
// its metadata that it knows DPoP: one that does not know DPoP passes a proof over in silence.
func (p *Provider) NewProver(ctx context.Context) (*Prover, error) {
	if !p.cfg.DPoP {
		return nil, nil
	}
	m, err := p.metadata(ctx, forLogin)
	if err != nil {
		return nil, err
	}
	if !m.offersProofs() {
		return nil, &UntrustedError{
			Check: ErrMalformed, Reason: ReasonNoDPoP,
			detail: "the provider does not say that it knows DPoP with ES256 (dpop_signing_alg_values_supported)",
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("a key for DPoP: %w", err)
	}
	return p.proverWith(private), nil
}

func (m *metadata) offersProofs() bool { return slices.Contains(m.ProofAlgorithms, proofAlgorithm) }

// maybeUnproven returns the error of a login's token request. Some providers refuse a client whose tokens they bind to
// keys with invalid_grant, and say no more, where a request has no proof.
func (m *metadata) maybeUnproven(prover *Prover, err error) error {
	if e := new(RefusedError); errors.As(err, &e) && prover == nil && e.Reason == ReasonInvalidGrant && m.offersProofs() {
		e.Reason = ReasonMaybeProofMissing
	}
	return err
}

func (p *Provider) proverWith(private *ecdsa.PrivateKey) *Prover {
	return &Prover{private: private, now: p.providerNow, isOwn: p.isTokenEndpoint, nonces: map[string]string{}}
}

// isTokenEndpoint reports whether a URL is that of the token endpoint, however it is written.
func (p *Provider) isTokenEndpoint(target string) bool {
	p.mu.Lock()
	raw := p.cache().Discovery.Raw
	p.mu.Unlock()
	m, err := p.parseMetadata(raw)
	if raw == nil || err != nil {
		return false // nobody has asked it for a token yet
	}
	return samePlace(target, m.TokenEndpoint) || samePlace(target, m.named)
}

// samePlace reports whether two URLs are one by RFC 3986, section 6.2, which servers go by when they read a proof.
func samePlace(a, b string) bool {
	place := func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			return ""
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + path.Clean("/"+u.Path)
	}
	return place(a) == place(b)
}

// A ProofMaker makes a proof for one request with an access token (see Prover.Proof), in place of this process.
type ProofMaker func(r *http.Request, token Secret, nonce string) (Secret, error)

// RemoteProver returns a prover without a key: maker, which has the key, makes its proofs. It is for requests to
// resource servers alone: a login or a renewal with it is ErrConfig.
func RemoteProver(maker ProofMaker) *Prover {
	return &Prover{remote: maker, nonces: map[string]string{}}
}

// checkOwn refuses a prover without a key for requests to the provider, whose proofs this process makes itself.
func (p *Prover) checkOwn() error {
	if p != nil && p.private == nil {
		return &configError{text: "a login or a renewal needs the key itself (DPoP), and a RemoteProver has none: " +
			"use NewProver or RestoreProver"}
	}
	return nil
}

// RestoreProver returns the prover of an earlier login, by its Key and its Nonce.
func (p *Provider) RestoreProver(key Secret, nonce string) (*Prover, error) {
	raw, err := base64.RawURLEncoding.DecodeString(key.Reveal())
	if err != nil {
		return nil, errors.New("the key for DPoP is damaged")
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, errors.New("the key for DPoP is damaged")
	}
	restored := p.proverWith(private)
	restored.keepNonce("", nonce)
	return restored, nil
}

// Key returns the private key, for a keystore. A remote prover has none.
func (p *Prover) Key() Secret {
	if p.private == nil {
		return Secret{}
	}
	raw, err := p.private.Bytes()
	if err != nil { // not reached: it is a P-256 key
		return Secret{}
	}
	return NewSecret(base64.RawURLEncoding.EncodeToString(raw))
}

// Nonce returns the last nonce of the provider itself, for RestoreProver. It is no secret.
func (p *Prover) Nonce() string { return p.nonceOf("") }

// Remember takes a Nonce that another process stored since RestoreProver.
func (p *Prover) Remember(nonce string) { p.keepNonce("", nonce) }

// Authorize sets the header fields that show an access token to a resource server: Authorization, and the proof (RFC
// 9449, section 7.1). With a nil Prover the token goes as a bearer token (RFC 6750, section 2.1).
func (p *Prover) Authorize(r *http.Request, token Secret) error {
	if p == nil {
		r.Header.Set("Authorization", "Bearer "+token.Reveal())
		return nil
	}
	proof, err := p.Proof(r, token, "")
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "DPoP "+token.Reveal())
	r.Header.Set("DPoP", proof.Reveal())
	return nil
}

// Challenged takes the nonce of a resource server's response, for the next proof. It reports whether the server refused
// the request for lack of that nonce, so that Authorize and the same request once more may do (RFC 9449, section 9).
func (p *Prover) Challenged(resp *http.Response) bool {
	return resp.Request != nil && p.asksForNonce(resp.Request.URL, resp.StatusCode, resp.Header)
}

// asksForNonce is Challenged for a response of a URL.
func (p *Prover) asksForNonce(from *url.URL, status int, h http.Header) bool {
	return p != nil && p.keepNonceIn(originOf(from), h) && status == http.StatusUnauthorized &&
		slices.ContainsFunc(h.Values("WWW-Authenticate"), func(field string) bool {
			return strings.Contains(field, "use_dpop_nonce")
		})
}

// ErrProofRequest says that there is no proof for such a request.
var ErrProofRequest = errors.New("the request that a proof is for")

// ProofRequest returns the request of a method and a URL, for Proof. Its errors wrap ErrProofRequest.
func ProofRequest(ctx context.Context, method, target string) (*http.Request, error) {
	isOther := func(r rune) bool { return r < 'A' || r > 'Z' }
	if method == "" || strings.ContainsFunc(method, isOther) {
		return nil, fmt.Errorf("%w: its method is %q: methods are in capitals, such as GET",
			ErrProofRequest, words.Line(method, 40))
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: its URL is https or http, with a host and no user", ErrProofRequest)
	}
	return (&http.Request{Method: method, URL: u, Header: http.Header{}}).WithContext(ctx), nil
}

// Proof returns a proof for one request with an access token to a resource server, for a caller that sends neither
// itself. A nonce is what the server asked for; "": the last one that this prover has seen of it. There is none for the
// provider's token endpoint, where a proof shows that a refresh token is in the right hands.
func (p *Prover) Proof(r *http.Request, token Secret, nonce string) (Secret, error) {
	if nonce != "" && !usableNonce(nonce) {
		return Secret{}, fmt.Errorf("%w: that is no nonce of a server", ErrProofRequest)
	}
	if r.Method == http.MethodPost && p.isOwn != nil && p.isOwn(ProofTarget(r)) {
		return Secret{}, fmt.Errorf("%w: it is for the provider's token endpoint, which takes no token", ErrProofRequest)
	}
	nonce = cmp.Or(nonce, p.nonceOf(originOf(r.URL)))
	if p.remote != nil {
		return p.remote(r, token, nonce)
	}
	proof, err := p.proof(r.Method, ProofTarget(r), token, nonce)
	return NewSecret(proof), err
}

// proof returns a proof (RFC 9449, section 4.2). A zero token stands for a request to the provider, which has none.
func (p *Prover) proof(method, target string, token Secret, nonce string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": target, "iat": p.now().Unix()}
	if !token.IsZero() {
		hash := sha256.Sum256([]byte(token.Reveal()))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	header := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signed, err := signJWT(p.private, proofAlgorithm, header, claims)
	if err != nil {
		return "", fmt.Errorf("a proof for DPoP: %w", err)
	}
	return signed, nil
}

// thumbprint returns the JWK thumbprint of the public key (RFC 7638), by which tokens name it.
func (p *Prover) thumbprint() string {
	sum, err := (&jose.JSONWebKey{Key: p.private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil { // not reached: it is a P-256 key
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// ProofTarget returns the URL of a request as it is sent, without its query and its fragment (RFC 9449, section 4.2).
func ProofTarget(r *http.Request) string {
	path := r.URL.EscapedPath()
	if r.URL.Opaque != "" {
		path = r.URL.Opaque[:strings.IndexAny(r.URL.Opaque+"?", "?#")]
	}
	return r.URL.Scheme + "://" + cmp.Or(r.Host, r.URL.Host) + cmp.Or(path, "/")
}

func originOf(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

func (p *Prover) nonceOf(origin string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nonces[origin]
}

// keepNonceIn keeps the nonce of a response for the next proof, and reports whether there was one that can be used.
func (p *Prover) keepNonceIn(origin string, h http.Header) bool {
	given := h.Values("DPoP-Nonce")
	return len(given) == 1 && p.keepNonce(origin, given[0])
}

func (p *Prover) keepNonce(origin, nonce string) bool {
	if !usableNonce(nonce) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.nonces[origin]; !known && len(p.nonces) >= mostNonceOrigin {
		own, told := p.nonces[""]
		clear(p.nonces)
		if told {
			p.nonces[""] = own
		}
	}
	p.nonces[origin] = nonce
	return true
}

// usableNonce reports whether a text is a nonce of a server (RFC 9449, section 8.1) that is short enough.
func usableNonce(nonce string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	return nonce != "" && len(nonce) <= longestNonce && !strings.ContainsFunc(nonce, foreign)
}

// prove puts a fresh proof into a request to the provider, in place of one that was sent.
func (p *Prover) prove(r *http.Request) error {
	if p == nil {
		return nil
	}
	proof, err := p.proof(r.Method, ProofTarget(r), Secret{}, p.nonceOf(""))
	if err == nil {
		r.Header.Set("DPoP", proof)
	}
	return err
}

// postWithNonce is postAs. Where the provider refuses the proof for lack of a nonce of its own, it has not acted on the
// request, which is sent once more with the nonce (RFC 9449, section 8).
func (p *Provider) postWithNonce(
	ctx context.Context, m *metadata, endpoint string, form url.Values, method authMethod, prover *Prover,
) (*response, error) {
	resp, err := p.postAs(ctx, m, endpoint, form, method, prover)
	if prover == nil || resp == nil {
		return resp, err
	}
	came := prover.keepNonceIn("", resp.header)
	if refused := new(RefusedError); !came || !errors.As(err, &refused) || refused.Code != "use_dpop_nonce" {
		return resp, err
	}
	resp, err = p.postAs(ctx, m, endpoint, form, method, prover)
	if resp != nil {
		prover.keepNonceIn("", resp.header)
	}
	return resp, err
}

// checkBinding compares the key that an access token is bound to with the one that the proof was made with, as far as
// that can be read: of a token that is a JWT with the claim cnf (RFC 9449, section 6.1).
func (r *tokenResponse) checkBinding(claims Claims) error {
	if r.prover == nil {
		return nil
	}
	cnf, told := claims["cnf"]
	if !told {
		return nil
	}
	if confirmation, ok := cnf.(map[string]any); ok && confirmation["jkt"] == r.prover.thumbprint() {
		return nil
	}
	return &UntrustedError{Check: ErrKeyBinding, detail: "the access token is bound to another key than this session's"}
}

// checkTokenType wants the type of token that was asked for: a proof asks for one that is bound to its key.
func (p *Provider) checkTokenType(r *tokenResponse) error {
	switch {
	case r.prover != nil && strings.EqualFold(r.TokenType, BoundTokenType):
		return nil
	case r.prover != nil:
		return &UntrustedError{
			Check: ErrTokenType, Reason: ReasonNotBound,
			detail: fmt.Sprintf("the access token is of type %q, not DPoP: it is bound to no key", p.printable(r.TokenType)),
		}
	case strings.EqualFold(r.TokenType, "Bearer"):
		return nil
	}
	e := &UntrustedError{
		Check: ErrTokenType, detail: fmt.Sprintf("the access token is of type %q, not Bearer", p.printable(r.TokenType)),
	}
	if strings.EqualFold(r.TokenType, BoundTokenType) { // it is bound to a key that nobody here has
		e.Reason = ReasonProofMissing
	}
	return e
}

// proofReason returns why the provider refused a request for its proof, or for lack of one.
func (p *Provider) proofReason(code string) Reason {
	switch {
	case !p.cfg.DPoP:
		return ReasonProofMissing
	case code == "use_dpop_nonce":
		return ReasonProofNonce
	}
	return ReasonProofRefused
}

// tokenType returns the type of the access token, however the provider writes it.
func (r *tokenResponse) tokenType() string {
	if r.prover != nil {
		return BoundTokenType
	}
	return "Bearer"
}
