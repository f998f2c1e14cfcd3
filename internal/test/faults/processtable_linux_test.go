package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/hostile"
	"github.com/loopkey/loopkey/internal/test/house"
)

const (
	tableSecret     = "client-secret-of-the-process-table"
	tablePassphrase = "passphrase-of-the-process-table"
)

// Every user can read the argument lists of all processes. While each command runs, the test reads the argument lists
// of all its processes as often as it can. The browser and exec's command write down their own arguments and
// environment.
func TestProcessTable(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it reads the process table all the time")
	}
	p := hostile.Start(t)
	p.Demand(tableSecret)
	notes := filepath.Join(t.TempDir(), "notes")
	h := house.New(t, p.Issuer(),
		"LOOPKEY_KEYSTORE=file", "LOOPKEY_PASSPHRASE="+tablePassphrase, "LOOPKEY_CLIENT_SECRET="+tableSecret,
		"BROWSER="+noteTaker(t, notes, house.Visitor(t)+` "$@"`),
	)
	table := watchTable(t, h.Dir)
	command := noteTaker(t, notes, "true")
	for _, args := range [][]string{
		{"login"}, {"token"}, {"token", "--force-refresh"}, {"status"}, {"login", "--device"},
		{"exec", "--env", "HANDED_OVER", "--", command, "one"}, {"logout"},
	} {
		if r := h.Run(args...); r.Code != 0 {
			t.Fatalf("loopkey %v exits %d: %s", args, r.Code, r.Stderr)
		}
	}
	h.Must("login")
	for range 50 { // the process that renews may end between two looks
		if table.saw("renew") {
			break
		}
		h.Must("token", "--force-refresh")
	}
	serving := h.Start("serve")
	oneTime := serving.Line(t, h.Base+"/auth/enter?")
	waitFor(t, notes, "file://") // the browser was started
	arguments := table.stop()

	if seen := strings.Count(strings.Join(arguments, "\n"), "renew"); seen == 0 {
		t.Error("the process that renews was not seen: was anything?")
	}
	everyone := append(p.Secrets(), tableSecret, tablePassphrase, oneTime)
	for _, line := range arguments {
		for _, secret := range everyone {
			if strings.Contains(line, secret) {
				t.Errorf("the process table shows a secret: %q", line)
			}
		}
	}
	content, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	handedOver := 0
	for line := range strings.Lines(string(content)) {
		name, _, _ := strings.Cut(line, "=")
		for _, secret := range everyone {
			switch {
			case !strings.Contains(line, secret):
			case name == "HANDED_OVER":
				handedOver++
			default:
				t.Errorf("a child is told a secret in %s", name)
			}
		}
	}
	if handedOver != 1 || !strings.Contains(string(content), "ACCESS_TOKEN_FILE=") {
		t.Errorf("exec's command got the token %d times", handedOver)
	}
}

// noteTaker makes a program that appends its arguments, its environment and its parent's arguments to a file, and then
// runs another command.
func noteTaker(t *testing.T, notes, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	script := fmt.Sprintf(
		"#!/bin/sh\n{ echo \"arguments: $*\"; tr '\\0' ' ' </proc/$PPID/cmdline; echo; env; } >>'%s'\nexec %s\n", notes,
		command,
	)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// waitFor waits until a file holds a text.
func waitFor(t *testing.T, path, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) {
			return
		}
	}
	t.Fatalf("%s never held %q", path, text)
}

// A processTable collects the argument lists of all processes of a house.
type processTable struct {
	done    chan struct{}
	reading sync.WaitGroup
	mu      sync.Mutex
	lines   map[string]bool
}

func watchTable(t *testing.T, home string) *processTable {
	t.Helper()
	table := &processTable{done: make(chan struct{}), lines: map[string]bool{}}
	belongs := []byte("HOME=" + home + "\x00")
	table.reading.Go(func() {
		for {
			select {
			case <-table.done:
				return
			default:
			}
			entries, err := os.ReadDir("/proc")
			if err != nil {
				return
			}
			for _, entry := range entries {
				if _, err := strconv.Atoi(entry.Name()); err != nil {
					continue
				}
				folder := filepath.Join("/proc", entry.Name())
				if environ, err := os.ReadFile(filepath.Join(folder, "environ")); err != nil || !bytes.Contains(environ, belongs) {
					continue
				}
				if line, err := os.ReadFile(filepath.Join(folder, "cmdline")); err == nil {
					table.mu.Lock()
					table.lines[string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))] = true
					table.mu.Unlock()
				}
			}
		}
	})
	t.Cleanup(func() { table.stop() })
	return table
}

// saw reports whether an argument list with a word was seen so far.
func (p *processTable) saw(word string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range p.lines {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

// stop stops reading, and returns the argument lists that were seen.
func (p *processTable) stop() []string {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	p.reading.Wait()
	var lines []string
	for line := range p.lines {
		lines = append(lines, line)
	}
	return lines
}

// A crash of loopkey dumps no core. exec's command keeps the user's limit for core dumps.
func TestCoreDumps(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	h.Must("login")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r := h.Finish(
		house.InShell(
			h.Command(
				ctx, "exec", "--", "sh", "-c", `ulimit -c; until grep "core file size  *1 " /proc/$PPID/limits; do :; done`,
			),
			"ulimit -S -c 77",
		),
	)
	lines := strings.Split(r.Stdout, "\n")
	if r.Code != 0 || lines[0] != "77" || len(lines) < 2 {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
