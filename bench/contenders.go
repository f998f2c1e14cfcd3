package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/oauth2"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/ready"
)

const (
	client          = "loopkey-bench"
	profile         = "loopkey-bench" // no name of a person's own profile
	email, password = "ada@example.com", "analytical-engine"
	visitor         = "LOOPKEY_BENCH_VISITOR" // set in the environment of a browser
)

// A bench is a tenant, a folder, and the programs that are compared.
type bench struct {
	tenant   *tenant.Tenant
	dir      string
	port     string // of the redirect URIs
	giveBack func() // the port
	env      []string
	left     []string // what is not compared, and why

	loopkey, floor string
	start, renewal string      // programs that only start, and that renew as simply as can be
	keychain       bool        // the floor can read a secret from it
	kubelogin      string      // "": not on this machine
	gh, oidcToken  string      // the same
	renews         bool        // there is a refresh token for the program that renews as simply as can be
	own            *exec.Cmd   // loopkey's agent
	agent          *os.Process // oidc-agent, if the bench started it
	daemon         *exec.Cmd   // gnome-keyring, the same
}

// newBench builds what is to be built, starts the tenant, and logs in everywhere once.
func newBench(ctx context.Context, binary, keep string) (b *bench, err error) {
	b = &bench{loopkey: binary}
	made := b
	defer func() {
		if err != nil {
			made.close(context.WithoutCancel(ctx))
		}
	}()
	if b.dir, err = os.MkdirTemp("", "loopkey-bench-*"); err != nil {
		return nil, err
	}
	port, giveBack, err := ready.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	b.port, b.giveBack = strconv.Itoa(port), giveBack
	base := "http://localhost:" + b.port
	b.tenant, err = tenant.Start(ctx, tenant.Config{
		Rotate: true,
		Clients: []tenant.Client{{
			ID: client, RedirectURIs: []string{base + "/auth/callback", base}, PostLogoutRedirectURIs: []string{base},
		}},
		Users: []tenant.User{{Subject: "ada", Email: email, Name: "Ada Lovelace", Password: password}},
	})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b.env = append(os.Environ(), visitor+"=1", "BROWSER="+self, "DISPLAY=:none",
		"LOOPKEY_CONFIG="+filepath.Join(b.dir, "config.toml"), "XDG_STATE_HOME="+b.dir, "XDG_CACHE_HOME="+b.dir,
		"GH_CONFIG_DIR="+b.dir, "LOOPKEY_PASSPHRASE=bench")
	config := fmt.Sprintf("[profile.%s]\nissuer = %q\nclient_id = %q\nbase_url = %q\nkeystore = %q\n",
		profile, b.tenant.Issuer(), client, base, keep)
	if err := os.WriteFile(filepath.Join(b.dir, "config.toml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	b.unlock(ctx)
	if _, err := once(b.run(ctx, b.loopkey, "login", "-p", profile)); err != nil {
		return nil, fmt.Errorf("loopkey can't log in (is there a keychain? -keystore file does without): %w", err)
	}
	b.find(ctx)
	return b, nil
}

// build builds loopkey as it is released, and what it is compared with.
func (b *bench) build(ctx context.Context) error {
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	for path, source := range map[*string]string{
		&b.loopkey: ".", &b.floor: "./bench/floor", &b.start: "./bench/floor/start", &b.renewal: "./bench/floor/renewal",
	} {
		if *path != "" {
			continue
		}
		name := "loopkey"
		if source != "." {
			name = filepath.Base(source)
		}
		*path = filepath.Join(b.dir, "bin", name+suffix)
		//nolint:gosec // programs of this repository, into the bench's own folder
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", *path, source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s (run this from the repository's folder): %w\n%s", source, err, out)
		}
	}
	return nil
}

// unlock starts gnome-keyring in a D-Bus session that has no keychain yet, as under dbus-run-session.
func (b *bench) unlock(ctx context.Context) {
	_, desktop := os.LookupEnv("XDG_CURRENT_DESKTOP")
	program, err := exec.LookPath("gnome-keyring-daemon")
	if err != nil || desktop || os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		return
	}
	b.env = append(b.env, "XDG_DATA_HOME="+b.dir)
	b.daemon = b.run(ctx, program, "--foreground", "--components=secrets", "--unlock")
	b.daemon.Stdin = strings.NewReader("\n")
	if b.daemon.Start() != nil {
		b.daemon = nil
		return
	}
	bus, err := dbus.ConnectSessionBus(dbus.WithContext(ctx))
	if err != nil {
		return
	}
	defer bus.Close()
	_ = ready.SecretService(ctx, bus) // without it the login says what is missing
}

