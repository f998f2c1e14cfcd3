package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// Whatever is linked initialises itself in each run, used or not. So a module that is linked is a decision, made here.
var linkedModules = []string{
	"filippo.io/age", "filippo.io/hpke", "github.com/coreos/go-oidc/v3", "github.com/go-jose/go-jose/v4",
	"github.com/godbus/dbus/v5", "github.com/gofrs/flock", "github.com/pelletier/go-toml/v2", "github.com/pkg/browser",
	"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/zalando/go-keyring", "golang.org/x/crypto",
	"golang.org/x/oauth2", "golang.org/x/sys", "golang.org/x/term", "rsc.io/qr",
}

// These packages of the standard library cost a run more than what they would be used for.
var notLinked = []string{"encoding/gob", "encoding/xml", "expvar", "html/template", "net/rpc", "testing"}

func TestLinked(t *testing.T) {
	t.Parallel()
	const form = "{{.ImportPath}}\t{{with .Module}}{{.Path}}{{end}}"
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", form, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, mod, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if mod != "" && mod+"/" != module && !slices.Contains(linkedModules, mod) || slices.Contains(notLinked, pkg) {
			t.Errorf("%s (%s) is linked: see what it costs each run, with GODEBUG=inittrace=1", pkg, mod)
		}
	}
}

// startBinary returns the program that users get: LOOPKEY_TEST_BINARY.
func startBinary(tb testing.TB) string {
	tb.Helper()
	binary := os.Getenv("LOOPKEY_TEST_BINARY")
	if binary == "" {
		tb.Skip("LOOPKEY_TEST_BINARY names no loopkey") // Also with LOOPKEY_TEST_REAL: .ci/run has a step for it.
	}
	return binary
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`)

// What packages allocate before main, in bytes. It is the same in each run, up to some hundred bytes.
const (
	mostInit    = 80_000
	mostOurInit = 3_000 // of all packages of loopkey
)

func TestInitialisation(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), startBinary(t), "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all, ours, large := 0, 0, ""
	for _, line := range initLine.FindAllStringSubmatch(string(out), -1) {
		bytes, err := strconv.Atoi(line[2])
		if err != nil {
			t.Fatal(err)
		}
		all += bytes
		if strings.HasPrefix(line[1], module) {
			ours += bytes
		}
		if bytes > 1000 {
			large += line[0] + "\n"
		}
	}
	if all == 0 || all > mostInit || ours > mostOurInit {
		t.Errorf("packages allocate %d bytes before main, and loopkey's own %d:\n%s", all, ours, large)
	}
}

// The code and the heap are asked for before most packages are initialised: later the faults have happened.
func TestPrefault(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("nothing is mapped here") // Also with LOOPKEY_TEST_REAL: .ci/run is for these two.
	}
	cmd := exec.CommandContext(t.Context(), startBinary(t), "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := initLine.FindAllStringSubmatch(string(out), -1)
	turn := slices.IndexFunc(lines, func(line []string) bool { return line[1] == module+"internal/prefault" })
	if turn < 0 || turn > len(lines)/5 {
		t.Errorf("internal/prefault comes after %d of %d packages", turn, len(lines))
	}
	strace := tracer(t)
	traced := exec.CommandContext(t.Context(), strace, "-qq", "-e", "trace=madvise", startBinary(t), "version")
	if out, err = traced.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, call := range []string{"MADV_POPULATE_READ|0x16", "MADV_POPULATE_WRITE|0x17"} { // an old strace knows no names
		if !regexp.MustCompile(call).Match(out) {
			t.Errorf("no call with %s:\n%s", call, out)
		}
	}
}

// tracer returns strace.
func tracer(t *testing.T) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		part.Missing(t, "there is no strace here")
	}
	if out, err := exec.CommandContext(t.Context(), strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		part.Missing(t, "this machine lets no program be traced: %s", out)
	}
	return strace
}

// A command opens no file but those that it needs: the configuration, and what is noted of the session.
func TestFilesOpened(t *testing.T) {
	t.Parallel()
	binary := startBinary(t)
	strace := tracer(t)
	h := house.WithTenant(t)
	h.Must("login")
	for command, want := range map[string][]string{
		"version": nil,
		"token":   {"config.toml", "known.json", "expiry", "comm", "log.jsonl"},
	} {
		log := filepath.Join(t.TempDir(), "strace")
		cmd := h.Command(t.Context(), command)
		cmd.Args = []string{strace, "-f", "-qq", "-e", "trace=open,openat", "-o", log, binary, command}
		cmd.Path = strace
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		var opened []string
		for _, call := range openedFile.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(call[1], "/sys/") && !strings.HasPrefix(call[1], "/proc/self/") { // Go's runtime
				name := filepath.Base(call[1])
				for _, ofSession := range []string{"known.json", "expiry"} {
					if strings.HasSuffix(name, "."+ofSession) {
						name = ofSession
					}
				}
				opened = append(opened, name)
			}
		}
		if !slices.Equal(opened, want) {
			t.Errorf("%s opens %q, want %q", command, opened, want)
		}
	}
}

var openedFile = regexp.MustCompile(`open(?:at)?\((?:AT_FDCWD, )?"([^"]*)"`)

// BenchmarkStart is how long the shortest run takes:
//
//	go build -trimpath -ldflags "-s -w" -o /tmp/loopkey .
//	LOOPKEY_TEST_BINARY=/tmp/loopkey go test -run NONE -bench Start .
func BenchmarkStart(b *testing.B) {
	binary := startBinary(b)
	for b.Loop() {
		if out, err := exec.CommandContext(b.Context(), binary, "version").CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}
