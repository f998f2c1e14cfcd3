package keystore

import (
	"context"
	"errors"
	"runtime"

	"github.com/zalando/go-keyring"
)

// osEntries are the entries of one service in the OS keychain, through go-keyring, whose calls take no context.
type osEntries struct {
	service string
	leases  *leases // of the records of these entries
}

// calling is held during a call of go-keyring, so that there is one at a time: calls that hang do not pile up, and
// go-keyring mixes up the replies of two prompts.
var calling = make(chan struct{}, 1)

func (o osEntries) get(ctx context.Context, name string) (string, error) {
	if value, err := o.ask(ctx, name); err == nil || errors.Is(err, ErrNotFound) {
		return value, err
	}
	return call(ctx, func() (string, error) {
		return found(func() (string, error) { return keyring.Get(o.service, name) })
	})
}

// last implements entries for a record whose lease this process has.
func (o osEntries) last(name string) (value string, ok bool) { return o.leases.last(name) }

func (o osEntries) set(ctx context.Context, name, value string) error {
	if o.tell(ctx, name, value) == nil {
		return nil
	}
	defer o.leases.forget(name)
	_, err := call(ctx, func() (string, error) { return "", keyring.Set(o.service, name, value) })
	return err
}

func (o osEntries) remove(ctx context.Context, name string) error {
	if err := o.untell(ctx, name); err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	defer o.leases.forget(name)
	_, err := call(ctx, func() (string, error) {
		before := copies(o.service, name)
		for range mostCopies {
			if _, err := found(func() (string, error) { return "", keyring.Delete(o.service, name) }); err != nil {
				return "", err
			}
			left := copies(o.service, name)
			if left == 0 || left >= before { // a dialog that was dismissed is not opened again
				break
			}
			before = left
		}
		return "", nil
	})
	return err
}

// begin waits until no other call is made. Its caller receives from calling when the call has ended.
func begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return late(ctx)
	}
	select {
	case calling <- struct{}{}:
		return nil
	case <-ctx.Done():
		return late(ctx)
	}
}

// mostCopies is how many entries of the same name are deleted. Loopkey makes one, but a Secret Service keeps as many as
// other programs make.
const mostCopies = 10

// found repeats a call of go-keyring, which searches an entry and then uses it, where another process deleted the entry
// in between.
func found(use func() (string, error)) (string, error) {
	for range 2 {
		if value, err := use(); !vanished(err) {
			return value, err
		}
	}
	value, err := use()
	if vanished(err) {
		err = ErrNotFound
	}
	return value, err
}

// call runs f. If ctx ends first it leaves f behind.
func call(ctx context.Context, f func() (string, error)) (string, error) {
	if err := begin(ctx); err != nil {
		return "", err
	}
	type result struct {
		value string
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-calling }()
		value, err := guard(f)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		// A write that is left alone could be done long after its session's lock was released.
		go abandon()
		return "", late(ctx)
	}
}

// guard runs f where there is a keychain, and explains its error.
func guard(f func() (string, error)) (value string, err error) {
	defer func() {
		// go-keyring dereferences nil when the D-Bus session ends while a prompt is open.
		if recover() != nil {
			err = &UnavailableError{Why: "it went away while it was asked", Reason: ReasonFailed}
		}
	}()
	if _, err := look(); err != nil {
		return "", err
	}
	value, err = f()
	switch {
	case err == nil:
		return value, nil
	case errors.Is(err, keyring.ErrNotFound), errors.Is(err, ErrNotFound):
		return "", ErrNotFound
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return "", &UnavailableError{Why: "it refuses an entry of this size", Reason: ReasonEntryTooLarge, Err: err}
	case errors.Is(err, keyring.ErrUnsupportedPlatform):
		why := "this build knows no keychain on " + runtime.GOOS
		return "", &UnavailableError{Why: why, Reason: ReasonNoKeychain, Err: err}
	}
	why, reason := explain(err)
	return "", &UnavailableError{Why: why, Reason: reason, Err: err}
}
