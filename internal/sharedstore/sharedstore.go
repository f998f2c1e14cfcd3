// Package sharedstore lets other processes of the same user use a keystore of this process, over a Unix socket.
package sharedstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/internal/wire/kinds"
	"github.com/loopkey/loopkey/keystore"
)

// A connection carries one request and one reply, each a message of package wire.
const (
	limit          = 3 * time.Minute // of a connection: only a machine under load needs as long
	maxRecord      = 8 << 20         // bytes
	maxMessage     = 2 * maxRecord   // a record in base64, with its name and its fields
	maxConnections = 64              // served at a time; more wait to be accepted
)

// ReasonGone says that no process serves the store any more. It is the reason of a keystore.UnavailableError.
const ReasonGone keystore.Reason = "shared_store_gone"

type request struct {
	wire.Header
	Op   string `json:"op"` // head, load, save, delete
	Name string `json:"name"`
	Head []byte `json:"head,omitempty"`
	Body []byte `json:"body,omitempty"`
}

type reply struct {
	wire.Header
	Head []byte `json:"head"`
	Body []byte `json:"body"`
}

// Serve replies for store on a Unix socket until ctx ends. Then it closes the listener and waits for the replies that
// are under way. The socket's folder decides who may connect, so a folder that is not this user's alone is refused.
func Serve(ctx context.Context, listener net.Listener, store keystore.Store) error {
	listener = localhost.Patient(listener)
	defer listener.Close()
	if address, ok := listener.Addr().(*net.UnixAddr); !ok {
		return fmt.Errorf("the served keystore: %v is no Unix socket", listener.Addr())
	} else if err := checkFolder(filepath.Dir(address.Name)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var serving sync.WaitGroup
	defer serving.Wait()
	places := make(chan struct{}, maxConnections)
	for {
		places <- struct{}{} // waits for limit at most, as no connection lasts longer
		conn, err := listener.Accept()
		if err != nil { // it is closed
			return nil //nolint:nilerr // the end of ctx, or of its owner
		}
		serving.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			serve(ctx, conn, store)
		})
	}
}

// serve replies to one request. When ctx ends it no longer waits for the request.
func serve(ctx context.Context, conn net.Conn, store keystore.Store) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if conn.SetWriteDeadline(time.Now().Add(limit+time.Second)) != nil {
		return
	}
	var req request
	var r keystore.Record
	err := wire.NewReader(conn, maxMessage).Read(&req)
	if err == nil {
		r, err = perform(ctx, store, req)
	}
	_ = wire.Write(conn, &reply{Header: kinds.Keystore().Failed(classified(err)), Head: r.Head, Body: r.Body})
}

func perform(ctx context.Context, store keystore.Store, req request) (keystore.Record, error) {
	switch req.Op {
	case "head":
		return store.Head(ctx, req.Name)
	case "load":
		return store.Load(ctx, req.Name)
	case "save":
		return keystore.Record{}, store.Save(ctx, req.Name, keystore.Record{Head: req.Head, Body: req.Body})
	case "delete":
		return keystore.Record{}, store.Delete(ctx, req.Name)
	}
	return keystore.Record{}, errors.New("it knows no such request")
}

// classified makes an error of a store into one of the three that a Store may return.
func classified(err error) error {
	switch {
	case err == nil, errors.Is(err, keystore.ErrNotFound), errors.Is(err, keystore.ErrCorrupt),
		errors.As(err, new(*keystore.UnavailableError)):
		return err
	}
	return unavailable(keystore.ReasonFailed, err.Error(), nil)
}

// Dial returns the store that another process serves on the socket at path. It does not connect yet.
func Dial(path string) keystore.Store { return &remote{path} }

type remote struct{ path string }

func (r *remote) Head(ctx context.Context, name string) (keystore.Record, error) {
	return r.ask(ctx, request{Op: "head", Name: name})
}

func (r *remote) Load(ctx context.Context, name string) (keystore.Record, error) {
	return r.ask(ctx, request{Op: "load", Name: name})
}

func (r *remote) Save(ctx context.Context, name string, record keystore.Record) error {
	_, err := r.ask(ctx, request{Op: "save", Name: name, Head: record.Head, Body: record.Body})
	return err
}

func (r *remote) Delete(ctx context.Context, name string) error {
	_, err := r.ask(ctx, request{Op: "delete", Name: name})
	return err
}

func (r *remote) ask(ctx context.Context, req request) (keystore.Record, error) {
	var none keystore.Record
	if len(req.Head)+len(req.Body) > maxRecord {
		return none, unavailable(keystore.ReasonTooLarge, "the session is too large to keep", nil)
	}
	silent := unavailable(keystore.ReasonNoAnswer, fmt.Sprintf("no answer in %v", limit), context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, silent)
	defer cancel()
	if err := checkFolder(filepath.Dir(r.path)); errors.Is(err, os.ErrNotExist) {
		return none, r.gone(err)
	} else if err != nil {
		return none, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.path)
	if ctx.Err() != nil {
		return none, ended(ctx)
	}
	if err != nil {
		return none, r.gone(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var re reply
	if err = wire.Write(conn, &req); err == nil {
		err = wire.NewReader(conn, maxMessage).Read(&re)
	}
	switch {
	case ctx.Err() != nil:
		return none, ended(ctx)
	case err != nil:
		return none, unavailable(keystore.ReasonFailed, "it went away, or its reply can't be read", nil)
	}
	return keystore.Record{Head: re.Head, Body: re.Body}, classified(kinds.Keystore().Err(re.Failure))
}

func (r *remote) gone(err error) error {
	return unavailable(ReasonGone, "nothing answers at "+r.path+": the process that keeps the session has ended", err)
}

func unavailable(reason keystore.Reason, why string, err error) error {
	return &keystore.UnavailableError{What: "the other process's keystore", Why: why, Reason: reason, Err: err}
}

// ended says why ctx ended: by the limit of this package, by the caller's, or because the caller cancelled it.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, keystore.ErrUnavailable) {
		return cause
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return unavailable(keystore.ReasonTooSlow, "no answer in time", cause)
	}
	return fmt.Errorf("waiting for the stored session: %w", cause)
}

// checkFolder refuses a folder that others can get at.
func checkFolder(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return &keystore.UnavailableError{
			What: dir, Why: "it can't be looked at", Reason: keystore.ReasonNoFolder, Path: dir, Err: err,
		}
	}
	why := private.Exposed(info, 0o077)
	if !info.IsDir() {
		why = "is no directory"
	}
	if why == "" {
		return nil
	}
	return &keystore.UnavailableError{What: dir, Why: "it " + why, Reason: keystore.ReasonExposedFolder, Path: dir}
}
