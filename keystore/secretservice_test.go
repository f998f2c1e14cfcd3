//go:build linux

package keystore_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/loopkey/loopkey/internal/test/secretservice"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/keystore/keystoretest"
)

// These tests use the real Secret Service. go-keyring keeps one connection for each process, so each test runs what
// uses go-keyring in a child process, which is this test binary again.

// patience is a limit that only a call that hangs can meet, however busy the machine is.
const patience = 5 * time.Minute

const (
	childTask   = "KEYSTORE_TEST_CHILD"
	childLimit  = "KEYSTORE_TEST_LIMIT"
	childResult = "RESULT "
)

type result struct {
	Why      string
	Reason   keystore.Reason
	NotFound bool
	Took     time.Duration
	Other    string
}

// child runs the task in a child process with the environment.
func child(t *testing.T, task string, limit time.Duration, env ...string) result {
	t.Helper()
	return childBetween(t, task, limit, nil, env...)
}

// childBetween does what child does, and calls between when the child says that it has given up.
func childBetween(t *testing.T, task string, limit time.Duration, between func(), env ...string) result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	late := errors.New("the child did not end in ten minutes")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, late)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(append(os.Environ(), env...), childTask+"="+task, childLimit+"="+limit.String())
	cmd.WaitDelay = time.Second
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if between != nil {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		cmd.Stdout = io.MultiWriter(&out, w)
		go func() {
			for lines := bufio.NewScanner(r); lines.Scan(); {
				if lines.Text() == "given up" {
					between()
					_ = stdin.Close()
				}
			}
		}()
	}
	err = cmd.Run()
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	_, line, found := strings.Cut(out.String(), childResult)
	line, _, _ = strings.Cut(line, "\n")
	var r result
	if !found || err != nil || json.Unmarshal([]byte(line), &r) != nil {
		t.Fatalf("the child: %v\n%s%s", err, out.String(), complaints.String())
	}
	return r
}

// TestChild is what child runs.
func TestChild(t *testing.T) {
	task := os.Getenv(childTask)
	if task == "" {
		t.Skip("only for the tests of the real keychain") // Also with LOOPKEY_TEST_REAL: those tests run this one.
	}
	limit, err := time.ParseDuration(os.Getenv(childLimit))
	if err != nil {
		t.Fatal(err)
	}
	s := keystore.Keychain(keystore.KeychainOptions{Limit: limit})
	start := time.Now()
	switch task {
	case "contract":
		keystoretest.Run(t, func(*testing.T) keystore.Store { return s })
		keystoretest.Run(t, func(*testing.T) keystore.Store {
			return keystore.Keychain(keystore.KeychainOptions{Limit: limit, MaxEntry: 2400})
		})
	case "services":
		mine := keystore.Keychain(keystore.KeychainOptions{Service: "myapp", Limit: limit})
		err = errors.Join(
			s.Save(t.Context(), "me", record("loopkey's", 10)), mine.Save(t.Context(), "me", record("mine", 10)))
		for want, store := range map[string]keystore.Store{"loopkey's": s, "mine": mine} {
			r, loadErr := store.Load(t.Context(), "me")
			if err = errors.Join(err, loadErr); string(r.Head) != string(record(want, 10).Head) {
				err = errors.Join(err, fmt.Errorf("%s: %q", want, r.Head))
			}
		}
		err = errors.Join(err, s.Delete(t.Context(), "me"))
	case "head":
		_, err = s.Head(t.Context(), "me")
	case "save":
		err = s.Save(t.Context(), "me", record("me", 8<<10))
	case "save large":
		err = s.Save(t.Context(), "me", record("me", 1<<20))
	case "delete":
		err = s.Delete(t.Context(), "me")
	case "note":
		err = s.(keystore.Leaser).SetNote(t.Context(), "me", []byte("a note"))
	case "lease and change": // as a renewal does
		l := s.(keystore.Leaser)
		release, leaseErr := l.Lease(t.Context(), "me")
		if leaseErr != nil {
			err = leaseErr
			break
		}
		r, loadErr := s.Load(t.Context(), "me")
		note, noteErr := l.Note(t.Context(), "me")
		if string(note) != "a note" {
			noteErr = fmt.Errorf("the note is %q, %w", note, noteErr)
		}
		r.Head = []byte("changed")
		err = errors.Join(loadErr, noteErr, l.SetNote(t.Context(), "me", []byte("another")), s.Save(t.Context(), "me", r))
		release()
		again, loadErr := keystore.Keychain(keystore.KeychainOptions{Limit: limit}).Head(t.Context(), "me")
		if string(again.Head) != "changed" {
			err = errors.Join(err, loadErr, fmt.Errorf("stored: %q", again.Head))
		}
	case "lease":
		var release func()
		if release, err = s.(keystore.Leaser).Lease(t.Context(), "me"); err == nil {
			release()
		}
	case "read on":
		for range 300 {
			if _, err = s.Head(t.Context(), "me"); err != nil && !errors.Is(err, keystore.ErrNotFound) {
				break
			}
			err = nil
		}
	case "come and go":
		for range 300 {
			err = errors.Join(err, s.Save(t.Context(), "me", record("me", 10)), s.Delete(t.Context(), "me"))
		}
	case "abandoned save":
		err = s.Save(t.Context(), "me", record("abandoned", 10))
		// Still alive when the service goes on, as loopkey serve is. The second
		// call has its turn when the first one has ended.
		_, _ = os.Stdout.WriteString("given up\n")
		_, _ = os.Stdin.Read(make([]byte, 1))
		if err != nil {
			_, err = keystore.Keychain(keystore.KeychainOptions{}).Head(t.Context(), "me")
		}
	default:
		t.Fatalf("no task %q", task)
	}
	r := result{Took: time.Since(start), NotFound: errors.Is(err, keystore.ErrNotFound)}
	if e := new(keystore.UnavailableError); errors.As(err, &e) {
		r.Why, r.Reason = e.Why, e.Reason
	} else if err != nil {
		r.Other = err.Error()
	}
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString(childResult + string(line) + "\n")
}

