//go:build dragonfly || freebsd || linux || netbsd || openbsd

package keystore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	ss "github.com/zalando/go-keyring/secret_service"

	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/secrets"
	"github.com/loopkey/loopkey/internal/words"
)

// readBack has each change read back: where its dialog was dismissed, go-keyring says that the change was made.
const readBack = true

// encoded has base64 stored: a Secret Service may take parts of a text for something else.
const encoded = true

// look finds the D-Bus session before go-keyring does, and returns its address. Where there is none, godbus would run
// dbus-launch, whose daemon outlives the program.
func look() (address string, err error) {
	const variable = "DBUS_SESSION_BUS_ADDRESS"
	if address := os.Getenv(variable); address != "" && address != "autolaunch:" {
		return address, nil
	}
	runtimeDir := fmt.Sprintf("/run/user/%d", os.Getuid()) // where godbus looks
	if address, ok := busIn(runtimeDir); ok {
		return address, nil
	}
	if session, err := private.Read(filepath.Join(runtimeDir, "dbus-session"), 1<<16); err == nil {
		if address, ok := strings.CutPrefix(string(session), variable+"="); ok {
			return strings.TrimRight(address, "\n\r"), nil
		}
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) { // where other programs look
		if address, ok := busIn(dir); ok {
			return address, os.Setenv(variable, address)
		}
	}
	return "", &UnavailableError{Why: "there is no D-Bus session", Reason: ReasonNoBus}
}

// busIn returns the address of the D-Bus session whose socket is in a runtime directory.
func busIn(dir string) (address string, ok bool) {
	bus := filepath.Join(dir, "bus")
	_, err := os.Stat(bus)
	return "unix:path=" + dbus.EscapeBusAddressValue(bus), err == nil
}

// ask reads an entry in one conversation with the Secret Service, which costs a third of what go-keyring needs for it.
// Every error but ErrNotFound means that go-keyring has to be asked.
func (o osEntries) ask(ctx context.Context, name string) (value string, err error) {
	err = o.soon(ctx, func(ctx context.Context) error {
		if l := o.leases.of(name); l != nil {
			value, err = l.read(ctx, name)
			return err
		}
		address, err := look()
		if err != nil {
			return err
		}
		talk, err := secrets.Dial(ctx, address, o.service)
		if err != nil {
			return err
		}
		defer talk.Close()
		values, err := talk.Read(ctx, name)
		if err != nil {
			return err
		}
		var ok bool
		if value, ok = values[name]; !ok {
			err = ErrNotFound
		}
		return err
	})
	return value, err
}

// tell writes an entry whose record is leased in the conversation of the lease. Every error means that go-keyring has
// to write it.
func (o osEntries) tell(ctx context.Context, name, value string) error {
	l := o.leases.of(name)
	if l == nil {
		return errors.ErrUnsupported
	}
	return o.soon(ctx, func(ctx context.Context) error { return l.write(ctx, name, value) })
}

// untell removes an entry whose record is leased in the conversation of the lease. Every error but ErrNotFound means
// that go-keyring has to remove it.
func (o osEntries) untell(ctx context.Context, name string) error {
	l := o.leases.of(name)
	if l == nil {
		return errors.ErrUnsupported
	}
	return o.soon(ctx, func(ctx context.Context) error { return l.remove(ctx, name) })
}

// soon makes a call that leaves go-keyring three quarters of the time.
func (osEntries) soon(ctx context.Context, call func(context.Context) error) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/4)
		defer cancel()
	}
	if err := begin(ctx); err != nil {
		return err
	}
	defer func() { <-calling }()
	return call(ctx)
}

// abandon ends a call that was left behind by closing the connection on which it waits. A dialog that the call opened
// is closed with it.
func abandon() {
	if conn, err := dbus.SessionBus(); err == nil {
		_ = conn.Close()
	}
}

// copies returns how many items stand for an entry. It returns 0 where it can't tell.
func copies(service, name string) int {
	secrets, err := ss.NewSecretService()
	if err != nil {
		return 0
	}
	items, _ := secrets.SearchItems(secrets.GetLoginCollection(), map[string]string{"service": service, "username": name})
	return len(items)
}

// vanished reports whether go-keyring found an item that was gone when it was used. The same error about the service or
// a collection says nothing about items, so the error's text has to name one.
func vanished(err error) bool {
	var e dbus.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Name {
	case "org.freedesktop.Secret.Error.NoSuchObject":
		return true
	case "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod",
		"org.freedesktop.DBus.Error.UnknownInterface":
		_, path, _ := strings.Cut(e.Error(), "/org/freedesktop/secrets/collection/")
		_, item, _ := strings.Cut(path, "/")
		return item != ""
	}
	return false
}

// explain says what an error of go-keyring means. go-keyring has few error values, so the types and the texts of its
// other errors have to tell.
func explain(err error) (why string, reason Reason) {
	if e := (dbus.Error{}); errors.As(err, &e) {
		return explainReply(e)
	}
	if errors.As(err, new(*exec.Error)) {
		return "there is no D-Bus session", ReasonNoBus
	}
	if e := new(net.OpError); errors.As(err, &e) && e.Op == "dial" {
		return "no D-Bus session answers at the address in DBUS_SESSION_BUS_ADDRESS", ReasonBusAddress
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "failed to unlock correct collection"):
		return explainLocked(text)
	case errors.Is(err, dbus.ErrClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return "the D-Bus session closed the connection", ReasonBusClosed
	case strings.HasPrefix(text, "dbus: ") && strings.Contains(text, " address"):
		return "what DBUS_SESSION_BUS_ADDRESS holds is no address of a D-Bus session", ReasonBusAddress
	case strings.Contains(text, "authentication"):
		return "the D-Bus session refuses this user", ReasonOtherUser
	}
	return "the Secret Service answered: " + words.Printable(text), ReasonFailed
}

func explainReply(e dbus.Error) (why string, reason Reason) {
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return "no Secret Service runs in this D-Bus session", ReasonNoService
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.TimedOut":
		return "the Secret Service does not answer", ReasonServiceSilent
	case "org.freedesktop.DBus.Error.AccessDenied":
		return "the D-Bus session does not let this program reach the Secret Service", ReasonSandbox
	case "org.freedesktop.Secret.Error.IsLocked":
		return locked()
	}
	if strings.HasPrefix(e.Name, "org.freedesktop.DBus.Error.Spawn.") {
		return "the Secret Service could not be started", ReasonNoService
	}
	return "the Secret Service answered: " + words.Printable(e.Error()), ReasonFailed
}

// explainLocked tells a collection that is not there from one that stayed locked. go-keyring says the same about both,
// so the Secret Service is asked.
func explainLocked(text string) (why string, reason Reason) {
	if !strings.Contains(text, "/aliases/default") {
		return locked()
	}
	conn, err := dbus.SessionBus()
	if err != nil {
		return locked()
	}
	var path dbus.ObjectPath
	err = conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets").
		Call("org.freedesktop.Secret.Service.ReadAlias", 0, "default").Store(&path)
	if err == nil && path == "/" {
		return "the Secret Service has no default collection", ReasonNoDefault
	}
	return locked()
}

func locked() (why string, reason Reason) {
	if !environ.HasDisplay(os.Environ()) {
		return "the keychain is locked, and there is no display to ask for its password on", ReasonLockedNoDisplay
	}
	return "the keychain is locked: its dialog was dismissed, or could not be shown", ReasonLocked
}
