package keystore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/zalando/go-keyring"
)

// KeychainOptions are for the OS keychain; the zero value is what most want.
type KeychainOptions struct {
	Service  string        // the name under which the keychain lists every entry; "" means loopkey
	Limit    time.Duration // how long one call may take, a person's typing included; 0 means 10 seconds
	MaxEntry int           // the largest entry in bytes; 0 means the platform's: 2400 on Windows and macOS, any elsewhere
}

// Keychain returns the OS keychain: the Secret Service, macOS's login keychain,
// Windows's Credential Manager. Entries carry the service's name and the record's
// name as their account. Making the store does not touch the keychain.
func Keychain(opts KeychainOptions) Store {
	k := &keychain{entries: osEntries{cmp.Or(opts.Service, "loopkey")}, limit: cmp.Or(opts.Limit, 10*time.Second)}
	switch {
	case opts.MaxEntry > 0:
		k.max = max(opts.MaxEntry, minEntry)
	case runtime.GOOS == "windows", runtime.GOOS == "darwin":
		k.max = 2400
	}
	return k
}

type keychain struct {
	entries osEntries
	limit   time.Duration
	max     int
}

func (k *keychain) Head(ctx context.Context, name string) (r Record, err error) {
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		r, err = s.read(ctx, name, false)
		return err
	})
	return r, err
}

func (k *keychain) Load(ctx context.Context, name string) (r Record, err error) {
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		r, err = s.read(ctx, name, true)
		return err
	})
	return r, err
}

func (k *keychain) Save(ctx context.Context, name string, r Record) error {
	return k.do(ctx, name, func(ctx context.Context, s split) error { return s.save(ctx, name, r) })
}

func (k *keychain) Delete(ctx context.Context, name string) error {
	return k.do(ctx, name, func(ctx context.Context, s split) error { return s.remove(ctx, name) })
}

// Reserve implements Reserver, by writing the record's entry as it is, or an empty one: a
// keychain can be read and yet refuse to write, on a full disk say. Nothing is
// removed where a Save comes, for that is what some keychains ask the person about.
func (k *keychain) Reserve(ctx context.Context, name string) (release func(), err error) {
	created := false
	err = k.do(ctx, name, func(ctx context.Context, s split) error {
		created, err = s.try(ctx, name)
		return err
	})
	return func() {
		if !created {
			return
		}
		// Nobody waits once more for a store that gave no answer: what is left says that nobody is logged in.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = k.do(ctx, name, func(ctx context.Context, s split) error { return s.untry(ctx, name) })
	}, err
}

// do runs one operation, of several calls maybe, under the store's limit.
func (k *keychain) do(ctx context.Context, name string, operation func(context.Context, split) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, noAnswer(k.limit))
	defer cancel()
	return operation(ctx, split{k.entries, k.max, lookAfter})
}

func noAnswer(limit time.Duration) error {
	return &UnavailableError{
		Why: fmt.Sprintf("no answer in %v", limit), Reason: ReasonNoAnswer, Err: context.DeadlineExceeded,
	}
}

// osEntries is the OS keychain through go-keyring, whose calls know no context.
type osEntries struct{ service string }

// turn lets one call at a time into go-keyring. Calls that hang do not pile up
// behind each other then, and go-keyring mixes up the answers of two prompts.
var turn = make(chan struct{}, 1)

func (o osEntries) get(ctx context.Context, name string) (string, error) {
	return call(ctx, func() (string, error) {
		return found(func() (string, error) { return keyring.Get(o.service, name) })
	})
}

func (o osEntries) set(ctx context.Context, name, value string) error {
	_, err := call(ctx, func() (string, error) { return "", keyring.Set(o.service, name, value) })
	return err
}

func (o osEntries) remove(ctx context.Context, name string) error {
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

// mostCopies is how often an entry is deleted that is there more than once. Loopkey makes
// one, but a Secret Service keeps as many of the same name as other programs make.
const mostCopies = 10

// found does what go-keyring does in two steps, to search an entry and then to use it,
// once more where somebody else deleted it in between.
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

// call runs f and leaves it behind when ctx ends first.
func call(ctx context.Context, f func() (string, error)) (string, error) {
	if ctx.Err() != nil {
		return "", late(ctx)
	}
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return "", late(ctx)
	}
	type answer struct {
		value string
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-turn }()
		value, err := guard(f)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		// Left alone, a write could be done long after its session's lock was given back.
		go abandon()
		return "", late(ctx)
	}
}

// guard runs f between the look for a keychain and the explanation of its error.
func guard(f func() (string, error)) (value string, err error) {
	defer func() {
		// go-keyring dereferences nil when the bus goes away while a prompt is open.
		if recover() != nil {
			err = &UnavailableError{Why: "it went away while it was asked", Reason: ReasonFailed}
		}
	}()
	if err := look(); err != nil {
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
		return "", &UnavailableError{Why: "this build knows no keychain on " + runtime.GOOS, Reason: ReasonNoKeychain, Err: err}
	}
	why, reason := explain(err)
	return "", &UnavailableError{Why: why, Reason: reason, Err: err}
}

// late says why ctx ended: this store's limit, the caller's, or an interruption.
func late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &UnavailableError{Why: "no answer in time", Reason: ReasonTooSlow, Err: cause}
	}
	return fmt.Errorf("waiting for the stored session: %w", cause)
}

// checkName keeps a record's name out of other entries, other files and other directories.
func checkName(name string) error {
	if name == "" || len(name) > 128 {
		return fmt.Errorf("keystore: a record's name has 1 to 128 characters, not %d", len(name))
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("keystore: %q can't be a record's name", name)
		}
	}
	return nil
}