func TestSecretService(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	child(t, "contract", patience, k.Env()...)
	conn := k.Connect(t)
	var items []dbus.ObjectPath
	err := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login").
		Call("org.freedesktop.Secret.Collection.SearchItems", 0, map[string]string{"service": "loopkey"}).Store(&items)
	if err != nil || len(items) != 0 {
		t.Errorf("left in the keychain: %v, %v", items, err)
	}
}

func TestSecretServiceKeepsFromProcessToProcess(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	for _, step := range []struct {
		task     string
		notFound bool
	}{{"head", true}, {"save", false}, {"head", false}, {"delete", false}, {"head", true}} {
		r := child(t, step.task, patience, k.Env()...)
		if r.NotFound != step.notFound || r.Why+r.Other != "" && !r.NotFound {
			t.Errorf("%s: %+v", step.task, r)
		}
	}
}

// A read costs four calls and three waits, whatever the size of the record is. go-keyring needs eight and fourteen.
func TestReadCosts(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	tap, env := k.Tap(t)
	must := func(task string) {
		if r := child(t, task, patience, k.Env()...); r.Why+r.Other != "" {
			t.Fatalf("%s: %+v", task, r)
		}
	}
	count := func(what string, waits int, calls ...string) {
		t.Helper()
		child(t, "head", patience, env...)
		want := secretservice.Asked{Calls: calls, Waits: waits, Connections: 1}
		if diff := cmp.Diff(want, tap.Asked()); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	count("no record", 2, "Hello", "SearchItems", "Get", "ReadAlias", "Get", "Get")
	must("save")
	count("a small record", 3, "Hello", "SearchItems", "OpenSession", "GetSecrets")
	must("save large")
	count("the head of a large record", 3, "Hello", "SearchItems", "OpenSession", "GetSecrets")
	must("save")
	must("save") // the first one after a large record looks for its parts
	must("note")
	if r := child(t, "lease and change", patience, env...); r.Why+r.Other != "" {
		t.Fatalf("%+v", r)
	}
	want := secretservice.Asked{Calls: []string{
		"Hello", "RequestName", "SearchItems", "SearchItems", "OpenSession", "GetSecrets",
		"Get", "SetSecret", "GetSecrets", "Get", "SetSecret", "GetSecrets",
		"Hello", "SearchItems", "OpenSession", "GetSecrets", // to see what was stored
	}, Waits: 7 + 3, Connections: 2}
	if diff := cmp.Diff(want, tap.Asked()); diff != "" {
		t.Errorf("a lease under which all is read and written:\n%s", diff)
	}
	must("save large")
	must("save large")
	must("note")
	if r := child(t, "lease and change", patience, env...); r.Why+r.Other != "" {
		t.Fatalf("%+v", r)
	}
	want = secretservice.Asked{Calls: []string{
		"Hello", "RequestName", "SearchItems", "SearchItems", "OpenSession", "GetSecrets",
		"SearchItems", "GetSecrets", // the part
		"Get", "SetSecret", "GetSecrets", // the note
		"Get", "CreateItem", "GetSecrets", "SearchItems", "Get", // the next part, and whether another follows it
		"SearchItems", "Get", // what a crash may have left of the part before last
		"Get", "SetSecret", "GetSecrets", // the index
		"SearchItems", "Get", "Get", "SearchItems", "Delete", "SearchItems", // the part of before
		"Hello", "SearchItems", "OpenSession", "GetSecrets",
	}, Waits: 22 + 3, Connections: 2}
	if diff := cmp.Diff(want, tap.Asked()); diff != "" {
		t.Errorf("the same of a large record:\n%s", diff)
	}
}

// An item that is deleted after a reader has found it is not there any more. That does not mean that the keychain can't
// be used.
func TestReadsBesideDeletes(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	var running sync.WaitGroup
	for _, task := range []string{"come and go", "read on", "read on", "read on"} {
		running.Go(func() {
			if r := child(t, task, patience, k.Env()...); r.Why+r.Other != "" {
				t.Errorf("%s: %+v", task, r)
			}
		})
	}
	running.Wait()
}

// Services keep their entries apart.
func TestServices(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	if r := child(t, "services", patience, k.Env()...); r.Why+r.Other != "" || r.NotFound {
		t.Errorf("%+v", r)
	}
	conn := k.Connect(t)
	for service, want := range map[string]int{"loopkey": 0, "myapp": 1} {
		var items []dbus.ObjectPath
		err := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login").
			Call("org.freedesktop.Secret.Collection.SearchItems", 0, map[string]string{"service": service}).Store(&items)
		if err != nil || len(items) != want {
			t.Errorf("%s: %v, %v", service, items, err)
		}
	}
}

// Another program may have made several items that look like ours: all are deleted.
func TestDeleteWithDuplicates(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	conn := k.Connect(t)
	var session dbus.ObjectPath
	err := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
		Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).
		Store(new(dbus.Variant), &session)
	if err != nil {
		t.Fatal(err)
	}
	login := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login")
	ours := map[string]string{"service": "loopkey", "username": "me"}
	for range 3 {
		err := login.Call("org.freedesktop.Secret.Collection.CreateItem", 0, map[string]dbus.Variant{
			"org.freedesktop.Secret.Item.Label":      dbus.MakeVariant("mine"),
			"org.freedesktop.Secret.Item.Attributes": dbus.MakeVariant(ours),
		}, struct {
			Session           dbus.ObjectPath
			Parameters, Value []byte
			ContentType       string
		}{session, []byte{}, []byte("mine"), "text/plain"}, false).Err
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range []string{"delete", "save", "head", "delete"} {
		if r := child(t, task, patience, k.Env()...); r.Why+r.Other != "" {
			t.Errorf("%s: %+v", task, r)
		}
	}
	var items []dbus.ObjectPath
	err = login.Call("org.freedesktop.Secret.Collection.SearchItems", 0, ours).Store(&items)
	if err != nil || len(items) != 0 {
		t.Errorf("left in the keychain: %v, %v", items, err)
	}
}

// Each way in which a keychain can't be used has its words and its reason, and is found out in time.
func TestKeychainCannotBeUsed(t *testing.T) {
	t.Parallel()
	const short = 300 * time.Millisecond
	cases := map[string]struct {
		env    func(t *testing.T) []string
		why    string
		reason keystore.Reason
		waits  bool
	}{
		"no D-Bus session": {func(t *testing.T) []string {
			return []string{"DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR=" + t.TempDir()}
		}, "there is no D-Bus session", keystore.ReasonNoBus, false},
		"autolaunch": {func(t *testing.T) []string {
			return []string{"DBUS_SESSION_BUS_ADDRESS=autolaunch:", "XDG_RUNTIME_DIR=" + t.TempDir()}
		}, "there is no D-Bus session", keystore.ReasonNoBus, false},
		"the bus is gone": {func(t *testing.T) []string {
			return []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + filepath.Join(t.TempDir(), "bus")}
		}, "no D-Bus session answers", keystore.ReasonBusAddress, false},
		"no address": {func(*testing.T) []string {
			return []string{"DBUS_SESSION_BUS_ADDRESS=bogus"}
		}, "DBUS_SESSION_BUS_ADDRESS holds is no address", keystore.ReasonBusAddress, false},
		"no place in the address": {func(*testing.T) []string {
			return []string{"DBUS_SESSION_BUS_ADDRESS=unix:guid=1"}
		}, "DBUS_SESSION_BUS_ADDRESS holds is no address", keystore.ReasonBusAddress, false},
		"a bus that never answers": {func(t *testing.T) []string {
			path, _ := listen(t)
			return []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + path}
		}, "no answer in 300ms", keystore.ReasonNoAnswer, true},
		"a bus that hangs up": {func(t *testing.T) []string {
			path, l := listen(t)
			go hangUp(l)
			return []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + path}
		}, "closed the connection", keystore.ReasonBusClosed, false},
		"no Secret Service": {func(t *testing.T) []string {
			return secretservice.StartBus(t).Env()
		}, "no Secret Service runs", keystore.ReasonNoService, false},
		"no collection": {func(t *testing.T) []string {
			return secretservice.StartEmpty(t).Env()
		}, "no default collection", keystore.ReasonNoDefault, false},
		"locked, no display": {func(t *testing.T) []string {
			k := secretservice.Start(t)
			k.Lock(t)
			return k.Env()
		}, "locked, and there is no display", keystore.ReasonLockedNoDisplay, false},
		"locked, the dialog dismissed": {func(t *testing.T) []string {
			k := secretservice.Start(t)
			k.Lock(t)
			prompter(t, k, true)
			return append(k.Env(), "DISPLAY=:7")
		}, "its dialog was dismissed", keystore.ReasonLocked, false},
		"locked, nobody answers the dialog": {func(t *testing.T) []string {
			k := secretservice.Start(t)
			k.Lock(t)
			prompter(t, k, false)
			return append(k.Env(), "DISPLAY=:7")
		}, "no answer in 300ms", keystore.ReasonNoAnswer, true},
		"the Secret Service is stopped": {func(t *testing.T) []string {
			k := secretservice.Start(t)
			k.Stop(t)
			return k.Env()
		}, "no answer in 300ms", keystore.ReasonNoAnswer, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := patience
			if c.waits {
				limit = short
			}
			env := c.env(t)
			for _, task := range []string{"head", "save", "delete"} {
				r := child(t, task, limit, env...)
				if !strings.Contains(r.Why, c.why) || r.Reason != c.reason {
					t.Errorf("%s: %+v", task, r)
				}
				if c.waits && r.Took < short || r.Took > patience {
					t.Errorf("%s took %v", task, r.Took)
				}
			}
		})
	}
}

