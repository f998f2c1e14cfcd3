package webui

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/session"
)

const (
	othersLife  = 2 * time.Second // how old what is known of other sessions may be
	othersLimit = 5 * time.Second // for one look at them
	mostOthers  = 24              // that the start page shows
)

// An Other is a session of the user beside that of the server.
type Other struct {
	Session *session.Session // nil: it can't be shown here, or nobody is logged in
	Title   string           // what the user calls it, such as a profile
	BaseURL string           // of its own server; if it is that of the pages, the provider's logout leads back to them
	Note    string           // why Session is nil, as a sentence; "": nothing that one has to be told
	Command string           // what to run for it in a terminal; "": nothing
}

// An Event is something that happened to a session, such as that a tool got a token.
type Event struct {
	Time time.Time
	Text string
}

// Commands are lines for a terminal, under a title.
type Commands struct {
	Title string
	Lines []Command
}

// A Command is a line for a terminal, and what it does.
type Command struct{ What, Code string }

// others keeps what is known of the user's other sessions.
type others struct {
	mu     sync.Mutex
	looked time.Time // zero: never
	known  otherSessions
}

// otherSessions is what is known of them at one time. Nothing in it changes.
type otherSessions struct {
	list   []otherSession
	events []Event
	number int64 // another one where something of it is another
	more   int   // sessions that are not in the list
}

type otherSession struct {
	Other
	id      string
	info    session.Info
	changed time.Time // the stamp of the session in info
	failure string    // why the session can't be read; "": it is in info, or nobody is logged in
	out     bool      // nobody is logged in
}

// othersFor returns the other sessions, if r comes from a browser that may see them.
func (s *Server) othersFor(r *http.Request) otherSessions {
	if s.cfg.Others == nil && s.cfg.Events == nil || !s.browsers.isWhole(r) {
		return otherSessions{}
	}
	o := &s.others
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := func(o otherSession) bool { return o.Session != nil && !o.Session.Changed().Equal(o.changed) }
	old := o.looked.IsZero() || !clock.Within(o.looked, s.cfg.Now(), othersLife)
	if old || slices.ContainsFunc(o.known.list, changed) {
		o.known = s.lookAtOthers(r.Context(), o.known, true)
		o.looked = s.cfg.Now()
	}
	return o.known
}

// watchEveryOther is how often watchOthers looks.
const watchEveryOther = time.Second

// watchOthers lets open pages ask for themselves again when something of the other sessions is another, until ctx ends.
// It looks while there is a page that may show them.
func (s *Server) watchOthers(ctx context.Context) {
	if s.cfg.Others == nil && s.cfg.Events == nil {
		return
	}
	tick := time.NewTicker(watchEveryOther)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.watch.attended() && s.othersChanged(ctx) {
			s.watch.tell()
		}
	}
}

// othersChanged reports whether something of the other sessions is another than a page has shown last. What could not
// be read is not asked for again: a keychain may show a dialog each time.
func (s *Server) othersChanged(ctx context.Context) bool {
	o := &s.others
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.looked.IsZero() { // no page has shown them yet
		return false
	}
	before := o.known.number
	o.known = s.lookAtOthers(ctx, o.known, false)
	return o.known.number != before
}

// forgetOthers has the next page look at them again: one has been changed.
func (s *Server) forgetOthers() {
	s.others.mu.Lock()
	defer s.others.mu.Unlock()
	s.others.looked = time.Time{}
}

// lookAtOthers reads the sessions that have changed since before. With again it also reads those that could not be
// read.
func (s *Server) lookAtOthers(ctx context.Context, before otherSessions, again bool) otherSessions {
	// What all requests share is not read under the limits of one.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), othersLimit)
	defer cancel()
	var next otherSessions
	if s.cfg.Events != nil {
		next.events = s.cfg.Events(ctx)
	}
	var found []Other
	if s.cfg.Others != nil {
		found = s.cfg.Others(ctx)
	}
	for _, other := range found {
		o := otherSession{Other: other, id: other.Title}
		if other.Session != nil {
			o.id, o.changed = other.Session.Name(), other.Session.Changed()
			i := slices.IndexFunc(before.list, func(b otherSession) bool {
				return b.id == o.id && (b.failure == "" || !again) && b.Session != nil && b.changed.Equal(o.changed)
			})
			var err error
			if i >= 0 {
				o.info, o.out, o.failure = before.list[i].info, before.list[i].out, before.list[i].failure
			} else {
				o.info, err = other.Session.Info(ctx)
				o.out = errors.Is(err, session.ErrNotLoggedIn)
			}
			if err != nil && !o.out {
				o.failure = words.Whole(words.Printable(err.Error()))
			}
		}
		if len(next.list) == mostOthers {
			if !o.out {
				next.more++
			}
			continue
		}
		next.list = append(next.list, o)
	}
	next.number = before.number
	if next.more != before.more || !slices.Equal(next.events, before.events) ||
		!slices.EqualFunc(next.list, before.list, otherSession.equal) {
		next.number++
	}
	return next
}