// find looks for the others, and logs in with each once.
func (b *bench) find(ctx context.Context) {
	secret := b.run(ctx, b.floor, "set")
	secret.Stdin = strings.NewReader(strings.Repeat("s", 2000))
	if _, err := once(secret); err != nil {
		b.leftOut("one Get from the keychain: %v", err)
	} else {
		b.keychain = true
	}
	for _, name := range []string{"kubectl-oidc_login", "kubelogin"} {
		if path, err := exec.LookPath(name); err == nil {
			b.kubelogin = path
			break
		}
	}
	if b.kubelogin == "" {
		b.leftOut("kubelogin: not on PATH")
	}
	if path, err := exec.LookPath("gh"); err != nil {
		b.leftOut("gh: not on PATH")
	} else {
		hosts := "github.com:\n    user: ada\n    oauth_token: gho_0123456789abcdef\n    git_protocol: https\n"
		if err := os.WriteFile(filepath.Join(b.dir, "hosts.yml"), []byte(hosts), 0o600); err == nil {
			b.gh = path
		}
	}
	if err := b.startAgent(ctx); err != nil {
		b.leftOut("oidc-agent: %v", err)
	}
	if err := b.startOwnAgent(ctx); err != nil {
		b.leftOut("loopkey's agent: %v", err)
	}
	if err := b.storeRefresh(ctx); err != nil {
		b.leftOut("one Get, one request, one Set: %v", err)
	}
}

func (b *bench) socket() string { return filepath.Join(b.dir, "agent.sock") }

// startOwnAgent starts loopkey's agent, and waits until it says that it is there.
func (b *bench) startOwnAgent(ctx context.Context) error {
	own := b.run(ctx, b.loopkey, "agent", "-p", profile, "--socket", b.socket())
	said, err := own.StderrPipe()
	if err != nil {
		return err
	}
	if err := own.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		_ = own.Wait() // it ended
		return fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
	}
	b.own = own
	return nil
}

// storeRefresh stores a refresh token for the program that renews as simply as can be.
func (b *bench) storeRefresh(ctx context.Context) error {
	if !b.keychain {
		return errors.New("there is no keychain")
	}
	refresh, err := b.refreshToken(ctx)
	if err != nil {
		return err
	}
	secret := b.run(ctx, b.floor, "set", "renewal")
	secret.Stdin = strings.NewReader(refresh)
	_, err = once(secret)
	b.renews = err == nil
	return err
}

// startAgent starts an oidc-agent that has a session at the tenant.
func (b *bench) startAgent(ctx context.Context) error {
	var paths [3]string
	for i, name := range []string{"oidc-agent", "oidc-gen", "oidc-token"} {
		var err error
		if paths[i], err = exec.LookPath(name); err != nil {
			return errors.New("not on PATH")
		}
	}
	refresh, err := b.refreshToken(ctx)
	if err != nil {
		return err
	}
	agent := b.run(ctx, paths[0], "--no-autoload", "--json") // it goes on by itself
	agent.Stdout = nil
	said, err := agent.Output()
	if err != nil {
		return err
	}
	var started struct {
		Socket string `json:"socket"`
		PID    int    `json:"dpid,string"`
	}
	if err := json.Unmarshal(said, &started); err != nil {
		return err
	}
	if b.agent, err = os.FindProcess(started.PID); err != nil {
		return err
	}
	b.env = append(b.env, "OIDC_SOCK="+started.Socket, "OIDC_REFRESH_TOKEN="+refresh, "OIDC_ENCRYPTION_PW=bench",
		"OIDC_CONFIG_DIR="+b.dir)
	if _, err := once(b.run(ctx, paths[1], "--manual", "--issuer", b.tenant.Issuer(), "--client-id", client,
		"--client-secret", "", "--scope", "openid offline_access", "--redirect-uri", "http://localhost:"+b.port,
		"--rt-env", "--flow", "refresh", "--pw-env", "--no-save", "--confirm-default", "bench")); err != nil {
		return err
	}
	b.oidcToken = paths[2]
	return nil
}