// A lease needs the D-Bus session alone, and has the same limit and the same reasons.
func TestLeaseWithoutBus(t *testing.T) {
	t.Parallel()
	const short = 300 * time.Millisecond
	silent, _ := listen(t)
	rude, l := listen(t)
	go hangUp(l)
	bus := func(path string) []string { return []string{"DBUS_SESSION_BUS_ADDRESS=" + path} }
	for want, env := range map[keystore.Reason][]string{
		keystore.ReasonNoBus:      append(bus(""), "XDG_RUNTIME_DIR="+t.TempDir()),
		keystore.ReasonNoAnswer:   bus("unix:path=" + silent),
		keystore.ReasonBusClosed:  bus("unix:path=" + rude),
		keystore.ReasonBusAddress: bus("bogus"),
	} {
		limit := patience
		if want == keystore.ReasonNoAnswer {
			limit = short
		}
		if r := child(t, "lease", limit, env...); r.Reason != want {
			t.Errorf("%s: %+v", want, r)
		}
	}
}

// A sandbox may reach the Secret Service and own no name in the D-Bus session. Then there are no leases.
func TestLeaseInASandbox(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	config := filepath.Join(k.Dir, "bus.conf")
	content, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.Replace(content, []byte(`<allow own="*"/>`), []byte(`<deny own_prefix="com.github"/>`), 1)
	if err := os.WriteFile(config, content, 0o600); err != nil {
		t.Fatal(err)
	}
	conn := k.Connect(t)
	if err := conn.BusObject().Call("org.freedesktop.DBus.ReloadConfig", 0).Err; err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("com.github.loopkey.Lease.x", 0); err == nil {
		t.Fatal("the bus gives names")
	}
	for _, task := range []string{"lease", "save", "head"} {
		if r := child(t, task, patience, k.Env()...); r.Why+r.Other != "" || r.NotFound {
			t.Errorf("%s: %+v", task, r)
		}
	}
}

