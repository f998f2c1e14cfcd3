package wine

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/tenant"
	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

func TestMain(m *testing.M) { house.Main(m) }

// A windows is a Windows for loopkey, with a tenant on the same machine.
type windows struct {
	t      *testing.T
	house  *house.House
	env    []string
	wine   string
	binary string
}

// newWindows returns a fresh one.
func newWindows(t *testing.T) *windows {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the binary is for amd64") // Also with LOOPKEY_TEST_REAL: .ci/run is on amd64.
	}
	wine := "/usr/lib/wine/wine64" // Debian's place for it
	if path, err := exec.LookPath("wine64"); err == nil {
		wine = path
	}
	if _, err := os.Stat(wine); err != nil {
		part.Missing(t, "wine64 is not installed")
	}
	h := house.WithTenant(t)
	w := &windows{t: t, house: h, wine: wine, binary: filepath.Join(t.TempDir(), "loopkey.exe")}
	w.build(w.binary, ".")
	prefix := filepath.Join(t.TempDir(), "prefix")
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.Dir, "WINEPREFIX=" + prefix, "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree,mshtml=", // neither .NET nor Internet Explorer
		"LOOPKEY_ISSUER=" + h.Tenant.Issuer(), "LOOPKEY_CLIENT_ID=" + house.Client, "APP_BASE_URL=" + h.Base,
	}
	t.Cleanup(func() {
		end := exec.CommandContext(context.Background(), filepath.Join(filepath.Dir(wine), "wineserver"), "-k")
		end.Env = w.env
		_ = end.Run()
	})
	if out, err := w.program(t.Context(), "wineboot", "--init").CombinedOutput(); err != nil {
		t.Fatalf("wineboot: %v: %s", err, out)
	}
	stays := w.program(context.Background(), "cmd") // with no program left Wine ends, and starts again in ten seconds
	open, err := stays.StdinPipe()
	if err == nil {
		err = stays.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = open.Close()
		_ = stays.Wait()
	})
	system := filepath.Join(prefix, "drive_c", "windows", "system32")
	if _, err := os.Stat(filepath.Join(system, "bcryptprimitives.dll")); err != nil {
		if err := os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), processPrng(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// build builds a program of this module for Windows.
func (w *windows) build(binary, folder string) {
	w.t.Helper()
	build := exec.CommandContext(w.t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-o", binary, folder)
	build.Dir = "../../.."
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %s", err, out)
	}
}

// clipboard tests that a token comes into the clipboard, out of its history, and is taken out of it again only where it
// still is.
func (w *windows) clipboard() {
	w.t.Helper()
	paste := filepath.Join(w.t.TempDir(), "paste.exe")
	w.build(paste, "./internal/test/wine/testdata/paste")
	program := w.program(w.t.Context(), paste)
	ask, err := program.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	tell, err := program.StdoutPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = program.Wait() }()
	defer ask.Close()
	lines := bufio.NewReader(tell)
	pasted := func() string {
		w.t.Helper()
		_, err := io.WriteString(ask, "\r\n")
		line, readErr := lines.ReadString('\n')
		if err != nil || readErr != nil {
			w.t.Fatalf("paste: %v, %v", err, readErr)
		}
		return strings.TrimSpace(line)
	}
	pasted() // so that it has begun
	token := strings.TrimSpace(w.must("token"))
	// Without pipes: under Wine the process that clears the clipboard later would hold them.
	if err := w.program(w.t.Context(), w.binary, "token", "--copy").Run(); err != nil {
		w.t.Errorf("token --copy: %v", err)
	}
	if got := pasted(); got != token {
		w.t.Errorf("the clipboard holds %q", got)
	}
	for _, c := range []struct{ text, left string }{{"something else", token}, {token, ""}} {
		clearing := w.program(w.t.Context(), w.binary, "clear-clipboard")
		clearing.Stdin = strings.NewReader(c.text)
		out, err := clearing.CombinedOutput()
		if got := pasted(); err != nil || got != c.left {
			w.t.Errorf("%v: %s; the clipboard holds %q", err, out, got)
		}
	}
}

// program returns a run of a Windows program that is not started yet.
func (w *windows) program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.wine, args...)
	cmd.Env, cmd.Dir = w.env, w.house.Dir
	cmd.WaitDelay = time.Minute // Wine's own processes may hold the pipes for longer
	return cmd
}

// run runs loopkey.
func (w *windows) run(args ...string) house.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	return w.house.Finish(w.program(ctx, append([]string{w.binary}, args...)...))
}

