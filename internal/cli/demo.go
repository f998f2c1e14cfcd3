package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// The demo's person, client and API.
const (
	demoClient   = "loopkey-demo"
	demoAPI      = "https://api.demo.example/"
	demoEmail    = "ada@demo.example"
	demoPassword = "analytical-engine"
)

func (a *app) demo() *cobra.Command {
	var f struct{ once, noBrowser bool }
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try loopkey without an account",
		Long: `Starts an OpenID provider of its own on this machine and logs you in to it, through
the very code of a real login. The session stays in memory; nothing is left behind.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runDemo(cmd.Context(), f.once, f.noBrowser)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.once, "once", false, "need no person: log in, show each step, log out, end")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "print the URL instead of opening it")
	return cmd
}

func (a *app) runDemo(ctx context.Context, once, noBrowser bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "loopkey-demo-*") // 0700
	if err != nil {
		return fmt.Errorf("a place for the demo: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	d := &demo{app: a, dir: dir, noBrowser: noBrowser}
	if err := d.start(ctx); err != nil {
		return err
	}
	defer d.close()
	if once {
		return d.once(ctx)
	}
	return d.play(ctx)
}

// A demo is a tenant, a keystore in memory, and the configuration that leads other terminals to both.
type demo struct {
	app       *app // with the demo's configuration alone
	dir       string
	noBrowser bool
	tenant    *tenant.Tenant
	listener  net.Listener
	served    chan struct{}
}

func (d *demo) start(ctx context.Context) error {
	baseURL, err := d.baseURL(ctx)
	if err != nil {
		return err
	}
	d.tenant, err = tenant.Start(ctx, tenant.Config{
		Auth0: true, Rotate: true, AccessTokenLifetime: 5 * time.Minute,
		Clients: []tenant.Client{{
			ID: demoClient, RedirectURIs: []string{baseURL + "/auth/callback"},
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
	socket := filepath.Join(d.dir, "keystore.sock")
	if d.listener, err = (&net.ListenConfig{}).Listen(ctx, "unix", socket); err != nil {
		d.tenant.Close()
		return fmt.Errorf("the demo's keystore: %w", err)
	}
	d.served = make(chan struct{})
	go func() {
		defer close(d.served)
		_ = keystore.Serve(ctx, d.listener, keystore.Memory()) // it ends when its listener does
	}()
	return d.configure(baseURL, socket)
}

func (d *demo) close() {
	_ = d.listener.Close()
	<-d.served
	d.tenant.Close()
}

// baseURL is the configured one; where the usual port is taken, the demo takes another, for its tenant accepts any.
func (d *demo) baseURL(ctx context.Context) (string, error) {
	cfg, err := d.app.configure()
	if err != nil {
		return "", err
	}
	listener, err := loopback.Listen(ctx, cfg.BaseURL)
	if err == nil {
		return cfg.BaseURL, listener.Close()
	}
	if taken := new(loopback.PortTakenError); !errors.As(err, &taken) || cfg.Origin("base-url") != "default" {
		return "", err
	}
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := free.Addr().(*net.TCPAddr).Port
	d.app.say("Port 3000 is taken, so the demo uses %d.", port)
	return "http://localhost:" + strconv.Itoa(port), free.Close()
}

// configure writes the demo's configuration, and forgets every other.
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
`, strings.TrimSuffix(d.tenant.Issuer(), "/"), demoClient, demoAPI, baseURL, "socket:"+socket,
		filepath.Join(d.dir, "state"), filepath.Join(d.dir, "cache"))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("the demo's configuration: %w", err)
	}
	demo := *d.app
	demo.flags = map[string]string{}
	demo.env = []string{"LOOPKEY_CONFIG=" + path}
	for _, name := range []string{"PATH", "HOME", "BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "WSL_DISTRO_NAME", "WSL_INTEROP", "SSH_CONNECTION", "SSH_TTY", "USER"} {
		if value := d.app.lookup(name); value != "" {
			demo.env = append(demo.env, name+"="+value)
		}
	}
	demo.isolated = true
	d.app = &demo
	return nil
}