// refreshToken logs in by hand, for a program that wants a refresh token from its user.
func (b *bench) refreshToken(ctx context.Context) (string, error) {
	verifier := oauth2.GenerateVerifier()
	config := oauth2.Config{
		ClientID: client, RedirectURL: "http://localhost:" + b.port, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{
			AuthURL: b.tenant.Issuer() + "/authorize", TokenURL: b.tenant.Issuer() + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	end, err := tenant.Person{Email: email, Password: password, StopAt: config.RedirectURL}.
		Visit(ctx, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		return "", err
	}
	u, err := url.Parse(end.URL)
	if err != nil {
		return "", err
	}
	token, err := config.Exchange(ctx, u.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return "", err
	}
	return token.RefreshToken, nil
}

// close ends what the bench started, and removes what it stored.
func (b *bench) close(ctx context.Context) {
	if b.giveBack != nil {
		defer b.giveBack()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if b.tenant != nil {
		_ = b.run(ctx, b.loopkey, "logout", "-p", profile, "--local").Run()
		if b.kubelogin != "" {
			_ = b.run(ctx, b.kubelogin, "clean", "--token-cache-dir", filepath.Join(b.dir, "kubelogin")).Run()
		}
		if b.keychain {
			_ = b.run(ctx, b.floor, "delete").Run()
			_ = b.run(ctx, b.floor, "delete", "renewal").Run()
		}
		b.tenant.Close()
	}
	if b.agent != nil {
		_ = b.agent.Kill()
	}
	if b.own != nil {
		_ = b.own.Process.Kill()
		_ = b.own.Wait()
	}
	if b.daemon != nil {
		_ = b.daemon.Process.Kill()
		_ = b.daemon.Wait()
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// leftOut notes what is not compared, in one line.
func (b *bench) leftOut(format string, args ...any) {
	line, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	b.left = append(b.left, line)
}

// run returns a command with the environment of the bench.
func (b *bench) run(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the bench runs what it found on PATH
	cmd.Env, cmd.Dir = b.env, b.dir
	cmd.Stdout, cmd.Stdin = io.Discard, nil
	return cmd
}

// work returns a work of one command line; the first word is the program.
func (b *bench) work(who string, line ...string) work {
	return work{who: who, command: func(ctx context.Context) *exec.Cmd { return b.run(ctx, line[0], line[1:]...) }}
}

// A program is one that is compared.
type program struct{ who, path string }

// programs returns all of them, loopkey first.
func (b *bench) programs() []program {
	all := []program{{"loopkey", b.loopkey}}
	for _, p := range []program{{"kubelogin", b.kubelogin}, {"oidc-token", b.oidcToken}, {"gh", b.gh}} {
		if p.path != "" {
			all = append(all, p)
		}
	}
	return all
}

func (b *bench) starts() []work {
	works := []work{b.work("loopkey version", b.loopkey, "version")}
	works = append(works, b.work("a Go program that does nothing", b.start))
	works = append(works, b.work("a Go program that links go-keyring", b.floor))
	for _, p := range b.programs()[1:] {
		works = append(works, b.work(p.who+" --version", p.path, "--version"))
	}
	return works
}

func (b *bench) cached() []work {
	works := []work{b.work("loopkey token", b.loopkey, "token", "-p", profile)}
	if b.keychain {
		works = append(works, b.work("one Get from the keychain", b.floor, "get"))
	}
	if b.kubelogin != "" {
		works = append(works,
			b.work("kubelogin, its plain file", b.kubeloginLine("disk")...),
			b.work("kubelogin, keychain", b.kubeloginLine("keyring")...))
	}
	if b.own != nil {
		w := b.work("loopkey token (from loopkey agent's memory)", b.loopkey, "token", "-p", profile)
		ask := w.command
		w.command = func(ctx context.Context) *exec.Cmd {
			cmd := ask(ctx)
			cmd.Env = append(cmd.Env, "LOOPKEY_AGENT="+b.socket())
			return cmd
		}
		works = append(works, w)
	}
	if b.oidcToken != "" {
		works = append(works, b.work("oidc-token (from an agent's memory)", b.oidcToken, "bench"))
	}
	if b.gh != "" {
		works = append(works, b.work("gh auth token (its plain file)", b.gh, "auth", "token"))
	}
	return works
}

func (b *bench) renewals() []work {
	works := []work{b.work("loopkey token", b.loopkey, "token", "-p", profile, "--force-refresh")}
	if b.renews {
		works = append(works, b.work("one Get, one request, one Set", b.renewal, b.tenant.Issuer()+"/token", client))
	}
	if b.kubelogin != "" {
		works = append(works,
			b.work("kubelogin, its plain file", b.kubeloginLine("disk", "--force-refresh")...),
			b.work("kubelogin, keychain", b.kubeloginLine("keyring", "--force-refresh")...))
	}
	if b.oidcToken != "" {
		works = append(works, b.work("oidc-token", b.oidcToken, "--force-new", "bench"))
	}
	return works
}

func (b *bench) logins() []work {
	first := b.work("loopkey login", b.loopkey, "login", "-p", profile)
	first.before = func(ctx context.Context) error {
		_, err := once(b.run(ctx, b.loopkey, "logout", "-p", profile, "--local"))
		return err
	}
	works := []work{first, b.work("loopkey login, revoking the one before", b.loopkey, "login", "-p", profile)}
	if b.kubelogin != "" {
		w := b.work("kubelogin, its plain file", b.kubeloginLine("disk")...)
		w.before = func(ctx context.Context) error {
			_, err := once(b.run(ctx, b.kubelogin, "clean", "--token-cache-dir", filepath.Join(b.dir, "kubelogin")))
			return err
		}
		works = append(works, w)
	}
	return works
}

// kubeloginLine returns the line that asks kubelogin for a token.
func (b *bench) kubeloginLine(storage string, more ...string) []string {
	self, _ := os.Executable() // it worked before
	return append([]string{
		b.kubelogin, "get-token", "--oidc-issuer-url", b.tenant.Issuer(), "--oidc-client-id", client,
		"--oidc-extra-scope", "offline_access", "--token-cache-dir", filepath.Join(b.dir, "kubelogin"),
		"--token-cache-storage", storage,
		"--listen-address", "127.0.0.1:" + b.port, "--browser-command", self,
	}, more...)
}

// memory returns the most that the process of a work has in memory, in bytes; 0: not known. The floor starts it: the
// system counts the memory of who starts a process as that process's own, and the bench is not small.
func (b *bench) memory(ctx context.Context, w work) int64 {
	if w.before != nil && w.before(ctx) != nil {
		return 0
	}
	line := w.command(ctx)
	cmd := b.run(ctx, b.floor, append([]string{"memory"}, line.Args...)...)
	cmd.Stdout = nil
	out, err := cmd.Output()
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64) // 0: it was not told
	return n
}

// atOnce runs n processes at once, with a token that is still good and with one that is expired.
func (b *bench) atOnce(ctx context.Context, out *table, n int) error {
	token := b.work("loopkey token", b.loopkey, "token", "-p", profile)
	good, err := together(ctx, n, token.command)
	if err != nil {
		return fmt.Errorf("%d at once: %w", n, err)
	}
	b.expire(ctx)
	expired, err := together(ctx, n, token.command)
	if err != nil {
		return fmt.Errorf("%d at once on an expired token: %w", n, err)
	}
	work := fmt.Sprintf("%d at once", n)
	out.row(work, "loopkey, cached", milliseconds(good), "", "", ratio(good, good))
	out.row(work, "loopkey, expired ("+requests(b.tenant.Requests("token"))+")", milliseconds(expired), "", "",
		ratio(expired, good))
	if b.kubelogin == "" {
		return nil
	}
	peer := b.work("kubelogin", b.kubeloginLine("disk")...)
	if _, err := once(peer.command(ctx)); err != nil {
		b.leftOut("%d at once, kubelogin: %v", n, err)
		return nil
	}
	took, err := together(ctx, n, peer.command)
	if err != nil {
		b.leftOut("%d at once, kubelogin: %v", n, err)
		return nil
	}
	out.row(work, "kubelogin's plain file, cached", milliseconds(took), "", "", ratio(took, good))
	return nil
}

// expire leaves loopkey with an expired token.
func (b *bench) expire(ctx context.Context) {
	b.tenant.SetAccessTokenLifetime(time.Second)
	_, _ = once(b.run(ctx, b.loopkey, "token", "-p", profile, "--force-refresh")) // exits 1 if that takes a second
	b.tenant.SetAccessTokenLifetime(time.Hour)
	b.tenant.Reset()
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return strconv.Itoa(n) + " requests"
}

// visit logs the user in, as a browser does.
func visit(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := tenant.Person{Email: email, Password: password}.Visit(ctx, target)
	return err
}
