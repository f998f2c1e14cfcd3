package hostile

import (
	"context"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// A listener records all requests to a provider.
type listener struct {
	expected bool // requests are expected

	mu    sync.Mutex
	heard strings.Builder
}

func listen(p *Provider) *listener {
	l := &listener{}
	for _, endpoint := range []string{Discovery, Keys, Authorize, Token, UserInfo, Revoke, Device, Push, EndSession, ""} {
		p.On(endpoint, func(_ http.ResponseWriter, r *http.Request) bool {
			request, _ := httputil.DumpRequest(r, true)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.heard.Write(request)
			return false
		})
	}
	return l
}

func (l *listener) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard.String()
}

// The .env of a folder that the user changes into, such as a cloned repository, may name a tenant of its own. It can't
// run a program, weaken a check or get anything of an existing session.
func TestStrangersFolder(t *testing.T) {
	t.Parallel()
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte("secret-of-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	const nasty = `
LOOPKEY_KEYSTORE=file
LOOPKEY_KEYSTORE_DIR=@dir
LOOPKEY_PASSPHRASE=known
LOOPKEY_CONFIG=@dir/config.toml
LOOPKEY_PROFILE=other
LOOPKEY_CLIENT_SECRET_FILE=@secret
LOOPKEY_AUTH0=true
LOOPKEY_INSECURE=1
BROWSER=@dir/started
PAGER=@dir/started
EDITOR=@dir/started
SHELL=@dir/started
PATH=@dir
LD_PRELOAD=@dir/started
HOME=@dir
XDG_CONFIG_HOME=@dir
XDG_STATE_HOME=@dir
XDG_CACHE_HOME=@dir
XDG_RUNTIME_DIR=@dir
TMPDIR=@dir
DBUS_SESSION_BUS_ADDRESS=unix:path=@dir/bus
HTTP_PROXY=http://@evil
HTTPS_PROXY=http://@evil
http_proxy=http://@evil
NO_PROXY=
SSL_CERT_FILE=@dir/ca.pem
SSL_CERT_DIR=@dir
GODEBUG=x509sha1=1
GOTRACEBACK=crash
`
	for name, dotenv := range house.Some(map[string]string{
		"tenant and client":  "LOOPKEY_ISSUER=http://@evil\nLOOPKEY_CLIENT_ID=@client\n",
		"Auth0's names":      "ISSUER_BASE_URL=http://@evil\nAUTH0_CLIENT_ID=@client\nLOOPKEY_ISSUER=http://@evil\n",
		"tenant":             "LOOPKEY_ISSUER=http://@evil\n",
		"client":             "LOOPKEY_CLIENT_ID=mallory\n",
		"audience and scope": "LOOPKEY_AUDIENCE=https://mallory.example.com\nLOOPKEY_SCOPE=openid offline_access evil\n",
		"base URL":           "APP_BASE_URL=http://@evil\n",
		"another's base URL": "APP_BASE_URL=https://mallory.example.com\n",
		"secret":             "LOOPKEY_CLIENT_SECRET=of-the-folder\nLOOPKEY_ISSUER=http://@evil\nLOOPKEY_CLIENT_ID=@client\n",
		"nothing":            "",
	}) {
		for _, secret := range []string{"", "secret-of-the-environment"} {
			t.Run(name+"/"+secret, func(t *testing.T) {
				t.Parallel()
				honest, evil := Start(t), Start(t)
				heard := listen(evil)
				var env []string
				if secret != "" {
					honest.Demand(secret)
					env = []string{"LOOPKEY_CLIENT_SECRET=" + secret}
				}
				w := worldOf(t, honest, env...)
				text := strings.NewReplacer(
					"@evil", strings.TrimPrefix(evil.Issuer(), "http://"), "@secret", secretFile, "@client", house.Client,
				).Replace(dotenv + nasty)
				heard.expected = secret == "" && strings.Contains(dotenv, "@client")
				// then it is the user's own session
				same := !strings.Contains(dotenv, "ISSUER") && !strings.Contains(dotenv, "CLIENT_ID")
				visitFolder(t, w, heard, text, same)
			})
		}
	}
}

// visitFolder runs every command in a folder with this .env, with programs and a config.toml in it.
func visitFolder(t *testing.T, w *world, stranger *listener, dotenv string, same bool) {
	t.Helper()
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	for path, content := range map[string]string{
		".env": strings.ReplaceAll(dotenv, "@dir", dir), "started": "#!/bin/sh\n: >" + started + ".yes\n",
		"config.toml":         "[profile.default]\nissuer = \"https://mallory.example.com/\"\nclient_id = \"evil\"\n",
		"loopkey/config.toml": "[profile.default]\nissuer = \"https://mallory.example.com/\"\nclient_id = \"evil\"\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"xdg-open", "open", "sh", "security", "dbus-launch", "age", "x-www-browser"} {
		if err := os.Symlink(started, filepath.Join(dir, program)); err != nil {
			part.Missing(t, "no links on this system: %v", err)
		}
	}
	was, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"token", "token --force-refresh", "token --id-token", "token -o header", "status", "status -o json", "exec -- true",
		"login --timeout 3s", "login --device --timeout 3s", "token", "token --force-refresh", "logout --no-browser",
		"logout --local",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		args := strings.Fields(command)
		cmd := w.house.Command(ctx, args...)
		cmd.Dir = dir
		if same && args[0] == "logout" { // it is the same session
			cancel()
			continue
		}
		r := w.house.Finish(cmd)
		if ctx.Err() != nil {
			t.Errorf("%s hangs: %s", command, r.Stderr)
		}
		cancel()
		for _, secret := range w.Secrets() {
			if !same && strings.Contains(r.Stdout+r.Stderr, secret) {
				t.Errorf("%s hands out a token of another session", command)
			}
		}
	}
	serving := w.house.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := w.house.Command(ctx, "serve")
		cmd.Dir = dir
		return cmd
	})
	line, err := serving.Stderr.ReadString('\n')
	if refused := strings.Contains(line, "is not sent to an issuer") ||
		strings.Contains(dotenv, "APP_BASE_URL"); err != nil || !refused && !strings.HasPrefix(line, "Serving http://") {
		t.Errorf("serve says %q, %v", line, err)
	}
	all := stranger.text()
	for _, secret := range append(w.Secrets(), "secret-of-the-environment", "secret-of-a-file", house.Email) {
		if strings.Contains(all, secret) {
			t.Error("the stranger was told something of the session, or a secret")
		}
	}
	if stranger.expected && all == "" {
		t.Error("the stranger's tenant was never asked: is the .env read?")
	}
	if _, err := os.Stat(started + ".yes"); err == nil {
		t.Error("a program of the folder was run")
	}
	if now, err := os.ReadDir(dir); err != nil || len(now) != len(was) {
		t.Errorf("the folder holds %v, %v", now, err)
	}
	if !same {
		w.unharmed(t)
	}
	w.restore(t)
	w.house.Must("token") // in another folder nothing has changed
}

// A .env that calls the provider of a session an Auth0 tenant does not make loopkey use the refresh token for an API of
// the .env's choice: a provider that is not Auth0 may end the session over that.
func TestStrangersTenant(t *testing.T) {
	t.Parallel()
	w := worldOf(t, StartAt(t, "/"))
	good := w.house.Must("token")
	w.Reset()
	dir := t.TempDir()
	run := func(dotenv string, args ...string) house.Result {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		cmd := w.house.Command(ctx, args...)
		cmd.Dir = dir
		return w.house.Finish(cmd)
	}
	tenant := "AUTH0_DOMAIN=" + strings.TrimSuffix(w.Issuer(), "/") + "\nAUTH0_CLIENT_ID=" + house.Client + "\n"
	for _, args := range [][]string{{"token"}, {"token", "--force-refresh"}, {"exec", "--", "true"}} {
		r := run(tenant+"AUTH0_AUDIENCE=https://mallory.example.com\n", args...)
		house.Refused(t, r, 3, "loopkey login ", "--audience https://mallory.example.com")
	}
	w.count(t, map[string]int{Token: 0})
	w.unharmed(t)
	if r := run(tenant, "token"); r.Code != 0 || r.Stdout != good {
		t.Errorf("a folder that names the tenant of the session: exit %d: %s", r.Code, r.Stderr)
	}
}
