package webui

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// backchannelLogout ends the session because the provider says so (OpenID Connect Back-Channel Logout 1.0, sections 2.5
// to 2.8). The provider sends no cookie and no Origin, so the signed token is all that counts.
func (s *Server) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, why string) {
		layout.FailJSON(w, status, layout.Problem{Title: "Not logged out", Why: why})
	}
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		refuse(http.StatusBadRequest, "The request is not a form with one logout_token.")
		return
	}
	token, err := s.provider.VerifyLogoutToken(r.Context(), r.PostForm.Get("logout_token"))
	if err != nil {
		refuse(http.StatusBadRequest, "The logout token was not verified.")
		return
	}
	if !s.seen.begin(token.ID) {
		refuse(http.StatusBadRequest, "This logout token was used before.")
		return
	}
	ctx := context.WithoutCancel(r.Context()) // a provider that hangs up has said what it wants all the same
	// Which session is meant is decided under the session's lock: a login may have been made since the last look.
	_, err = s.cfg.Session.End(ctx, session.EndOptions{Local: true, Only: func(info session.Info) bool {
		return endsSession(token, info, s.cfg.Now())
	}})
	s.watch.refresh(ctx, true)
	if err != nil { // the provider may say it again
		s.seen.forget(token.ID)
		refuse(http.StatusInternalServerError, "The session could not be deleted.")
		return
	}
	w.WriteHeader(http.StatusOK) // also for a session that is not here: it is logged out (section 2.7)
}

// endsSession reports whether a logout token is about this session, by its subject, its session ID (sid) or both. A
// token that is older than the login may have been sent twice, the first time to a server that ran before this one.
//
// A login of the future was noted while the clock was wrong, so that nothing is known to be older.
func endsSession(token *provider.LogoutToken, info session.Info, now time.Time) bool {
	sid := info.Claims.Text("sid")
	switch {
	case token.IssuedAt.Before(info.LoggedInAt.Add(-time.Minute)) && !info.LoggedInAt.After(now.Add(time.Minute)):
		return false
	case token.Subject != "" && token.Subject != info.Subject:
		return false
	case token.SessionID == "", token.SessionID == sid:
		return true
	}
	return sid == "" && token.Subject != "" // the ID token named no session, so the subject decides
}

// seenFor is longer than a logout token is accepted.
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

// forget takes back what begin noted: the token did not do its work.
func (s *seenTokens) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, id)
}

// begin notes an ID, and reports whether it is seen for the first time.
func (s *seenTokens) begin(id string) bool {
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
