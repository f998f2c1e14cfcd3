package main

import (
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/panva"
)

// At a certified provider that others wrote, setup registers an application with which a login works, and a logout that
// comes back.
func TestSetupAtPanva(t *testing.T) {
	t.Parallel()
	as := panva.Start(t, panva.Options{Register: true})
	h := house.New(t, as.Issuer, "LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse")
	h.Must("setup", "-p", "made", "--issuer", as.Issuer, "--register", "--base-url", h.Base, "--no-login")
	login := h.Start("login", "-p", "made", "--no-browser", "--prompt", "consent")
	if err := as.Browse(t.Context(), login.Line(t, as.Issuer+"/")); err != nil {
		t.Fatal(err)
	}
	login.Line(t, "Logged in as")
	h.Must("token", "-p", "made")
	r := h.Run("logout", "-p", "made", "--no-browser")
	_, at, _ := strings.Cut(r.Stderr, "\n"+as.Issuer)
	at, _, _ = strings.Cut(at, "\n")
	back, err := as.Visit(t.Context(), as.Issuer+at)
	if err != nil || !strings.HasPrefix(back, h.Base) || r.Code != 0 {
		t.Errorf("the logout leads to %q, %v: %s", back, err, r.Stderr)
	}
}
