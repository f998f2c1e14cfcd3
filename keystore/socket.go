package keystore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

// The protocol of a served store: one request and one answer a connection, each
// a line of JSON.
const (
	socketLimit   = 10 * time.Second
	maxLine       = 2*maxContent + 1<<10
	maxConnection = 64 // served at a time; more wait to be accepted
)

type request struct {
	Op   string `json:"op"` // head, load, save, delete
	Name string `json:"name"`
	Head []byte `json:"head,omitempty"`
	Body []byte `json:"body,omitempty"`
}

type answer struct {
	Head  []byte `json:"head"`
	Body  []byte `json:"body"`
	Error string `json:"error,omitempty"` // not_found, unavailable, corrupt
	What  string `json:"what,omitempty"`
	Why   string `json:"why,omitempty"`
	Next  string `json:"next,omitempty"`
}

// Serve answers for store on a Unix socket until ctx ends, then closes the
// listener and waits for the answers that are under way. Who may connect is
// decided by the socket's directory: anything but a 0700 directory of this user
// is refused.
func Serve(ctx context.Context, listener net.Listener, store Store) error {
	defer listener.Close()
	if address, ok := listener.Addr().(*net.UnixAddr); !ok {
		return fmt.Errorf("keystore: %v is no Unix socket", listener.Addr())
	} else if err := checkPrivate(filepath.Dir(address.Name)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var serving sync.WaitGroup
	defer serving.Wait()
	places := make(chan struct{}, maxConnection)
	for {
		places <- struct{}{} // given back within socketLimit
		conn, err := listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ECONNABORTED):
			<-places
			pause(ctx, 50*time.Millisecond)
			continue
		default:
			return fmt.Errorf("the served keystore: %w", err)
		}
		serving.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			serve(ctx, conn, store)
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// serve answers one request. An end of ctx ends the wait for it.
func serve(ctx context.Context, conn net.Conn, store Store) {
	ctx, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if conn.SetWriteDeadline(time.Now().Add(socketLimit+time.Second)) != nil {
		return
	}
	var req request
	a := answer{Error: "unavailable", Why: "it was asked in a way it does not understand"}
	if readLine(conn, &req) == nil {
		a = respond(ctx, store, req)
	}
	_ = writeLine(conn, a)
}

func respond(ctx context.Context, store Store, req request) answer {
	var r Record
	err := checkName(req.Name)
	if err == nil {
		switch req.Op {
		case "head":
			r, err = store.Head(ctx, req.Name)
		case "load":
			r, err = store.Load(ctx, req.Name)
		case "save":
			err = store.Save(ctx, req.Name, Record{req.Head, req.Body})
		case "delete":
			err = store.Delete(ctx, req.Name)
		default:
			err = errors.New("it knows no such request")
		}
	}
	if err == nil {
		return answer{Head: r.Head, Body: r.Body}
	}
	if e, ok := errors.AsType[*UnavailableError](err); ok {
		return answer{Error: "unavailable", What: e.What, Why: e.Why, Next: e.Next}
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return answer{Error: "not_found"}
	case errors.Is(err, ErrCorrupt):
		return answer{Error: "corrupt", Why: err.Error()}
	}
	return answer{Error: "unavailable", Why: err.Error()}
}

// readLine reads one line of JSON of a bounded length.
func readLine(r io.Reader, v any) error {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Dial returns the store that another process of the same user serves on the
// socket at path. Making it does not connect.
func Dial(path string) Store { return &remote{path} }

type remote struct{ path string }

func (r *remote) Head(ctx context.Context, name string) (Record, error) {
	return r.ask(ctx, request{Op: "head", Name: name})
}

func (r *remote) Load(ctx context.Context, name string) (Record, error) {
	return r.ask(ctx, request{Op: "load", Name: name})
}

func (r *remote) Save(ctx context.Context, name string, record Record) error {
	_, err := r.ask(ctx, request{Op: "save", Name: name, Head: record.Head, Body: record.Body})
	return err
}

func (r *remote) Delete(ctx context.Context, name string) error {
	_, err := r.ask(ctx, request{Op: "delete", Name: name})
	return err
}

func (r *remote) ask(ctx context.Context, req request) (Record, error) {
	if err := checkName(req.Name); err != nil {
		return Record{}, err
	}
	if len(req.Head)+len(req.Body) > maxContent {
		return Record{}, r.unavailable("the session is too large to keep", nil)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, socketLimit, r.unavailable(fmt.Sprintf("no answer in %v", socketLimit), context.DeadlineExceeded))
	defer cancel()
	if err := checkPrivate(filepath.Dir(r.path)); errors.Is(err, os.ErrNotExist) {
		return Record{}, r.gone(err)
	} else if err != nil {
		return Record{}, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.path)
	if ctx.Err() != nil {
		return Record{}, late(ctx)
	}
	if err != nil {
		return Record{}, r.gone(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var a answer
	err = writeLine(conn, req)
	if err == nil {
		err = readLine(conn, &a)
	}
	switch {
	case err == nil:
		return a.record()
	case ctx.Err() != nil:
		return Record{}, late(ctx)
	}
	return Record{}, r.unavailable("it went away, or what it answered can't be read", nil) // json's words may quote the answer
}

func (a answer) record() (Record, error) {
	switch a.Error {
	case "":
		return Record{a.Head, a.Body}, nil
	case "not_found":
		return Record{}, ErrNotFound
	case "corrupt":
		return Record{}, corrupt("so says the process that keeps it")
	}
	return Record{}, &UnavailableError{What: words.Printable(a.What), Why: words.Printable(a.Why), Next: words.Printable(a.Next)}
}

func (r *remote) gone(err error) error {
	return r.unavailable("nothing answers at "+r.path+": the process that keeps the session has ended", err)
}

func (r *remote) unavailable(why string, err error) error {
	return &UnavailableError{What: "the other process's keystore", Why: why, Next: "start loopkey demo again", Err: err}
}
