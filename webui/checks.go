package webui

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/internal/words"
)

const (
	checksPath  = "/auth/checks"
	checksLimit = time.Minute // for all checks together
)

// A Finding is what came of one of the checks that the user can have made on a page.
type Finding struct {
	Name    string
	State   string // ok, warning, broken or skipped
	Message string
	Fix     string // what the user can do; "": there is nothing to do
}

// errChecking says that checks which another page asked for have not come to an end.
var errChecking = errors.New("checks that another page asked for are still being made")

// checked makes the checks when those of other requests have ended. A request that is given up waits no longer.
func (s *Server) checked(ctx context.Context) ([]Finding, error) {
	waiting, stop := context.WithTimeoutCause(ctx, checksLimit, errChecking)
	defer stop()
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-waiting.Done():
		return nil, context.Cause(waiting)
	}
	ctx, cancel := context.WithTimeout(ctx, checksLimit)
	defer cancel()
	return s.cfg.Checks(ctx), nil
}

// checks makes the checks because the user asks for it, and shows what was found.
func (s *Server) checks(w http.ResponseWriter, r *http.Request, _ view) {
	if s.cfg.Checks == nil || !s.browsers.isWhole(r) {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	found, err := s.checked(r.Context())
	if err != nil {
		s.failed(w, r, err)
		return
	}
	var view struct {
		Findings       []Finding
		Broken, Warned int
	}
	for _, f := range found {
		f.Name, f.Message, f.Fix = words.Line(f.Name, 100), words.Line(f.Message, 1000), words.Line(f.Fix, 1000)
		switch f.State {
		case "broken":
			view.Broken++
		case "warning":
			view.Warned++
		}
		view.Findings = append(view.Findings, f)
	}
	s.layout.Render(w, r, http.StatusOK, &checksTemplate, layout.Page{Title: "Checks", Section: "home", Data: view})
}
