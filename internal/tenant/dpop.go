package tenant

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	proofAlg    = jose.ES256
	proofWindow = time.Minute // how far the clock of a client may be off
)

// A proofError is why a DPoP proof is refused.
type proofError struct{ code, description string }

func badProof(description string) *proofError { return &proofError{"invalid_dpop_proof", description} }

// A seenProof is a proof that was accepted, and is not accepted again.
type seenProof struct{ until time.Time }

func (s *seenProof) expiry() time.Time { return s.until }

// RotateProofNonce makes the nonce of Config.ProofNonce a new one. The one before is no longer accepted.
func (t *Tenant) RotateProofNonce() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proofNonce = rand.Text()
}

// proof checks the DPoP proof of a request, by all of RFC 9449, section 4.3, and returns the thumbprint of its key: ""
// if the request has none. access is the access token beside it; "": there is none.
func (t *Tenant) proof(r *http.Request, access string) (thumbprint string, refused *proofError) {
	fields := r.Header.Values("DPoP")
	switch {
	case len(fields) == 0:
		return "", nil
	case len(fields) > 1:
		return "", badProof("there are several proofs")
	}
	signed, err := jose.ParseSignedCompact(fields[0], []jose.SignatureAlgorithm{proofAlg})
	if err != nil {
		return "", badProof("the proof is no JWT signed with ES256")
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
		return "", badProof("typ is not dpop+jwt")
	}
	key := header.JSONWebKey
	if key == nil || !key.Valid() || !key.IsPublic() {
		return "", badProof("jwk is no public key")
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return "", badProof("the signature is not that of jwk")
	}
	var claims struct {
		ID     string  `json:"jti"`
		Method string  `json:"htm"`
		Target string  `json:"htu"`
		Issued float64 `json:"iat"`
		Nonce  string  `json:"nonce"`
		Hash   string  `json:"ath"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return "", badProof("the claims can't be read")
	}
	sum := sha256.Sum256([]byte(access))
	now := t.cfg.Now()
	age := now.Sub(time.Unix(int64(claims.Issued), 0))
	switch {
	case claims.ID == "":
		return "", badProof("there is no jti")
	case claims.Method != r.Method:
		return "", badProof("htm is not " + r.Method)
	case !isTarget(claims.Target, r):
		return "", badProof("htu is another URL")
	case age > proofWindow || age < -proofWindow:
		return "", badProof("iat is too long ago, or in the future")
	case access != "" && claims.Hash != base64.RawURLEncoding.EncodeToString(sum[:]):
		return "", badProof("ath is not the hash of the access token")
	}
	digest, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", badProof("jwk has no thumbprint")
	}
	thumbprint = base64.RawURLEncoding.EncodeToString(digest)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.ProofNonce && claims.Nonce != t.proofNonce {
		return "", &proofError{"use_dpop_nonce", "the proof needs the nonce of this server"}
	}
	one := thumbprint + " " + claims.ID
	if t.proofs[one] != nil {
		return "", badProof("this proof was used before")
	}
	keep(t.proofs, one, &seenProof{now.Add(2 * proofWindow)}, now)
	return thumbprint, nil
}

// isTarget reports whether htu is the URL of a request, without its query and fragment.
func isTarget(htu string, r *http.Request) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	u, err := url.Parse(htu)
	return err == nil && !strings.ContainsAny(htu, "?#") && strings.EqualFold(u.Scheme, scheme) &&
		strings.EqualFold(u.Host, r.Host) && u.EscapedPath() == r.URL.EscapedPath()
}

// giveNonce puts the nonce for the next proof into a response.
func (t *Tenant) giveNonce(w http.ResponseWriter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cfg.ProofNonce {
		w.Header().Set("DPoP-Nonce", t.proofNonce)
	}
}

type thumbprintKey struct{}

// thumbprintOf returns the thumbprint of the key whose proof came with a request from a client; "": none.
func thumbprintOf(r *http.Request) string {
	thumbprint, _ := r.Context().Value(thumbprintKey{}).(string)
	return thumbprint
}

// withProof checks the proof of a client's request, for thumbprintOf. Where it returns false it has responded with the
// error. A tenant that offers no DPoP passes proofs over.
func (t *Tenant) withProof(w http.ResponseWriter, r *http.Request, client *Client) (*http.Request, bool) {
	if !t.cfg.DPoP {
		return r, true
	}
	t.giveNonce(w)
	thumbprint, refused := t.proof(r, "")
	if refused == nil && thumbprint == "" && client.Bound {
		refused = badProof("this client's tokens are bound to a key, and there is no proof")
	}
	if refused != nil {
		refuse(w, http.StatusBadRequest, refused.code, refused.description)
		return r, false
	}
	return r.WithContext(context.WithValue(r.Context(), thumbprintKey{}, thumbprint)), true
}

// bindsRefresh returns the thumbprint that refresh tokens are bound to: those of public clients alone are (section 5).
func bindsRefresh(client *Client, thumbprint string) string {
	if client.Secret != "" || len(client.Keys) > 0 || client.CertificateThumbprint+client.CertificateSubject != "" {
		return ""
	}
	return thumbprint
}

// grantShown returns the grant of the access token that a request shows: as a bearer token, or with a proof of the key
// that it is bound to (section 7). Where it returns nil it has responded with the error.
func (t *Tenant) grantShown(w http.ResponseWriter, r *http.Request) *accessGrant {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	t.mu.Lock()
	grant := t.access[token]
	valid := grant != nil && !grant.family.revoked && t.cfg.Now().Before(grant.expires)
	t.mu.Unlock()
	if valid && grant.certificate != "" {
		certificate := t.shown(r)
		valid = certificate != nil && thumbprint(certificate) == grant.certificate
	}
	proven := t.cfg.DPoP && strings.EqualFold(scheme, "DPoP")
	if !proven {
		if valid && scheme == "Bearer" && grant.thumbprint == "" {
			return grant
		}
		challenge(w, "Bearer", "invalid_token", "the access token is not valid")
		return nil
	}
	t.giveNonce(w)
	key, refused := t.proof(r, token)
	switch {
	case refused != nil:
		challenge(w, "DPoP", refused.code, refused.description)
	case !valid || key == "" || key != grant.thumbprint:
		challenge(w, "DPoP", "invalid_token", "the access token is not valid, or bound to another key")
	default:
		return grant
	}
	return nil
}

// challenge refuses a request to a resource (RFC 6750, section 3; RFC 9449, section 7.1).
func challenge(w http.ResponseWriter, scheme, code, description string) {
	w.Header().Set("WWW-Authenticate", scheme+` error="`+code+`"`)
	refuse(w, http.StatusUnauthorized, code, description)
}

// confirmation returns the claim cnf of an access token: what it is bound to.
func (g tokenGrant) confirmation() map[string]any {
	cnf := map[string]any{}
	if g.certificate != "" {
		cnf["x5t#S256"] = g.certificate
	}
	if g.thumbprint != "" {
		cnf["jkt"] = g.thumbprint
	}
	return cnf
}
