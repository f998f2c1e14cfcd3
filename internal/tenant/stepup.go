package tenant

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// multiFactor is what a login has to ask for in acr_values after DemandMFA.
const multiFactor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"

// acrsOf returns the kinds of authentication that a request asks for: by acr_values, which is a wish, or by an
// essential claim (OpenID Connect Core 1.0, sections 3.1.2.1 and 5.5.1.1). ok is false for claims that can't be read.
func acrsOf(q url.Values) (asked []string, essential, ok bool) {
	asked = strings.Fields(q.Get("acr_values"))
	text := q.Get("claims")
	if text == "" {
		return asked, false, true
	}
	var claims struct {
		IDToken struct {
			ACR *struct {
				Essential bool     `json:"essential"`
				Value     string   `json:"value"`
				Values    []string `json:"values"`
			} `json:"acr"`
		} `json:"id_token"`
	}
	if json.Unmarshal([]byte(text), &claims) != nil {
		return nil, false, false
	}
	if acr := claims.IDToken.ACR; acr != nil && acr.Essential {
		if acr.Value != "" {
			acr.Values = append(acr.Values, acr.Value)
		}
		return acr.Values, true, true
	}
	return asked, false, true
}

// chooseACR returns the kind of authentication that the tenant makes for a request: the first one asked for that it
// has, or "". ok is false where none else would do.
func (t *Tenant) chooseACR(asked []string, essential bool) (acr string, ok bool) {
	for _, acr := range asked {
		if t.cfg.ACRs == nil || slices.Contains(t.cfg.ACRs, acr) {
			return acr, true
		}
	}
	return "", !essential || len(asked) == 0
}

// DemandMFA lets no refresh token be used any more without multi-factor authentication, as a policy of Auth0 may: a
// refresh fails with mfa_required unless its login was made by several factors.
func (t *Tenant) DemandMFA() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.demandsMFA = true
}

// refuseMFA sends what Auth0's token endpoint does where it wants another factor first.
func refuseMFA(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusForbidden, map[string]string{
		"error": "mfa_required", "error_description": "Multifactor authentication required", "mfa_token": rand.Text(),
	})
}
