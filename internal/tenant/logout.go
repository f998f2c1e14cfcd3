package tenant

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// endSession handles OpenID Connect RP-Initiated Logout 1.0, section 2. Without an id_token_hint it asks the user
// first.
func (t *Tenant) endSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		t.pages.problem(w, http.StatusBadRequest, "The request can't be read.")
		return
	}
	q := r.Form
	client := t.client(q.Get("client_id"))
	if hint := q.Get("id_token_hint"); hint != "" {
		claims, ok := t.verifyOwn(hint)
		hinted, _ := claims["aud"].(string)
		if !ok || client != nil && client.ID != hinted {
			t.pages.problem(w, http.StatusBadRequest, "The id_token_hint is not an ID token of this tenant for this client.")
			return
		}
		client = t.client(hinted)
	}
	back := q.Get("post_logout_redirect_uri")
	if back != "" && (client == nil || !client.returnsTo(back)) {
		t.pages.problem(w, http.StatusBadRequest, "The post_logout_redirect_uri is not among the allowed logout URLs.")
		return
	}
	session := t.browser(w, r)
	if q.Get("id_token_hint") == "" && q.Get("csrf") != session.csrf {
		t.pages.askLogout(w, logoutPage{
			Action: r.URL.Path, CSRF: session.csrf, ClientID: q.Get("client_id"), Back: back, State: q.Get("state"),
		})
		return
	}
	t.end(r.Context(), session)
	if back == "" {
		t.pages.done(w, "Logged out", "You are logged out of the demo tenant.")
		return
	}
	redirectBack(w, back, q.Get("state"))
}

// v2Logout handles GET /v2/logout, Auth0's older logout.
func (t *Tenant) v2Logout(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := q.Get("returnTo")
	client := t.client(q.Get("client_id"))
	if back != "" && (client == nil || !client.returnsTo(back)) {
		t.pages.problem(w, http.StatusBadRequest,
			`The "returnTo" querystring parameter is not among the Allowed Logout URLs.`)
		return
	}
	t.end(r.Context(), t.browser(w, r))
	if back == "" {
		t.pages.done(w, "OK", "Logged out.")
		return
	}
	redirectBack(w, back, "")
}

func redirectBack(w http.ResponseWriter, back, state string) {
	if state != "" {
		target, err := url.Parse(back)
		if err == nil {
			q := target.Query()
			q.Set("state", state)
			target.RawQuery = q.Encode()
			back = target.String()
		}
	}
	w.Header().Set("Location", back)
	w.WriteHeader(http.StatusSeeOther)
}

// end ends a browser's session and notifies the clients that registered a back-channel logout URI.
func (t *Tenant) end(ctx context.Context, session *browserSession) {
	t.mu.Lock()
	user, clients := session.user, session.clients
	session.user, session.clients = nil, nil
	t.mu.Unlock()
	for _, id := range clients {
		if client := t.client(id); client != nil && client.BackchannelLogoutURI != "" && user != nil {
			_ = t.notify(ctx, client, user.Subject, session.id)
		}
	}
}

// LogoutToken returns a signed logout token. A test can make it invalid by changing its claims in change.
func (t *Tenant) LogoutToken(clientID, subject, sessionID string, change func(map[string]any)) (string, error) {
	now := t.cfg.Now()
	claims := map[string]any{
		"iss": t.issuer, "aud": clientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sessionID != "" {
		claims["sid"] = sessionID
	}
	if change != nil {
		change(claims)
	}
	return t.sign("logout+jwt", claims)
}

// notify sends a client a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.5).
func (t *Tenant) notify(ctx context.Context, client *Client, subject, sessionID string) error {
	token, err := t.LogoutToken(client.ID, subject, sessionID, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, client.BackchannelLogoutURI,
		strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return fmt.Errorf("tenant: back-channel logout: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return fmt.Errorf("tenant: back-channel logout: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("tenant: back-channel logout: the client responded %s", resp.Status)
	}
	return nil
}