// play serves the web UI, logs the person in through their browser, and lets them try the rest.
func (d *demo) play(ctx context.Context) error {
	a := d.app
	acc, err := a.account(keychainLimitPerson)
	if err != nil {
		return err
	}
	pages := filepath.Join(d.dir, "pages")
	if err := writeDemoPages(pages); err != nil {
		return err
	}
	loggedIn := make(chan *provider.Tokens, 1)
	server, err := webui.New(ctx, webui.Config{
		Session: acc.session, Provider: acc.provider, BaseURL: acc.config.BaseURL, Scope: acc.config.Scope, Audience: acc.config.Audience, Pages: pages,
		Store: func(ctx context.Context, t *provider.Tokens, mayReplace func(string) bool) error {
			if err := a.keep(ctx, acc, t, mayReplace); err != nil {
				return err
			}
			select {
			case loggedIn <- t:
			default: // logged in again, by somebody at play
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := loopback.Listen(ctx, acc.config.BaseURL)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var shown sync.WaitGroup
	defer shown.Wait()
	err = a.serveUntilEnd(ctx, acc, server, listener, func(ctx context.Context) {
		a.say("This is a demo: the tenant at %s runs inside this command, and everything ends with it.", d.tenant.Issuer())
		a.say("Log in as %s with the password %s", demoEmail, demoPassword)
		d.open(ctx, acc.config.BaseURL)
		shown.Go(func() {
			select {
			case <-ctx.Done():
			case t := <-loggedIn:
				a.greet(acc, t)
				if err := d.show(ctx, acc); err != nil {
					stop(err)
					return
				}
				a.say("\nNow, from another terminal:\n  %[1]s status\n  %[1]s token\n  %[1]s token -o header --force-refresh\n  %[1]s logout\n\nCtrl-C ends the demo.", d.command())
			}
		})
	})
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// open shows the page where the demo begins: its login binds the browser, so there is no secret in the URL.
func (d *demo) open(ctx context.Context, baseURL string) {
	a := d.app
	start := strings.TrimSuffix(baseURL, "/") + "/auth/login"
	if d.noBrowser {
		a.say("Open:\n%s", start)
		return
	}
	a.say("Opening your browser. If nothing opens, go to:\n%s", start)
	if err := a.browse(ctx, start); err != nil {
		a.say("No browser was opened (%s): open the URL above yourself.", words.Printable(err.Error()))
	}
}

// writeDemoPages writes a few pages to protect.
func writeDemoPages(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the demo's pages: %w", err)
	}
	for name, content := range map[string]string{
		"welcome.md": "# Welcome\n\nThis page is a Markdown file that only a logged-in browser gets to see.\n\n- [x] log in\n- [ ] open the engine room\n- [ ] open the vault\n",
		"engine.md": "---\ntitle: The engine room\nrequire:\n  https://demo.example/roles: mathematician\n---\n# The engine room\n\n" +
			"It asks for a role that Ada has.\n\n| what | how many |\n| --- | ---: |\n| gears | 25 000 |\n| columns | 50 |\n",
		"vault.md": "---\ntitle: The vault\nacr: strong\n---\n# The vault\n\nIt asks for a stronger login, which the tenant pretends to make.\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("the demo's pages: %w", err)
		}
	}
	return nil
}

// command is how another terminal calls loopkey on the demo.
func (d *demo) command() string {
	program := "loopkey"
	if _, err := exec.LookPath(program); err != nil {
		if self, err := os.Executable(); err == nil {
			program = self
		}
	}
	return "LOOPKEY_CONFIG=" + filepath.Join(d.dir, "config.toml") + " " + program
}

// once plays the whole story without a person: the tenant's pages are filled in by a plain HTTP client.
func (d *demo) once(ctx context.Context) error {
	a := d.app
	a.say("1. A tenant runs at %s.", d.tenant.Issuer())
	acc, err := a.account(keychainLimitPerson)
	if err != nil {
		return err
	}
	visits := make(chan error, 2) // a login's and a logout's
	visit := func(ctx context.Context, target string) error {
		ctx = context.WithoutCancel(ctx) // a browser goes on when the login is done
		go func() {
			_, err := tenant.Person{Email: demoEmail, Password: demoPassword}.Visit(ctx, target)
			visits <- err
		}()
		return nil
	}
	a.openBrowser = visit
	a.say("2. A login, as a person's browser would do it:")
	tokens, err := a.authenticate(ctx, acc, loginFlags{timeout: time.Minute})
	if err != nil {
		return err
	}
	if err := <-visits; err != nil {
		return fmt.Errorf("the demo's browser: %w", err)
	}
	a.greet(acc, tokens)
	a.say("3. Status and claims, from the session in memory:")
	if err := d.show(ctx, acc); err != nil {
		return err
	}
	a.say("4. A renewal: one request with the refresh token, which the tenant rotates.")
	before := d.tenant.Requests("token")
	if _, err := acc.session.AccessToken(ctx, session.Request{Force: true}); err != nil {
		return err
	}
	a.say("   %d request.", d.tenant.Requests("token")-before)
	a.say("5. Logout:")
	if err := a.runLogout(ctx, logoutFlags{}); err != nil {
		return err
	}
	if err := <-visits; err != nil {
		return fmt.Errorf("the demo's browser: %w", err)
	}
	if _, err := acc.session.Info(ctx); !errors.Is(err, session.ErrNotLoggedIn) {
		return errors.New("the demo's session outlived its logout")
	}
	a.say("Done: nothing is left behind.")
	return nil
}

// show prints the status, and the claims of the access token: the API's to read, shown here for curiosity.
func (d *demo) show(ctx context.Context, acc *account) error {
	info, err := acc.session.Info(ctx)
	if err != nil {
		return err
	}
	if err := d.app.printStatus(info); err != nil {
		return err
	}
	token, err := acc.session.AccessToken(ctx, session.Request{})
	if err != nil {
		return err
	}
	parts := strings.Split(token.Token.Reveal(), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("the demo's access token: %w", err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, payload, "  ", "  "); err != nil {
		return fmt.Errorf("the demo's access token: %w", err)
	}
	_, err = fmt.Fprintf(d.app.stdout, "\nClaims of the access token:\n  %s\n", pretty.String())
	return err
}
