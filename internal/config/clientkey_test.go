package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/private"
)

// A client's key is used for the client that it was set for, by the rules of the client secret. No .env sets one.
func TestAClientKeyGoesWhereItsClientComesFrom(t *testing.T) {
	t.Parallel()
	const ours = "[profile.default]\ndomain = 'acme.auth0.com'\nclient_id = 'ours'\nclient_key = '/p/key'\n" +
		"client_certificate = '/p/key'\n"
	byFlag := func(name, value string) map[string]string { return map[string]string{name: value} }
	env := []string{"LOOPKEY_CLIENT_KEY=/e/key", "LOOPKEY_CLIENT_CERTIFICATE=/e/key"}
	named := append([]string{"AUTH0_DOMAIN=acme.auth0.com", "AUTH0_CLIENT_ID=ours"}, env...)
	for name, test := range map[string]struct {
		world
		want string // "refused": the commands that need it say no
	}{
		"environment, all else too":              {world{env: named}, "/e/key"},
		"environment, client of the profile":     {world{env: env, toml: ours}, "/e/key"},
		"environment, all else in ./.env":        {world{env: env, dotEnv: stranger}, "refused"},
		"environment, ./.env over the profile":   {world{env: env, dotEnv: stranger, toml: ours}, "refused"},
		"environment, ./.env names other things": {world{env: named, dotEnv: stranger}, "/e/key"},
		"profile":                                {world{toml: ours}, "/p/key"},
		"profile, issuer in ./.env":              {world{toml: ours, dotEnv: "LOOPKEY_ISSUER=https://m.example/\n"}, ""},
		"profile, client in ./.env":              {world{toml: ours, dotEnv: "AUTH0_CLIENT_ID=mallory\n"}, ""},
		"profile, the same in ./.env":            {world{toml: ours, dotEnv: "AUTH0_CLIENT_ID=ours\n"}, "/p/key"},
		"profile, issuer by flag":                {world{toml: ours, flags: byFlag("issuer", "https://o.example")}, ""},
		"profile, client by flag":                {world{toml: ours, flags: byFlag("client-id", "other")}, ""},
		"profile without a client":               {world{toml: "[profile.default]\nclient_key='/p'", dotEnv: stranger}, ""},
		"./.env": {
			world{dotEnv: stranger + "LOOPKEY_CLIENT_KEY=/m\nLOOPKEY_CLIENT_CERTIFICATE=/m\nclient_key=/m\npar=true\n"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := load(t, test.world)
			err := c.Needs("client-key", "client-certificate")
			if test.want == "refused" {
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "./.env") ||
					c.ClientKey+c.ClientCertificate != "" {
					t.Errorf("%q, %q, %v", c.ClientKey, c.ClientCertificate, err)
				}
				return
			}
			got := filepath.ToSlash(strings.TrimPrefix(c.ClientKey, filepath.VolumeName(c.ClientKey)))
			if err != nil || got != test.want || c.Push {
				t.Errorf("%q, %v; want %q", c.ClientKey, err, test.want)
			}
		})
	}
}

