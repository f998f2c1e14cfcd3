package localhost

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
)

// exhausted is a listener on a system that has run out of things.
type exhausted struct {
	net.Listener
	errs []error
}

func (e *exhausted) Accept() (net.Conn, error) {
	if len(e.errs) == 0 {
		client, server := net.Pipe()
		_ = client.Close()
		return server, nil
	}
	err := e.errs[0]
	e.errs = e.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func (e *exhausted) Close() error { return nil }

// A connection that can't be accepted ends no server.
func TestPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := Patient(&exhausted{errs: []error{
			syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENETDOWN, syscall.EPERM,
		}})
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	})
	real, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Patient(real)
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener: %v", err)
	}
}

// A browser that tries https meets a plain close and is told of once; http still works.
func TestTLSHello(t *testing.T) {
	t.Parallel()
	l, err := ListenPort(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	hellos := make(chan struct{}, 9)
	l.TLSHello = func() { hellos <- struct{}{} }
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if TellsPeers && os.Geteuid() != 0 && !Own(r) {
				t.Error("the user at the other end is not known")
			}
			_, _ = io.WriteString(w, "hello")
		}))
	}()
	addr := net.JoinHostPort("localhost", strconv.Itoa(l.Port()))
	for range 2 {
		_, err := (&tls.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if wrong := new(tls.RecordHeaderError); err == nil || errors.As(err, wrong) {
			t.Errorf("TLS meets %v", err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	stop()
	if err := <-served; err != nil || len(hellos) != 1 {
		t.Errorf("got %v; it was told %d times", err, len(hellos))
	}
}
