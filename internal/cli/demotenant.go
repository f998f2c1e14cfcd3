package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/sharedstore"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
)

// A demo is a tenant, a keystore in memory, and a configuration by which other terminals find both.
type demo struct {
	app       *app // with nothing but the demo's configuration
	dir       string
	noBrowser bool
	tenant    *tenant.Tenant
	listener  net.Listener
	served    chan struct{}
}

// demoSocket is the socket of the demo's keystore in the demo's folder.
const demoSocket = "keystore.sock"

// demoDir makes a folder that no other user can enter. The path of the socket in it fits the system's limit, also where
// TMPDIR is long, as it is in a job of a build server or on macOS.
func (a *app) demoDir() (string, error) {
	for _, parent := range []string{os.TempDir(), a.lookup("XDG_RUNTIME_DIR"), "/tmp"} {
		if parent == "" {
			continue
		}
		dir, err := os.MkdirTemp(parent, "loopkey-demo-*") // 0700
		if err != nil {
			if parent == os.TempDir() {
				return "", fmt.Errorf("a place for the demo: %w: set TMPDIR to a folder that you can write in", err)
			}
			continue
		}
		if len(filepath.Join(dir, demoSocket)) <= localhost.LongestSocket {
			return dir, nil
		}
		_ = os.RemoveAll(dir)
	}
	return "", fmt.Errorf("a place for the demo: %s is too long for a socket in it: set TMPDIR", os.TempDir())
}

// start starts the tenant and the keystore, and writes the configuration.
func (d *demo) start(ctx context.Context) error {
	baseURL, err := d.baseURL(ctx)
	if err != nil {
		return err
	}
	d.tenant, err = tenant.Start(ctx, tenant.Config{
		Auth0: true, Rotate: true, OneClick: true, AccessTokenLifetime: 5 * time.Minute,
		Clients: []tenant.Client{{
			ID: demoClient, RedirectURIs: []string{baseURL + login.CallbackPath},
			PostLogoutRedirectURIs: []string{baseURL}, Audiences: []string{demoAPI},
		}},
		Users: []tenant.User{{
			Subject: "demo|ada", Email: demoEmail, Name: "Ada Lovelace", Password: demoPassword,
			Claims: map[string]any{"nickname": "ada", "https://demo.example/roles": []string{"mathematician", "admin"}},
		}},
	})
	if err != nil {
		return fmt.Errorf("the demo tenant: %w", err)
	}
	socket := filepath.Join(d.dir, demoSocket)
	if d.listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", socket); err != nil {
		d.tenant.Close()
		return fmt.Errorf("the demo's keystore: %w", err)
	}
	d.served = make(chan struct{})
	go func() {
		defer close(d.served)
		_ = sharedstore.Serve(ctx, d.listener, keystore.Memory()) // it ends when its listener does
	}()
	return d.configure(baseURL, socket)
}

func (d *demo) close() {
	_ = d.listener.Close()
	<-d.served
	d.tenant.Close()
}

// baseURL returns the configured base URL, or one with a free port where the default port is taken: the demo's tenant
// is made after that, for the callback URL of that port.
func (d *demo) baseURL(ctx context.Context) (string, error) {
	cfg, err := d.app.configure()
	if err != nil {
		return "", err
	}
	listener, _, err := localhost.ListenFirst(ctx, cfg.Ports()...)
	if err == nil {
		cfg.UsePort(listener.Port())
		return cfg.BaseURL, listener.Close()
	}
	if taken := new(loopback.PortTakenError); !errors.As(err, &taken) || cfg.Origin("base-url") != "default" ||
		cfg.Origin("port") != "default" {
		return "", err
	}
	free, err := localhost.ListenPort(ctx, 0)
	if err != nil {
		return "", err
	}
	d.app.say("Port 3000 is taken, so the demo uses %d.", free.Port())
	return "http://localhost:" + strconv.Itoa(free.Port()), free.Close()
}

// configure writes the demo's configuration. From then on the demo uses no other.
func (d *demo) configure(baseURL, socket string) error {
	path := filepath.Join(d.dir, "config.toml")
	content := fmt.Sprintf(`# The configuration of a running loopkey demo
[profile.default]
domain = %q
client_id = %q
audience = %q
base_url = %q
keystore = %q
state_dir = %q
cache_dir = %q
`, strings.TrimSuffix(d.tenant.Issuer(), "/"), demoClient, demoAPI, baseURL, keystores.Socket(socket),
		filepath.Join(d.dir, "state"), filepath.Join(d.dir, "cache"))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("the demo's configuration: %w", err)
	}
	demo := *d.app
	demo.flags = map[string]string{}
	demo.env = append(environ.Browsing(d.app.env), "LOOPKEY_CONFIG="+path)
	demo.isolated = true
	d.app = &demo
	return nil
}

// export returns the line by which another terminal uses the demo's configuration, and what loopkey is called there.
func (d *demo) export() (line, program string) {
	config := filepath.Join(d.dir, "config.toml")
	program, path, err := ownProgram()
	folder := ""
	switch {
	case err != nil:
		program = appName
	case program != appName: // no loopkey in PATH is this one, such as that of go run
		program = words.Shell(filepath.Base(path))
		folder = filepath.Dir(path)
	}
	if runtime.GOOS == "windows" {
		line = "$env:LOOPKEY_CONFIG = '" + config + "'"
		if folder != "" {
			line += "; $env:PATH = '" + folder + ";' + $env:PATH"
		}
		return line, strings.TrimSuffix(program, ".exe")
	}
	line = "export LOOPKEY_CONFIG=" + words.Shell(config)
	if folder != "" {
		line += " PATH=" + words.Shell(folder) + `:"$PATH"`
	}
	return line, program
}
