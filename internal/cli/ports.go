package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
)

// chooses reports whether the account's local server may have one of several ports, or any.
func (acc *account) chooses() bool {
	ports := acc.config.Ports()
	return len(ports) > 1 || ports[0] == 0
}

// usePort makes a port the one of the account's local server, and of the note that a login leaves.
func (acc *account) usePort(port int) {
	acc.config.UsePort(port)
	if acc.rebase != nil {
		acc.rebase(acc.config.BaseURL)
	}
}

// serverAt returns the loopkey that may hold a port.
func (acc *account) serverAt(port int) handoff.Client {
	base := localurl.WithPort(localurl.Default, port)
	return handoff.Client{Socket: handoff.Socket(acc.config.StateDir, base), Holder: acc.holder()}
}

// ask asks the loopkeys that hold one of the account's ports, in turn, until one of them is of use. The error is
// handoff.ErrNoServer where none is, and where there is one port alone, why that one is of none.
func (acc *account) ask(question func(port int, server handoff.Client) error) error {
	if !acc.chooses() {
		port := localurl.BasePort(acc.config.BaseURL)
		return question(port, acc.serverAt(port))
	}
	ports := acc.config.Ports()
	if slices.Contains(ports, 0) { // it may be any
		ports = append(slices.DeleteFunc(ports, func(port int) bool { return port == 0 }),
			handoff.Ports(acc.config.StateDir)...)
	}
	for _, port := range ports {
		if err := question(port, acc.serverAt(port)); !passesOver(err) {
			return err
		}
	}
	return handoff.ErrNoServer
}

// passesOver reports whether a loopkey that holds a port is there for something else, so that another port will do.
func passesOver(err error) bool {
	if errors.As(err, new(*handoff.SetupError)) {
		return true
	}
	return slices.ContainsFunc([]error{
		handoff.ErrNoServer, handoff.ErrSilent, handoff.ErrOtherSession, handoff.ErrOtherVersion, handoff.ErrOtherLogin,
		handoff.ErrLoginWaits,
	}, func(kind error) bool { return errors.Is(err, kind) })
}

// portTurn is loginTurn where there are several ports. With one port alone, the port itself lets one process in.
func (a *app) portTurn(ctx context.Context, acc *account) (release func(), err error) {
	if !acc.chooses() {
		return func() {}, nil
	}
	return acc.loginTurn(ctx)
}

// loginTurn waits until no other process looks for a port for the same session. Of several ports each process would
// find another one free, and open another tab; of one, it would find it taken by a login that can't be shared yet. That
// one clears up by itself, so there no turn is needed where a lock can't be had.
func (acc *account) loginTurn(ctx context.Context) (release func(), err error) {
	lock, err := loginLock(acc, ".port.lock")
	if err == nil {
		_, err = lock.TryLockContext(ctx, askAgain)
	}
	switch {
	case err == nil:
		return sync.OnceFunc(func() { _ = lock.Close() }), nil
	case ctx.Err() == nil && !acc.chooses():
		return func() {}, nil
	}
	return nil, fmt.Errorf("the lock of logins: %w", err)
}

// patience returns how often a loopkey that may hold a port is asked again. One that is starting or ending does not
// reply for a moment, which is longer on a loaded machine; another program never does.
func patience(taken error) int {
	held := new(loopback.PortTakenError)
	program, err := os.Executable()
	if err == nil && errors.As(taken, &held) && strings.HasPrefix(held.Holder, filepath.Base(program)+" ") {
		return 20 * mostAsked
	}
	return mostAsked
}

// loginLock returns a lock that the processes share which log in to an account.
func loginLock(acc *account, suffix string) (*flock.Flock, error) {
	if err := private.Dir(acc.config.StateDir); err != nil {
		return nil, err
	}
	return private.NewLock(filepath.Join(acc.config.StateDir, acc.config.Name()+suffix)), nil
}

// portToBeHad returns why a login could not have one of the account's ports: other programs hold them all, and none is
// a loopkey of this user. It holds no port when it returns.
func (acc *account) portToBeHad(ctx context.Context) error {
	release, err := acc.loginTurn(ctx) // others would find the port taken meanwhile
	if err != nil {
		return err
	}
	defer release()
	for asked := 1; ; asked++ {
		listener, _, err := localhost.ListenFirst(ctx, acc.config.Ports()...)
		if err == nil {
			return listener.Close()
		}
		for _, port := range acc.config.Ports() {
			if acc.serverAt(port).There(ctx) { // it says what it can do
				return nil
			}
		}
		if asked >= patience(err) || !errors.As(err, new(*loopback.PortTakenError)) {
			return err
		}
		if err := clock.Pause(ctx, askAgain); err != nil { // a loopkey may be starting
			return err
		}
	}
}

// sayPort says which of several ports was chosen. passed are the reasons against those that come before it.
func (a *app) sayPort(acc *account, passed []error) {
	if !acc.chooses() {
		return
	}
	reasons := make([]string, len(passed))
	for i, err := range passed {
		reasons[i] = words.Printable(err.Error())
	}
	why := ""
	if len(reasons) > 0 {
		why = " (" + strings.Join(reasons, ", ") + ")"
	}
	a.say("This login comes back to %s%s.", acc.config.BaseURL, why)
}

// chooseReturn chooses the port at which the browser comes back from the provider's logout: that of a loopkey serve of
// the session, else the first that is free. The port of the last login comes first, since the provider surely knows it.
func (acc *account) chooseReturn(ctx context.Context) {
	if !acc.chooses() {
		return
	}
	ports := acc.config.Ports()
	if k, ok := acc.config.Noted(); ok {
		last := localurl.BasePort(k.BaseURL)
		if i := slices.Index(ports, last); i >= 0 || slices.Contains(ports, 0) {
			ports = append([]int{last}, ports...)
		}
	}
	serving := func(port int, server handoff.Client) error {
		if err := server.Fits(ctx); err != nil {
			return err
		}
		acc.usePort(port)
		return nil
	}
	if acc.ask(serving) == nil {
		return
	}
	if listener, _, err := localhost.ListenFirst(ctx, ports...); err == nil {
		acc.usePort(listener.Port())
		_ = listener.Close()
	}
}