// A write that was given up is not done later, when another process holds the lock.
func TestAbandonedSaveIsNotDoneLater(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	k.Stop(t)
	r := childBetween(t, "abandoned save", 300*time.Millisecond, func() { k.Continue(t) }, k.Env()...)
	if !r.NotFound {
		t.Errorf("after a Save that failed: %+v", r)
	}
}

// go-keyring dereferences nil when the D-Bus session ends while a prompt is open.
func TestBusGoesAwayWhileADialogIsOpen(t *testing.T) {
	t.Parallel()
	k := secretservice.Start(t)
	k.Lock(t)
	open := prompter(t, k, false)
	go func() {
		if _, ok := <-open; ok {
			_ = k.Bus.Kill()
		}
	}()
	r := child(t, "head", patience, append(k.Env(), "DISPLAY=:7")...)
	if !strings.Contains(r.Why, "it went away") {
		t.Errorf("%+v", r)
	}
}

// Where there is no bus, none is started.
func TestNoBusIsStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	script := "#!/bin/sh\n: >" + started + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "dbus-launch"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	child(t, "head", patience,
		"DBUS_SESSION_BUS_ADDRESS=", "XDG_RUNTIME_DIR="+dir, "PATH="+dir+":"+os.Getenv("PATH"))
	if _, err := os.Stat(started); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dbus-launch was run (%v)", err)
	}
}

