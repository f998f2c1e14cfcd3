package tenant

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
)

// register registers a public native client (RFC 7591, section 3).
func (t *Tenant) register(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		RedirectURIs    []string `json:"redirect_uris"`
		LogoutURIs      []string `json:"post_logout_redirect_uris"`
		GrantTypes      []string `json:"grant_types"`
		AuthMethod      string   `json:"token_endpoint_auth_method"`
		ApplicationType string   `json:"application_type"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_client_metadata", "this is no JSON")
		return
	}
	switch {
	case len(asked.RedirectURIs) == 0 || slices.ContainsFunc(asked.RedirectURIs, isNoLoopback):
		refuse(w, http.StatusBadRequest, "invalid_redirect_uri", "a native client has redirect URIs on the loopback")
		return
	case asked.ApplicationType != "native" || asked.AuthMethod != "none",
		!slices.Contains(asked.GrantTypes, "refresh_token"):
		refuse(w, http.StatusBadRequest, "invalid_client_metadata", "only public native clients register here")
		return
	}
	c := &Client{
		ID: "registered-" + rand.Text(), RedirectURIs: asked.RedirectURIs, PostLogoutRedirectURIs: asked.LogoutURIs,
		Audiences: t.cfg.Resources,
	}
	t.registering.Lock()
	t.registered[c.ID] = c
	t.registering.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, map[string]any{
		"client_id": c.ID, "redirect_uris": c.RedirectURIs, "token_endpoint_auth_method": "none",
	})
}

func isNoLoopback(raw string) bool {
	u, err := url.Parse(raw)
	return err != nil || u.Scheme != "http" || u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback()
}

// ForgetClients makes the tenant forget the clients that registered themselves.
func (t *Tenant) ForgetClients() {
	t.registering.Lock()
	defer t.registering.Unlock()
	clear(t.registered)
}
