package webui

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	heartbeat  = 15 * time.Second // between two lines of a stream, so that both ends know that it lives
	writeLimit = 5 * time.Second  // for one line
)

// firstLine of a stream says how soon a page comes again when its stream has ended.
const firstLine = "retry: 1000\n\n"

// events tells an open page that the session has changed, and nothing about the change. The page then asks for itself
// again, with the cookie that it has by then.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		s.refuseForeign(w, r)
		return
	}
	changes, stop := s.watch.listen() // before the page knows that its stream is open
	w.Header().Set("Content-Type", "text/event-stream")
	if s.streams.begin() {
		conn, err := takeOver(w)
		if !errors.Is(err, http.ErrNotSupported) {
			go func() {
				defer s.streams.done()
				defer stop()
				if err == nil {
					s.streamTo(conn, changes)
				}
			}()
			return
		}
		s.streams.done()
	}
	defer stop()
	response := http.NewResponseController(w)
	limit := func() { _ = response.SetWriteDeadline(time.Now().Add(writeLimit)) }
	defer limit() // for the end of the stream
	write := func(text string) bool {
		limit()
		if _, err := fmt.Fprint(w, text); err != nil {
			return false
		}
		return response.Flush() == nil
	}
	if write(firstLine) {
		s.stream(write, changes, r.Context().Done())
	}
}

// takeOver takes the connection from the server and begins the response on it. Where it can't be taken, the error is
// http.ErrNotSupported. Hundreds of pages may be open, and what the server keeps for the request of each (its headers,
// buffers and stacks) is four times what a stream needs.
func takeOver(w http.ResponseWriter) (net.Conn, error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", http.ErrNotSupported, err)
	}
	var head bytes.Buffer
	h := w.Header()
	h.Set("Connection", "close") // the stream has no other end
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head)
	_, _ = head.WriteString("\r\n" + firstLine)
	_ = conn.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := conn.Write(head.Bytes()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// streamTo is stream for a connection that was taken over, which it closes.
func (s *Server) streamTo(conn net.Conn, changes <-chan struct{}) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var one [1]byte
		_, _ = conn.Read(one[:]) // a browser sends nothing more
	}()
	s.stream(func(text string) bool {
		_ = conn.SetWriteDeadline(time.Now().Add(writeLimit))
		_, err := conn.Write([]byte(text))
		return err == nil
	}, changes, gone)
	_ = conn.Close()
	<-gone
}

// stream writes what changes, until the page is gone, nothing can be written to it, or the server ends.
func (s *Server) stream(write func(string) bool, changes, gone <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		text := ": still here\n\n"
		select {
		case <-gone:
			return
		case <-s.streams.stopping:
			return
		case <-beat.C:
		case _, ok := <-changes:
			if !ok { // it made room for a newer one; a page that is still open comes again
				return
			}
			text = "event: change\ndata: \n\n"
		}
		if !write(text) {
			return
		}
	}
}

// streams are those of connections that were taken over from the server, which therefore does not end them. They are
// taken over only while Run runs, and it waits for their end.
type streams struct {
	stopping chan struct{} // closed when Run ends, and then all streams end

	mu   sync.Mutex
	runs bool
	open sync.WaitGroup
}

// begin reports whether a stream may begin on a connection that was taken over. Its end calls done.
func (s *streams) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs {
		s.open.Add(1)
	}
	return s.runs
}

func (s *streams) done() { s.open.Done() }

// run lets streams begin until end is called, which ends all of them and waits for that.
func (s *streams) run() (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = true
	return func() {
		s.mu.Lock()
		s.runs = false
		s.mu.Unlock()
		close(s.stopping)
		s.open.Wait()
	}
}