// record returns a record of about size bytes.
func record(mark string, size int) keystore.Record {
	return keystore.Record{Head: []byte(`{"mark":"` + mark + `"}`), Body: []byte(strings.Repeat(mark, size/len(mark)))}
}

// listen returns a Unix socket in a folder with a short name: a socket's path has 104 bytes at most.
func listen(t *testing.T) (path string, l net.Listener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "loopkey") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "bus")
	if l, err = (&net.ListenConfig{}).Listen(t.Context(), "unix", path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return path, l
}

func hangUp(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// prompter stands in for the desktop's dialog, which gnome-keyring opens through D-Bus. The dialog is dismissed, or
// stays open for ever. The channel says when a dialog is open, and is closed with the bus.
func prompter(t *testing.T, k *secretservice.Keychain, dismiss bool) (open chan struct{}) {
	t.Helper()
	conn := k.Connect(t)
	if _, err := conn.RequestName("org.gnome.keyring.SystemPrompter", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	calls := make(chan *dbus.Message, 16)
	conn.Eavesdrop(calls) // raw, because the reply must be sent before what follows it
	open = make(chan struct{}, 16)
	go func() {
		defer close(open)
		for call := range calls { // until the connection is closed
			if call.Type != dbus.TypeMethodCall {
				continue
			}
			sender := call.Headers[dbus.FieldSender]
			conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldDestination: sender, dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
			}}, nil)
			reply, ready := "", true
			switch call.Headers[dbus.FieldMember].Value() {
			case "BeginPrompting":
			case "PerformPrompt":
				reply, ready = "no", dismiss
				select {
				case open <- struct{}{}:
				default:
				}
			default:
				ready = false
			}
			if ready {
				conn.Object(sender.Value().(string), call.Body[0].(dbus.ObjectPath)).Go(
					"org.gnome.keyring.internal.Prompter.Callback.PromptReady", dbus.FlagNoReplyExpected, nil,
					reply, map[string]dbus.Variant{}, "")
			}
		}
	}()
	return open
}
