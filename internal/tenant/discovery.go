package tenant

import (
	"encoding/json"
	"net/http"
)

// discovery sends the metadata of OpenID Connect Discovery 1.0, section 3, and RFC 8414.
func (t *Tenant) discovery(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	signed := t.cfg.RequireSignedRequests
	t.mu.Unlock()
	doc := map[string]any{
		"issuer":                                         t.issuer,
		"authorization_endpoint":                         t.url("/authorize"),
		"token_endpoint":                                 t.url(t.path("/oauth/token", "/token")),
		"jwks_uri":                                       t.url("/.well-known/jwks.json"),
		"userinfo_endpoint":                              t.url("/userinfo"),
		"device_authorization_endpoint":                  t.url(t.path("/oauth/device/code", "/device/code")),
		"pushed_authorization_request_endpoint":          t.url(t.path("/oauth/par", "/par")),
		"require_pushed_authorization_requests":          t.cfg.RequirePAR,
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported":                     true,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported": []string{
			"authorization_code", "refresh_token", deviceGrantType, "client_credentials", exchangeType, jwtBearerType,
		},
		"subject_types_supported":                     []string{"public"},
		"id_token_signing_alg_values_supported":       []string{t.cfg.Alg},
		"require_signed_request_object":               signed,
		"request_parameter_supported":                 true,
		"request_object_signing_alg_values_supported": assertionAlgorithms(),
		"token_endpoint_auth_methods_supported": []string{
			"client_secret_basic", "client_secret_post", "private_key_jwt", "none",
		},
		"token_endpoint_auth_signing_alg_values_supported": assertionAlgorithms(),
		"code_challenge_methods_supported":                 []string{"S256"},
		"scopes_supported":                                 []string{"openid", "profile", "email", "offline_access"},
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
		"claims_supported": []string{
			"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "name", "email", "picture",
		},
	}
	if t.cfg.Certificate != nil {
		doc["mtls_endpoint_aliases"] = t.aliases()
		doc["tls_client_certificate_bound_access_tokens"] = true
		doc["token_endpoint_auth_methods_supported"] = append(doc["token_endpoint_auth_methods_supported"].([]string),
			"tls_client_auth", "self_signed_tls_client_auth")
	}
	if t.cfg.ACRs != nil {
		doc["acr_values_supported"] = t.cfg.ACRs
	}
	if len(t.cfg.Prompts) > 0 {
		doc["prompt_values_supported"] = t.cfg.Prompts
	}
	if t.cfg.OAuth {
		doc["registration_endpoint"] = t.url("/register")
	}
	if t.cfg.DPoP {
		doc["dpop_signing_alg_values_supported"] = []string{string(proofAlg)}
	}
	if !t.cfg.NoRevocation {
		doc["revocation_endpoint"] = t.url(t.path("/oauth/revoke", "/revoke"))
	}
	if !t.cfg.HideEndSession {
		doc["end_session_endpoint"] = t.url(t.path("/oidc/logout", "/logout"))
	}
	w.Header().Set("Cache-Control", t.cfg.CacheControl)
	writeJSON(w, http.StatusOK, doc)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// refuse sends an error response (RFC 6749, section 5.2).
func refuse(w http.ResponseWriter, status int, code, description string) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}
