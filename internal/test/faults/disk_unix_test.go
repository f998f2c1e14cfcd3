//go:build unix

package faults

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// full runs loopkey with a file size limit of zero, as on a full disk.
func full(h *house.House, args ...string) house.Result {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := h.Command(ctx, args...)
	return h.Finish(house.InShell(cmd, "ulimit -f 0"))
}

// Where the disk is full, loopkey works without its caches and notes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	r := full(h, "login")
	if r.Code != 0 || !strings.Contains(r.Stderr, "Logged in as Ada Lovelace") ||
		!strings.Contains(r.Stderr, "could not be recorded which client") {
		t.Fatalf("login exits %d: %s", r.Code, r.Stderr)
	}
	for _, args := range [][]string{{"token"}, {"token", "--force-refresh"}, {"token", "--force-refresh"}, {"status"}} {
		if r := full(h, args...); r.Code != 0 {
			t.Errorf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
	if got := h.Tenant.ReusedFamilies(); got != 0 {
		t.Errorf("%d families were revoked", got)
	}
	if r := full(h, "exec", "--", "true"); r.Code != 1 || !strings.Contains(r.Stderr, "the token file") {
		t.Errorf("exec exits %d: %s", r.Code, r.Stderr)
	}
	r = full(h, "config", "set", "scope", "openid")
	if r.Code != 1 || !strings.Contains(r.Stderr, "config.toml.loopkey-backup: file too large: free some space") {
		t.Errorf("config exits %d: %s", r.Code, r.Stderr)
	}
	if r := full(h, "logout", "--no-browser"); r.Code != 0 {
		t.Errorf("logout exits %d: %s", r.Code, r.Stderr)
	}
}

// Where the encrypted file can't be written, loopkey says so before it uses up a refresh token or opens a browser.
func TestDiskFullForTheFile(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t, "LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE=correct horse battery staple")
	refusedHere := func(args ...string) {
		t.Helper()
		h.Tenant.Reset()
		r := full(h, args...)
		if r.Code != 5 || r.Stdout != "" || !strings.Contains(r.Stderr, "can't be written: file too large: free some space") {
			t.Errorf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
		if got := h.Tenant.Requests("token") + h.Tenant.Requests("authorize"); got != 0 {
			t.Errorf("%v: %d requests", args, got)
		}
	}
	refusedHere("login")
	h.Must("login")
	refusedHere("login")
	refusedHere("token", "--force-refresh")
	for _, args := range [][]string{{"token"}, {"status"}} {
		if r := full(h, args...); r.Code != 0 {
			t.Errorf("%v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
	h.Must("token", "--force-refresh")
	sessions := filepath.Join(h.Dir, ".local", "state", "loopkey", "sessions")
	all, err := os.ReadDir(sessions)
	if err != nil || len(all) != 5 {
		t.Errorf("%s holds %v, %v", sessions, all, err)
	}
	for _, file := range all {
		if file.Name() != "identity" && !slices.Contains([]string{".age", ".lock", ".note"}, filepath.Ext(file.Name())) {
			t.Errorf("%s is left", file.Name())
		}
	}
	if r := full(h, "logout", "--no-browser"); r.Code != 0 {
		t.Errorf("logout exits %d: %s", r.Code, r.Stderr)
	}
}

// Where folders can't be made or written, loopkey works without the caches, but not without the lock or the encrypted
// file.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(file, "nowhere")
	for name, c := range house.Some(map[string]struct {
		variable string
		args     string
		code     int
		words    string
	}{
		"cache, login":         {"XDG_CACHE_HOME", "login", 0, "Logged in as"},
		"cache, renewal":       {"XDG_CACHE_HOME", "token --force-refresh", 0, ""},
		"state, login":         {"XDG_STATE_HOME", "login", 1, nowhere},
		"state, cached token":  {"XDG_STATE_HOME", "token", 0, ""},
		"state, renewal":       {"XDG_STATE_HOME", "token --force-refresh", 1, nowhere},
		"state, status":        {"XDG_STATE_HOME", "status", 0, ""},
		"state, logout":        {"XDG_STATE_HOME", "logout --no-browser", 1, nowhere},
		"config":               {"XDG_CONFIG_HOME", "token", 0, ""},
		"temporary, exec":      {"TMPDIR", "exec -- true", 0, ""},
		"temporary, a renewal": {"TMPDIR", "token --force-refresh", 0, ""},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house.WithTenant(t)
			h.Must("login")
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			cmd := h.Command(ctx, strings.Fields(c.args)...)
			cmd.Env = append(cmd.Env, c.variable+"="+nowhere)
			if r := h.Finish(cmd); r.Code != c.code || !strings.Contains(r.Stderr, c.words) {
				t.Errorf("exit %d: %s", r.Code, r.Stderr)
			} else if c.code != 0 && strings.Contains(r.Stderr, "Opening your browser") {
				t.Errorf("the person was sent to a browser first: %s", r.Stderr)
			}
			if r := h.Run("token", "--force-refresh"); r.Code != 0 && !strings.HasPrefix(c.args, "logout") {
				t.Errorf("afterwards: exit %d: %s", r.Code, r.Stderr)
			}
		})
	}
}

// However few files a process may open, a renewal stores what the provider gave, or does not ask the provider.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	renewed, kept := 0, 0
	for limit := 8; limit <= 40; limit++ {
		before := h.Tenant.Requests("token")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		r := h.Finish(house.InShell(h.Command(ctx, "token", "--force-refresh"), "ulimit -n "+strconv.Itoa(limit)))
		cancel()
		switch asked := h.Tenant.Requests("token") > before; {
		case r.Code == 0:
			renewed++
		case asked:
			t.Errorf("with %d files the provider was asked, and then: %s", limit, r.Stderr)
		default:
			kept++
			if !strings.Contains(r.Stderr, "ulimit -n") {
				t.Errorf("with %d files: %s", limit, r.Stderr)
			}
		}
	}
	if renewed == 0 || kept == 0 {
		t.Errorf("%d renewals, %d refusals: the limits are not those that matter", renewed, kept)
	}
	h.Must("token", "--force-refresh")
	h.Must("status")
}
