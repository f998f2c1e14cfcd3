package webui

import (
	"context"
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

// checks makes the checks because the user asks for it, and shows what was found.
func (s *Server) checks(w http.ResponseWriter, r *http.Request, _ view) {
	if s.cfg.Checks == nil || !s.browsers.isWhole(r) {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checksLimit)
	defer cancel()
	s.checking.Lock()
	found := s.cfg.Checks(ctx)
	s.checking.Unlock()
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