// The path of a key is absolute, so that every process finds the file. keystore is no path.
func TestClientKeyPaths(t *testing.T) {
	t.Parallel()
	c := load(t, world{flags: map[string]string{"client-key": "key.pem", "client-certificate": "keystore"}})
	if !filepath.IsAbs(c.ClientKey) || filepath.Base(c.ClientKey) != "key.pem" {
		t.Errorf("%q", c.ClientKey)
	}
	if c := load(t, world{flags: map[string]string{"client-key": "keystore"}}); c.ClientKey != "keystore" {
		t.Errorf("%q", c.ClientKey)
	}
	for line, why := range map[string]string{
		"assertion_audience = 'everybody'": "issuer or token_endpoint", "client_auth = 'private_key_jwt'": "must be none",
	} {
		in := world{toml: "[profile.default]\nclient_key = 'keystore'\n" + line}.input(t)
		if _, err := Load(in); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// What the last login authenticated by counts where no source says anything of that, and for its own client alone.
func TestKeepCredentials(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	earlier := known.Client{Profile: "default", Issuer: "https://a.example", ClientID: "c", ClientKey: "/k.pem"}
	bySecret := earlier
	bySecret.ClientKey, bySecret.ClientSecretFile = "", secret
	gone := bySecret
	gone.ClientSecretFile += ".gone"
	another := earlier
	another.ClientID = "d"
	for name, c := range map[string]struct {
		earlier     known.Client
		env         string
		key, secret string
	}{
		"a key":                   {earlier, "", "/k.pem", ""},
		"another client's":        {another, "", "", ""},
		"a key is configured":     {earlier, "LOOPKEY_CLIENT_KEY=/other.pem", "/other.pem", ""},
		"a secret is configured":  {earlier, "LOOPKEY_CLIENT_SECRET=hush", "", "hush"},
		"a certificate is":        {earlier, "LOOPKEY_CLIENT_CERTIFICATE=/c.pem", "", ""},
		"a secret's file":         {bySecret, "", "", "s3cret"},
		"a secret's file is gone": {gone, "", "", ""},
		"a secret beside a file":  {bySecret, "LOOPKEY_CLIENT_SECRET=hush", "", "hush"},
	} {
		cfg, err := Load(Input{
			Flags:   map[string]string{"issuer": "https://a.example", "client-id": "c"},
			Environ: []string{private.HomeVariable() + "=" + t.TempDir(), c.env},
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg.KeepCredentials(c.earlier)
		if got, err := cfg.ClientSecret(); err != nil || got != c.secret || cfg.ClientKey != fullPath(c.key) {
			t.Errorf("%s: key %q, secret %q, %v", name, cfg.ClientKey, got, err)
		}
	}
}

// Whom assertions are made out to is nothing to authenticate by: noted or configured, it leaves the noted secret or key
// in use.
func TestKeepCredentialsBesideAnAudience(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	noted := known.Client{
		Profile: "default", Issuer: "https://a.example", ClientID: "c", ClientSecretFile: secret,
		AssertionAudience: "token_endpoint",
	}
	recalled := load(t, world{})
	recalled.Remember(noted)
	recalled.KeepCredentials(noted)
	got, err := recalled.ClientSecret()
	if err != nil || got != "s3cret" || recalled.AssertionAudience != "token_endpoint" {
		t.Errorf("noted: a secret of %d bytes, %v", len(got), err)
	}
	const profile = "[profile.default]\nissuer = 'https://a.example'\nclient_id = 'c'\nassertion_audience = 'issuer'\n"
	configured := load(t, world{toml: profile})
	configured.KeepCredentials(noted)
	if got, err := configured.ClientSecret(); err != nil || got != "s3cret" || configured.AssertionAudience != "issuer" {
		t.Errorf("configured: a secret of %d bytes, %v, for %s", len(got), err, configured.AssertionAudience)
	}
	keyed := noted
	keyed.ClientKey, keyed.ClientSecretFile = "/k.pem", ""
	configured = load(t, world{toml: profile})
	configured.KeepCredentials(keyed)
	if configured.ClientKey != fullPath("/k.pem") || configured.AssertionAudience != "issuer" {
		t.Errorf("configured: the key %q for %s", configured.ClientKey, configured.AssertionAudience)
	}
}

// The file of a secret that a flag named is for the configured client: with another one it goes to no note.
func TestSecretFileOfAnotherClient(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]string{"c": secret, "d": ""} {
		cfg := load(t, world{flags: map[string]string{
			"issuer": "https://a.example", "client-id": "c", "client-secret-file": secret,
		}})
		cfg.Remember(known.Client{Profile: "default", Issuer: "https://a.example", ClientID: client})
		if got, err := cfg.ClientSecret(); err != nil || got == "" != (want == "") || cfg.ClientSecretFile != want {
			t.Errorf("client %s: a secret of %d bytes from %q, %v", client, len(got), cfg.ClientSecretFile, err)
		}
	}
}
