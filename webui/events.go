package webui

import (
	"fmt"
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
)

const heartbeat = 15 * time.Second

// events tells an open page that the session changed, and nothing of how: the page
// then asks for itself again, with whatever cookie it has by then.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		s.layout.Fail(w, r, http.StatusForbidden, layout.Problem{})
		return
	}
	changes, stop := s.watch.listen()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	send := http.NewResponseController(w)
	soon := func() { _ = send.SetWriteDeadline(time.Now().Add(5 * time.Second)) }
	defer soon() // for the end of the stream
	write := func(text string) bool {
		soon()
		if _, err := fmt.Fprint(w, text); err != nil {
			return false
		}
		return send.Flush() == nil
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
			if !ok { // others came after it; a page that is still open comes again
				return
			}
			text = "event: change\ndata: \n\n"
		}
		if !write(text) {
			return
		}
	}
}
