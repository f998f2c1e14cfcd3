package webui

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/session"
)

// seenFor is longer than a logout token is believed.
const seenFor = 15 * time.Minute

// seenTokens remembers the IDs of logout tokens, so that none works twice.
type seenTokens struct {
	now func() time.Time
	mu  sync.Mutex
	ids map[string]time.Time
}

func newSeenTokens(now func() time.Time) *seenTokens {
	return &seenTokens{now: now, ids: map[string]time.Time{}}
}

func (s *seenTokens) first(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for old, at := range s.ids {
		if now.Sub(at) > seenFor {
			delete(s.ids, old)
		}
	}
	if _, ok := s.ids[id]; ok {
		return false
	}
	s.ids[id] = now
	return true
}

// backchannelLogout ends the session here because the provider says so (OpenID Connect
// Back-Channel Logout 1.0, sections 2.5 to 2.8). It is the provider that calls: no
// cookie, no origin, only a token that is verified to the letter.
func (s *Server) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	bad := func(why string) {
		layout.FailJSON(w, http.StatusBadRequest, layout.Problem{Title: "No logout", Why: why})
	}
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		bad("A form with one logout_token is wanted.")
		return
	}
	token, err := s.cfg.Provider.VerifyLogoutToken(r.Context(), r.PostForm.Get("logout_token"))
	if err != nil {
		bad("The logout token is not one that can be believed.")
		return
	}
	ctx := context.WithoutCancel(r.Context()) // the provider may hang up; its logout is carried out all the same
	s.watch.refresh(ctx, false)
	v := s.watch.view(ctx)
	claims := v.info.Claims
	// A login that came after the token is not meant by it: it may be one of a server of before, sent once more.
	ours := v.loggedIn && !token.IssuedAt.Before(v.info.LoggedInAt.Add(-time.Minute)) && (token.Subject == "" || token.Subject == v.info.Subject) &&
		(token.SessionID == "" || claims.Text("sid") == "" && token.Subject != "" || token.SessionID == claims.Text("sid"))
	if !s.seen.first(token.ID) {
		bad("This logout token was used before.")
		return
	}
	if ours { // a session that is not here is logged out already: section 2.7
		_, err = s.cfg.Session.End(ctx, session.EndOptions{Local: true})
		s.watch.refresh(ctx, true)
		if err != nil {
			layout.FailJSON(w, http.StatusInternalServerError, layout.Problem{Title: "No logout", Why: "The session could not be deleted."})
			return
		}
	}
	w.WriteHeader(http.StatusOK)
}
