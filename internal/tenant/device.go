package tenant

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"
)

const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

const deviceLifetime = 10 * time.Minute

// A deviceGrant is a login on a device, which waits for the user (RFC 8628).
type deviceGrant struct {
	userCode string
	client   *Client
	scopes   []string
	audience []string
	expires  time.Time
	family   *family // set when the user agreed
	denied   bool
	redeemed bool
}

// deviceCode handles device authorization requests (RFC 8628, section 3.1).
func (t *Tenant) deviceCode(w http.ResponseWriter, r *http.Request) {
	client, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	audiences := r.PostForm["resource"]
	if t.cfg.Auth0 {
		audiences = r.PostForm["audience"]
	}
	if t.cfg.OneResource && len(audiences) > 1 {
		refuse(w, http.StatusBadRequest, "invalid_target", "one resource at a time")
		return
	}
	for _, audience := range audiences {
		if !slices.Contains(client.Audiences, audience) {
			refuse(w, http.StatusBadRequest, "invalid_target", "the client may not have tokens for "+audience)
			return
		}
	}
	text := rand.Text()
	d := &deviceGrant{
		userCode: text[:4] + "-" + text[4:8], client: client, scopes: strings.Fields(r.PostForm.Get("scope")),
		audience: audiences, expires: t.cfg.Now().Add(deviceLifetime),
	}
	code := rand.Text()
	t.mu.Lock()
	keep(t.devices, code, d, t.cfg.Now())
	t.mu.Unlock()
	select {
	case t.userCodes <- d.userCode:
	default: // nobody waits for it in NextUserCode
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{
		"device_code":               code,
		"user_code":                 d.userCode,
		"verification_uri":          t.url("/device"),
		"verification_uri_complete": t.url("/device") + "?user_code=" + d.userCode,
		"expires_in":                int(deviceLifetime.Seconds()),
		"interval":                  1,
	})
}

func (t *Tenant) devicePage(w http.ResponseWriter, r *http.Request) {
	session := t.browser(w, r)
	t.pages.device(w, http.StatusOK,
		devicePage{CSRF: session.csrf, UserCode: r.URL.Query().Get("user_code"), Users: t.cfg.Users})
}

// deviceLogIn handles the device page's form: the user code, and the user's email and password.
func (t *Tenant) deviceLogIn(w http.ResponseWriter, r *http.Request) {
	session := t.browser(w, r)
	if r.PostFormValue("csrf") != session.csrf {
		t.pages.problem(w, http.StatusForbidden, "This form is not from this page.")
		return
	}
	user := t.user(r.PostFormValue("email"))
	right := user != nil && user.Password == r.PostFormValue("password")
	now := t.cfg.Now()
	t.mu.Lock()
	var found *deviceGrant
	for _, d := range t.devices {
		entered := strings.TrimSpace(r.PostFormValue("user_code"))
		if strings.EqualFold(d.userCode, entered) && now.Before(d.expires) && d.family == nil {
			found = d
		}
	}
	if found != nil && right {
		if r.PostFormValue("decision") == "deny" {
			found.denied = true
		} else {
			session.user, session.authTime = user, now
			found.family = &family{
				client: found.client, user: user, browser: session, scopes: found.scopes, audiences: found.audience, authTime: now,
			}
		}
	}
	t.mu.Unlock()
	if found == nil || !right {
		t.pages.device(w, http.StatusOK, devicePage{
			CSRF: session.csrf, UserCode: r.PostFormValue("user_code"), Users: t.cfg.Users, Wrong: true,
		})
		return
	}
	t.pages.done(w, "Done", "You can go back to your device.")
}

// redeemDevice handles token requests with a device code (RFC 8628, sections 3.4 and 3.5).
func (t *Tenant) redeemDevice(w http.ResponseWriter, r *http.Request, client *Client) {
	t.mu.Lock()
	d := t.devices[r.PostForm.Get("device_code")]
	var code, description string
	switch {
	case d == nil || d.client != client || d.redeemed:
		code, description = "invalid_grant", "unknown device code"
	case d.denied:
		code, description = "access_denied", "the user declined"
	case t.cfg.Now().After(d.expires):
		code, description = "expired_token", "the device code has expired"
	case d.family == nil:
		code, description = "authorization_pending", "the user has not decided yet"
	default:
		d.redeemed = true
	}
	t.mu.Unlock()
	if code != "" {
		refuse(w, http.StatusBadRequest, code, description)
		return
	}
	d.family.bound = bindsRefresh(client, thumbprintOf(r))
	audience, _ := t.audience(d.family, r.PostForm, true)
	t.sendTokens(w, tokenGrant{
		family: d.family, scopes: d.scopes, audience: audience, refresh: true, certificate: t.boundTo(r, client),
		thumbprint: thumbprintOf(r),
	})
}

// NextUserCode waits for a device login to begin, and returns the code that its user has to enter.
func (t *Tenant) NextUserCode(ctx context.Context) (string, error) {
	select {
	case code := <-t.userCodes:
		return code, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
