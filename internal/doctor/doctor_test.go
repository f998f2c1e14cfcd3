package doctor

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// A clock that is ahead takes good tokens for expired, and one that is behind takes new ones for future: the first
// needs more to break a login.
func TestSkewed(t *testing.T) {
	t.Parallel()
	for ahead, want := range map[time.Duration]State{
		0: OK, 59 * time.Second: OK, -59 * time.Second: OK, 61 * time.Second: Broken, -61 * time.Second: Warning,
		-6 * time.Minute: Broken,
	} {
		if got := skewed(ahead); got.State != want {
			t.Errorf("%v: %+v", ahead, got)
		}
	}
}

// A browser from snap or flatpak is known by the folder of its description, or of its program.
func TestSandbox(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such sandboxes")
	}
	root, home := t.TempDir(), t.TempDir()
	folders := desktopFolders(root, home)
	for _, file := range []string{
		filepath.Join(folders[0].path, "firefox_firefox.desktop"),
		filepath.Join(folders[1].path, "org.mozilla.firefox.desktop"),
		filepath.Join(folders[2].path, "com.brave.Browser.desktop"), filepath.Join(root, "flatpak", "bin", "browser"),
		filepath.Join(root, "usr", "bin", "snap"), filepath.Join(root, "usr", "bin", "firefox"),
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	linked := filepath.Join(root, "linked")
	if err := os.Symlink(filepath.Join(root, "usr", "bin", "snap"), linked); err != nil {
		t.Fatal(err)
	}
	for browser, want := range map[string]string{
		"firefox_firefox.desktop": "snap", "org.mozilla.firefox.desktop": "flatpak", "com.brave.Browser.desktop": "flatpak",
		"firefox.desktop": "", linked: "snap", filepath.Join(root, "flatpak", "bin", "browser"): "flatpak",
		filepath.Join(root, "usr", "bin", "firefox"): "", filepath.Join(root, "none"): "", "": "",
	} {
		if got := sandbox(browser, folders); got != want {
			t.Errorf("%s: %q, not %q", browser, got, want)
		}
	}
}

// A certificate of a public authority was logged in public; what a box on the way makes was not.
func TestIntercepted(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"acme.eu.auth0.com": true, "ACME.OKTA.com": true, "login.microsoftonline.com": true, "accounts.google.com": true,
		"id.acme.example": false, "auth0.com.mallory.example": false, "127.0.0.1": false, "localhost": false,
	} {
		if got := isPublicProvider(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
	logged := &x509.Certificate{Extensions: []pkix.Extension{
		{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}, {Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}},
	}}
	if isLogged(&x509.Certificate{}) || !isLogged(logged) {
		t.Error("what is logged is not told apart")
	}
	c := &x509.Certificate{Issuer: pkix.Name{Organization: []string{"Box \x1b[2J Ltd"}, CommonName: "CA"}}
	if got := signer(c); got != "Box \uFFFD[2J Ltd" {
		t.Errorf("%q", got)
	}
	if got := signer(&x509.Certificate{}); got != "nobody" {
		t.Errorf("%q", got)
	}
}