func (o otherSession) equal(other otherSession) bool {
	return o.id == other.id && o.changed.Equal(other.changed) && o.failure == other.failure && o.Title == other.Title &&
		o.Note == other.Note && o.out == other.out && o.Command == other.Command &&
		(o.Session == nil) == (other.Session == nil)
}

// left is secondsLeft of all of them, after their number.
func (o otherSessions) left(now time.Time) []int64 {
	if o.number == 0 {
		return nil
	}
	all := []int64{o.number}
	for i := range o.list {
		all = append(all, secondsLeft(o.list[i].info, now)...)
	}
	return all
}

// A sessionCard is a session on the start page.
type sessionCard struct {
	Title, Who, Where, Initials string
	Own                         bool // it is the session of the page
	Tokens                      []tokenView
	Note, Command               string
	ID, Login                   string // of the session, and of its login, for forms; Login is "" where there are none
	Renewable                   bool
}

// maxBars is how many tokens of a session the start page shows.
const maxBars = 4

func cardOf(info session.Info, id, title string, now time.Time) sessionCard {
	c := sessionCard{
		ID: id, Login: loginOf(info), Renewable: info.Renewable, Title: title, Where: host(info.Issuer),
		Who: words.NameAndEmail(info.Claims),
	}
	if info.Subject == "" {
		c.Who = "no user is named"
	}
	c.Initials = words.Initials(cmp.Or(words.Name(info.Claims), title))
	for _, t := range tokenViews(info, now) {
		if t.Kind == accessToken && len(c.Tokens) < maxBars {
			c.Tokens = append(c.Tokens, t)
		}
	}
	if err := info.UnusableAt(now); err != nil {
		c.Note, c.Renewable = words.Whole(words.Printable(err.Error())), false
	}
	return c
}

// loginOf names a login of a session, so that a form of an old page does nothing to a newer one.
func loginOf(info session.Info) string { return strconv.FormatInt(info.LoggedInAt.UnixNano(), 10) }

// ownCard returns the card of the session that the pages are about.
func (s *Server) ownCard(info session.Info, now time.Time) sessionCard {
	c := cardOf(info, s.cfg.Session.Name(), info.Profile, now)
	c.Own = true
	return c
}

func (o otherSessions) cards(now time.Time) []sessionCard {
	cards := make([]sessionCard, 0, len(o.list))
	for i := range o.list {
		other := &o.list[i]
		if other.out {
			continue
		}
		c := sessionCard{
			Title: words.Line(other.Title, 200), Who: "not logged in", Note: cmp.Or(other.failure, other.Note),
			Initials: words.Initials(words.Line(other.Title, 200)),
		}
		switch {
		case other.failure != "":
			c.Who = "it can't be read just now"
		case other.Session != nil:
			c = cardOf(other.info, other.id, c.Title, now)
		case other.Note != "":
			c.Who = ""
		}
		c.Command = other.Command
		cards = append(cards, c)
	}
	return cards
}

// A chosen is the session that a form of the start page is about.
type chosen struct {
	session *session.Session
	info    session.Info
	title   string // of another session than the pages are about; "": it is that one
	baseURL string
}

// chosen returns the session that the form in r is about, as far as that is the login that its page showed.
func (s *Server) chosen(w http.ResponseWriter, r *http.Request, v view) (chosen, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id, login := r.PostFormValue("session"), r.PostFormValue("login")
	own := chosen{session: s.cfg.Session, info: v.info, baseURL: s.cfg.BaseURL}
	if id == "" || id == s.cfg.Session.Name() {
		return own, id == "" || login == loginOf(v.info)
	}
	s.forgetOthers()
	list := s.othersFor(r).list
	i := slices.IndexFunc(list, func(o otherSession) bool {
		return o.id == id && o.Session != nil && !o.out && o.failure == ""
	})
	if i < 0 || login != loginOf(list[i].info) {
		return chosen{}, false
	}
	o := list[i]
	return chosen{session: o.Session, info: o.info, title: words.Line(o.Title, 200), baseURL: o.BaseURL}, true
}

// renew renews the tokens of a session because the user asks for it.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, v view) {
	c, ok := s.chosen(w, r, v)
	if !ok {
		http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), renewLimit)
	defer cancel()
	request := session.Request{Force: true, Proves: true} // nobody gets the token
	if c.title == "" {
		request.Audience = s.cfg.Audience
	}
	_, err := c.session.AccessToken(ctx, request)
	if err == nil { // it may have given the token that there was
		var now session.Info
		if now, err = c.session.Info(ctx); err == nil && !now.RenewedAt.After(c.info.RenewedAt) {
			err = errNotRenewed
		}
	}
	s.forgetOthers()
	s.watch.refresh(context.WithoutCancel(r.Context()), true)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	http.Redirect(w, r, s.layout.Home, http.StatusSeeOther)
}

// errNotRenewed says that a renewal brought nothing, though nothing has ended.
var errNotRenewed = errors.New("the provider gave no new token just now: the one that there is goes on working")
