package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
)

// nonceNow returns the nonce that the server wants in proofs; "": it wants no proofs.
func (s *mcpServer) nonceNow() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nonce
}

func (s *mcpServer) setNonce(nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonce = nonce
}

// proven returns the scheme of the server's tokens, and why it refuses the proof of a request with one that is bound to
// a key (RFC 9449, section 4.3); "": it does not. Each proof is good for one request.
func (s *mcpServer) proven(r *http.Request) (scheme, refused string) {
	nonce := s.nonceNow()
	if nonce == "" {
		return "Bearer", ""
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	if !ok {
		return "DPoP", ""
	}
	signed, err := jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || signed.Signatures[0].Protected.JSONWebKey == nil {
		return "DPoP", "invalid_dpop_proof"
	}
	key := signed.Signatures[0].Protected.JSONWebKey
	payload, err := signed.Verify(key)
	var proof struct{ JTI, HTM, HTU, Nonce, ATH string }
	var claims struct {
		Confirmation struct{ JKT string } `json:"cnf"`
	}
	if err != nil || json.Unmarshal(payload, &proof) != nil || json.Unmarshal([]byte(payloadOf(token)), &claims) != nil {
		return "DPoP", "invalid_dpop_proof"
	}
	hash := sha256.Sum256([]byte(token))
	thumbprint, err := key.Thumbprint(5) // SHA-256
	encode := base64.RawURLEncoding.EncodeToString
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.proofs[proof.JTI]
	s.proofs[proof.JTI] = true
	switch {
	case err != nil, proof.JTI == "", used, proof.HTM != r.Method, proof.HTU != s.URL+r.URL.Path,
		proof.ATH != encode(hash[:]), claims.Confirmation.JKT != encode(thumbprint):
		return "DPoP", "invalid_dpop_proof"
	case proof.Nonce != nonce:
		return "DPoP", "use_dpop_nonce"
	}
	return "DPoP", ""
}

// A server that takes only tokens that are bound to a key, with its nonce in each proof, and whose authorization server
// wants a client that authenticates by a key, and requests that are pushed and signed.
func TestMCPBound(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := startMCPAt(t, func(s *mcpServer, c *tenant.Config) {
		c.DPoP, c.ProofNonce, c.RequirePAR, c.RequireSignedRequests = true, true, true, true
		c.Clients = append(c.Clients, tenant.Client{
			ID: house.Client, RedirectURIs: []string{s.house.Base + "/auth/callback"}, Audiences: []string{s.address()},
			Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k", Algorithm: "ES256"}}, Bound: true,
		})
	})
	s.resource("dpop_bound_access_tokens_required", true)
	s.setNonce("first")
	s.house.Configure(s.tenant.Issuer(), `client_key = "`+file+`"`, `client_key_id = "k"`)
	h := s.host(t)
	h.want("initialize")
	h.want("tools/list")
	s.setNonce("second")
	h.want("tools/list")
	s.tenant.Reset()
	s.refuse(s.last())
	h.want("tools/list")
	s.tenant.RotateProofNonce()
	s.refuse(s.last())
	h.want("tools/list")
	if tabs, renewals := s.opened(t), s.tenant.Requests("token"); tabs != 1 || renewals != 3 { // one for the new nonce
		t.Errorf("%d tabs, %d requests for two renewals", tabs, renewals)
	}
	h.want("write") // a login for another scope
	if tabs := s.opened(t); tabs != 2 {
		t.Errorf("%d tabs", tabs)
	}
	h.end()
	if shown := s.house.Must("status", "--all"); !strings.Contains(shown, "DPoP") {
		t.Errorf("status shows %s", shown)
	}
	s.tenant.Reset()
	s.house.Must("mcp", "logout", s.address())
	if got := s.tenant.Requests("revoke"); got != 1 {
		t.Errorf("%d revocations", got)
	}
}
