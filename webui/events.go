package webui

import (
	"fmt"
	"net/http"
	"time"
)

const (
	heartbeat  = 15 * time.Second // between two lines of a stream, so that both ends know that it lives
	writeLimit = 5 * time.Second  // for one line
)

// events tells an open page that the session has changed, and nothing about the change. The page then asks for itself
// again, with the cookie that it has by then.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		s.refuseForeign(w, r)
		return
	}
	changes, stop := s.watch.listen()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
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
	if !write("retry: 1000\n\n") {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		text := ": still here\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-s.stopping:
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
