// Package house runs the real loopkey in tests, in as many processes as a test likes. A House is a home folder with a
// configuration, a keystore and a port of its own, and a $BROWSER that logs a user in.
package house

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/loopkey/loopkey/internal/cli"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/sharedstore"
	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/part"
	"github.com/loopkey/loopkey/internal/test/ready"
	"github.com/loopkey/loopkey/keystore"
)

// The client of every house, and the user whom its browser logs in.
const (
	Client          = "loopkey-tests"
	Email, Password = "ada@example.com", "analytical-engine"
)

// Race makes a process that was built with the race detector exit at once instead of after a second.
const Race = "GORACE=atexit_sleep_ms=0"

// Root is the variable that names a folder in which loopkey looks for the marks of containers, in place of /.
const Root = "HOUSE_ROOT"

// Main is the body of a TestMain. It makes the test binary also the programs of Commands.
func Main(m *testing.M) {
	testscript.Main(m, Commands())
}

// Commands returns the programs that the test binary can be, by the name it is started with: loopkey, also under the
// names that tools know it by, which calls what main.go calls; and visit, the $BROWSER.
func Commands() map[string]func() {
	commands := map[string]func(){"visit": visit}
	for _, name := range names() {
		commands[name] = func() {
			if root := os.Getenv(Root); root != "" {
				environ.Root = root
			}
			//nolint:forbidigo // this is a main
			os.Exit(cli.Main(context.Background(), cli.Arguments(os.Args), os.Environ(), os.Stdin, os.Stdout, os.Stderr))
		}
	}
	return commands
}

// names returns the names under which tools run loopkey.
func names() []string {
	return []string{
		"loopkey", "git-credential-loopkey", "docker-credential-loopkey", "docker-credential-loopkey-work",
		"terraform-credentials-loopkey", "bazel-credential-loopkey", "cargo-credential-loopkey", "kubectl-oidc_login",
		"keyring",
	}
}

// Programs returns a folder for PATH with loopkey in it, under all names by which tools run it.
func Programs(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names() {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			part.Missing(t, "no links on this system: %v", err)
		}
	}
	return dir
}

// visit is the $BROWSER: it opens the URL that loopkey gives it, and logs the user in, or whom $VISIT names. With deny
// in $VISIT the user declines.
func visit() {
	person := tenant.Person{Email: Email, Password: Password}
	switch as := os.Getenv("VISIT"); as {
	case "":
	case "deny":
		person.Deny = true
	default:
		person.Email = as
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := person.Visit(ctx, os.Args[len(os.Args)-1]); err != nil {
		panic(err) // the $BROWSER fails, and says why
	}
}

// A House is a home folder for loopkey. Its default profile names an issuer, and a keystore in memory that all its
// processes share.
type House struct {
	Dir    string   // HOME and TMPDIR
	Base   string   // http://localhost:PORT, the base URL of the local server
	Env    []string // the environment of its processes; the last value of a variable counts
	Store  keystore.Store
	Tenant *tenant.Tenant // only set by WithTenant

	t      testing.TB
	socket string
}

// New returns a house for an issuer. The variables in env override its own.
func New(t testing.TB, issuer string, env ...string) *House {
	t.Helper()
	h := empty(t, env)
	h.Configure(issuer)
	return h
}

// WithTenant returns a house for a tenant of its own, whose refresh tokens rotate.
func WithTenant(t testing.TB, env ...string) *House {
	t.Helper()
	h := empty(t, env)
	started, err := tenant.Start(t.Context(), tenant.Config{
		Rotate: true,
		Clients: []tenant.Client{{
			ID: Client, RedirectURIs: []string{h.Base + "/auth/callback"}, PostLogoutRedirectURIs: []string{h.Base},
		}},
		Users: []tenant.User{{Subject: "ada", Email: Email, Name: "Ada Lovelace", Password: Password}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(started.Close)
	h.Tenant = started
	h.Configure(started.Issuer())
	return h
}

func empty(t testing.TB, env []string) *House {
	t.Helper()
	port, giveBack, err := ready.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	h := &House{t: t, Dir: t.TempDir(), Base: "http://localhost:" + strconv.Itoa(port), Store: keystore.Memory()}
	h.ServeStore(h.Store)
	h.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.Dir, "USERPROFILE=" + h.Dir, "TMPDIR=" + h.Dir,
		"LOOPKEY_CONFIG=" + filepath.Join(h.Dir, "config.toml"),
		"LOOPKEY_UNLOCK_FOR=2m", // the kernel has room for few keys
		"BROWSER=" + Visitor(t), "SystemRoot=" + os.Getenv("SystemRoot"), Race,
	}, env...)
	return h
}

// ServeStore gives all profiles that are configured from now on a keystore of the test's.
func (h *House) ServeStore(store keystore.Store) {
	h.t.Helper()
	h.socket = filepath.Join(ShortDir(h.t), "s")
	listener, err := (&net.ListenConfig{}).Listen(h.t.Context(), "unix", h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = sharedstore.Serve(ctx, listener, store)
	}()
	h.t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		<-served
	})
}