// must runs loopkey, and returns its stdout.
func (w *windows) must(args ...string) string {
	w.t.Helper()
	r := w.run(args...)
	if r.Code != 0 {
		w.t.Fatalf("loopkey %v exits %d: %s", args, r.Code, r.Stderr)
	}
	return r.Stdout
}

// start starts loopkey, with what is sent to its stdin.
func (w *windows) start(args ...string) (*house.Running, io.Writer) {
	w.t.Helper()
	var stdin io.WriteCloser
	running := w.house.StartCommand(func(ctx context.Context) *exec.Cmd {
		cmd := w.program(ctx, append([]string{w.binary}, args...)...)
		stdin, _ = cmd.StdinPipe()
		return cmd
	})
	return running, stdin
}

// credentials returns how many entries of loopkey's are in the Credential Manager. Wine keeps them in its registry.
func (w *windows) credentials() int {
	w.t.Helper()
	out, err := w.program(w.t.Context(), "reg", "query", `HKCU\Software\Wine\Credential Manager`, "/s").Output()
	if err != nil {
		return 0 // no such key
	}
	return bytes.Count(out, []byte("Generic: loopkey"))
}

// The main job on Windows: a login by a browser, and one by the pasted URL, whose session takes several entries of the
// Credential Manager; tokens, a renewal, exec, serve and the logout.
func TestWindows(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts Wine")
	}
	w := newWindows(t)
	person := tenant.Person{Email: house.Email, Password: house.Password}

	login, _ := w.start("login", "--no-browser")
	page, err := person.Visit(t.Context(), login.Line(t, w.house.Tenant.Issuer()))
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("%+v, %v", page, err)
	}
	if err := login.Cmd.Wait(); err != nil {
		t.Fatalf("login: %v", err)
	}

	login, stdin := w.start("login", "--no-browser")
	person.StopAt = w.house.Base
	page, err = person.Visit(t.Context(), login.Line(t, w.house.Tenant.Issuer()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, page.URL+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := login.Cmd.Wait(); err != nil {
		t.Fatalf("login by paste: %v", err)
	}
	if got := w.credentials(); got < 2 {
		t.Errorf("the session is in %d entries: it is not too large for one", got)
	}

	token := w.must("token")
	if strings.Count(strings.TrimSpace(token), ".") != 2 {
		t.Errorf("token prints %q", token)
	}
	w.house.Tenant.Reset()
	if renewed := w.must("token", "--force-refresh"); renewed == token {
		t.Error("the token is the same after a renewal")
	}
	if got := w.house.Tenant.Requests("token"); got != 1 {
		t.Errorf("%d requests", got)
	}
	token = w.must("token")
	w.clipboard()
	seen := w.must("exec", "--", "cmd", "/c", "echo %ACCESS_TOKEN%")
	if strings.TrimSpace(seen) != strings.TrimSpace(token) {
		t.Errorf("exec's command sees %q", seen)
	}
	var status struct {
		Email string `json:"email"`
	}
	err = json.Unmarshal([]byte(w.must("status", "-o", "json")), &status)
	if err != nil || status.Email != house.Email {
		t.Errorf("status: %+v, %v", status, err)
	}

	serve, _ := w.start("serve", "--no-browser")
	person.StopAt = ""
	page, err = person.Visit(t.Context(), serve.Line(t, w.house.Base+"/auth/enter?"))
	if err != nil || page.Status != http.StatusOK || !strings.Contains(page.Body, house.Email) {
		t.Errorf("serve: %+v, %v", page, err)
	}
	_ = serve.Cmd.Process.Kill()
	_ = serve.Cmd.Wait()

	w.readsNoExposedKey()

	w.must("logout", "--no-browser")
	house.Refused(t, w.run("token"), 3, "loopkey login")
	if got := w.credentials(); got != 0 {
		t.Errorf("%d entries are left behind", got)
	}
}

// readsNoExposedKey checks that the file of a client's key is read where its access list names this user alone, and
// refused where it names everybody. Wine makes the list of the file's mode.
func (w *windows) readsNoExposedKey() {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.house.Dir, "key.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	show := []string{"keys", "show", "-o", "jwk", "--client-key", "key.pem"}
	for mode, code := range map[os.FileMode]int{0o600: 0, 0o644: 2, 0o602: 2} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			w.t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			w.t.Fatal(err)
		}
		r := w.run(show...)
		refused := strings.Contains(r.Stderr, "others can read it: ") && strings.Contains(r.Stderr, "icacls")
		if r.Code != code || (code != 0) != refused {
			w.t.Errorf("a key file of mode %o: exit %d: %s", mode, r.Code, r.Stderr)
		}
	}
}