// Configure replaces the configuration by a default profile for the issuer, with further lines of TOML after it.
func (h *House) Configure(issuer string, lines ...string) {
	h.t.Helper()
	content := fmt.Sprintf("[profile.default]\nissuer = %q\nclient_id = %q\nbase_url = %q\nkeystore = %q\n%s\n",
		issuer, Client, h.Base, keystores.Socket(h.socket), strings.Join(lines, "\n"))
	if err := os.WriteFile(filepath.Join(h.Dir, "config.toml"), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Keystore returns how a profile names the keystore of this house.
func (h *House) Keystore() string { return keystores.Socket(h.socket) }

// ShortDir returns a folder whose path is short enough for a socket in it.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") //nolint:usetesting // t.TempDir's is too long for a socket on some systems
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Visitor returns the path of the program visit: a link to the test binary.
func Visitor(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "visit")
	if err := os.Symlink(self, link); err != nil {
		part.Missing(t, "no links on this system: %v", err)
	}
	return link
}

// Command returns a run of loopkey that is not started yet.
func (h *House) Command(ctx context.Context, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self) //nolint:gosec // this very program
	cmd.Args = append([]string{"loopkey"}, args...)
	cmd.Env = h.Env
	cmd.Dir = os.TempDir()
	return cmd
}

// A Result is what a run of loopkey printed, and its exit code.
type Result struct {
	Stdout, Stderr string
	Code           int // -1: a signal ended it
}

// Run runs loopkey, for five minutes at most.
func (h *House) Run(args ...string) Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return h.Finish(h.Command(ctx, args...))
}

// Finish runs a command that Command returned.
func (h *House) Finish(cmd *exec.Cmd) Result {
	h.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		h.t.Errorf("loopkey %v: %v", cmd.Args[1:], err)
		return Result{out.String(), errs.String(), -1}
	}
	if twice := Doubled(errs.String()); twice != "" {
		h.t.Errorf("loopkey %v says %q twice: %s", cmd.Args[1:], twice, errs.String())
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// Must runs loopkey, and returns its stdout. It ends the test if loopkey fails.
func (h *House) Must(args ...string) string {
	h.t.Helper()
	r := h.Run(args...)
	if r.Code != 0 {
		h.t.Fatalf("loopkey %v exits %d: %s", args, r.Code, r.Stderr)
	}
	return r.Stdout
}

// Refused checks that a run exited with this code, printed nothing on stdout, and these words in the last line of
// stderr.
func Refused(t testing.TB, r Result, code int, words ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit %d, not %d: %s", r.Code, code, r.Stderr)
	}
	if r.Stdout != "" {
		t.Errorf("stdout holds %q", r.Stdout)
	}
	last := r.Stderr[strings.LastIndex(strings.TrimSuffix(r.Stderr, "\n"), "\n")+1:]
	for _, word := range words {
		if !strings.Contains(last, word) {
			t.Errorf("%q does not say %q", last, word)
		}
	}
	if strings.Contains(r.Stderr, "Logged in") {
		t.Errorf("a login is told of that was none: %s", r.Stderr)
	}
}

// With returns the same house for processes with further variables in their environment.
func (h *House) With(env ...string) *House {
	other := *h
	other.Env = append(slices.Clone(h.Env), env...)
	return &other
}

// Expire leaves the session with an expired access token. The house must have a tenant.
func (h *House) Expire() {
	h.t.Helper()
	h.Tenant.SetAccessTokenLifetime(time.Second)
	h.Run("token", "--force-refresh") // on a slow machine the token is expired already, which exits 1
	h.Tenant.SetAccessTokenLifetime(time.Hour)
	h.Tenant.Reset()
}

// Age makes the stored access token older: what happened to it since then is not of the last seconds. The house must
// have a tenant.
func (h *House) Age(by time.Duration) {
	h.t.Helper()
	name := known.Client{Profile: "default", Issuer: h.Tenant.Issuer(), ClientID: Client}.Name()
	record, err := h.Store.Load(context.Background(), name)
	if err != nil {
		h.t.Fatal(err)
	}
	head := map[string]any{}
	if err := json.Unmarshal(record.Head, &head); err != nil {
		h.t.Fatal(err)
	}
	token := head["access_token"].(map[string]any)
	obtained, err := time.Parse(time.RFC3339, token["obtained"].(string))
	if err != nil {
		h.t.Fatal(err)
	}
	token["obtained"] = obtained.Add(-by)
	if record.Head, err = json.Marshal(head); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Store.Save(context.Background(), name, record); err != nil {
		h.t.Fatal(err)
	}
}

// A Running is a loopkey that serves or waits.
type Running struct {
	Cmd    *exec.Cmd
	Stderr *bufio.Reader
}

// Start starts loopkey, and interrupts it when the test ends.
func (h *House) Start(args ...string) *Running {
	h.t.Helper()
	return h.StartCommand(func(ctx context.Context) *exec.Cmd { return h.Command(ctx, args...) })
}

// StartCommand is Start for a command that the caller makes.
func (h *House) StartCommand(command func(context.Context) *exec.Cmd) *Running {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := command(ctx)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	running := started(h.t, cmd)
	h.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return running
}

// Watch starts a command that the test ends itself.
func Watch(t testing.TB, cmd *exec.Cmd) *Running {
	t.Helper()
	running := started(t, cmd)
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return running
}

func started(t testing.TB, cmd *exec.Cmd) *Running {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Running{Cmd: cmd, Stderr: bufio.NewReader(stderr)}
}

// Line reads stderr up to a line that begins with prefix, and returns that line.
func (r *Running) Line(t testing.TB, prefix string) string {
	t.Helper()
	for {
		line, err := r.Stderr.ReadString('\n')
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
		if err != nil {
			t.Fatalf("no line of stderr begins with %q: %v", prefix, err)
		}
	}
}

// Serve starts loopkey serve, and returns its one-time URL.
func (h *House) Serve(args ...string) string {
	h.t.Helper()
	return h.Start(append([]string{"serve", "--no-browser"}, args...)...).Line(h.t, h.Base+"/auth/enter?")
}
