package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/granted"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// Why a response was refused. Neither ends a login.
var (
	errNoLogin = errors.New("this response belongs to no login that waits here")
	errBrowser = errors.New("this login was begun in another browser")
)

// Callback takes the provider's response (OpenID Connect Core 1.0, section 3.1.2.5) at the redirect URI. A wrong, stale
// or repeated response gets a page that says so and ends no login, since any page can make a browser send it. What is
// no navigation of a user, such as a HEAD or a prefetch, uses no response up.
func (f *Flow) Callback(w http.ResponseWriter, r *http.Request) { f.callback(w, r) }

// waits reports whether r has the state of a login that waits.
func (f *Flow) waits(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting[r.URL.Query().Get("state")] != nil
}

// IsForTerminal reports whether r is the response to a login that a terminal began, or asks for the page that says how
// one went. Neither shows a cookie, so it may come under any name of this machine.
func (f *Flow) IsForTerminal(r *http.Request) bool {
	query := r.URL.Query()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.URL.Path {
	case CallbackPath:
		l := f.waiting[query.Get("state")]
		return l != nil && l.cli && l.browser == ""
	case ResultPath:
		res, ok := f.results[query.Get("id")]
		return ok && res.login.cli
	}
	return false
}

// refuseOtherUser replies to another user of this machine who shows the state of a login that waits. It says no more
// than to anybody else.
func (f *Flow) refuseOtherUser(w http.ResponseWriter, _ *http.Request) {
	f.Note(OtherUser)
	f.refusal(errNoLogin).Write(w)
}

// respond is Callback for the users that may be this one.
func (f *Flow) respond(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var browser []string
	for _, cookie := range r.CookiesNamed(f.cfg.Cookie) {
		browser = append(browser, cookie.Value)
	}
	// The user may close the tab: what the code was redeemed for is stored all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), exchangeLimit)
	defer cancel()
	l, err := f.take(q, browser, cancel)
	if err != nil {
		if errors.Is(err, errNoLogin) && q.Has("state") {
			f.Note(OtherLogin)
		}
		f.refusal(err).Write(w)
		return
	}
	defer f.done(l)
	localhost.Trust(r)
	tokens, err := f.redeem(ctx, r, l, q)
	again := errors.Is(err, ErrAgain) && !l.repeated
	if again || f.asksLess(l, err) {
		l.repeated = l.repeated || again
		var next string
		if next, err = f.repeat(ctx, l); err == nil {
			http.Redirect(w, r, next, http.StatusSeeOther)
			return
		}
	}
	res := result{login: l, err: err}
	if err == nil {
		if !tokens.IDToken.IsZero() {
			claims := tokens.Claims.With(tokens.UserInfo)
			res.name, res.who = words.Name(claims), words.NameAndEmail(claims)
		}
		if f.cfg.Done != nil && f.cfg.Done(w, r, l.part(f, false), tokens) {
			l.finish(tokens, nil)
			l.shown()
			return
		}
	}
	id := f.keepResult(res)
	l.finish(tokens, err)
	http.Redirect(w, r, ResultPath+"?id="+id, http.StatusSeeOther)
}

// take removes and returns the login that a response belongs to: a state is used once.
func (f *Flow) take(q url.Values, browser []string, abort context.CancelFunc) (*login, error) {
	states := q["state"]
	if len(states) != 1 || states[0] == "" {
		return nil, errNoLogin
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.waiting[states[0]]
	if !ok || !l.cli && !clock.Within(l.begun, f.cfg.Now(), WaitingLife) {
		return nil, errNoLogin
	}
	if l.browser != "" {
		same := false
		for _, cookie := range browser {
			same = same || subtle.ConstantTimeCompare([]byte(cookie), []byte(l.browser)) == 1
		}
		if !same {
			return nil, errBrowser
		}
	}
	if !f.startWork(l, abort) {
		return nil, errNoLogin
	}
	return l, nil
}

// startWork takes a login out of those that wait, for the work on its response, unless the flow has ended. The caller
// holds the lock, and calls done when the work is.
func (f *Flow) startWork(l *login, abort context.CancelFunc) bool {
	if f.ended {
		return false
	}
	delete(f.waiting, l.state)
	f.working[l]++
	f.work.Add(1)
	l.abort = abort
	return true
}

// done ends the work on a response.
func (f *Flow) done(l *login) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.working[l]--; f.working[l] == 0 {
		delete(f.working, l)
	}
	f.work.Done()
}

// redeem verifies a response, exchanges its code and stores the tokens. r is the callback's request, or nil.
func (f *Flow) redeem(ctx context.Context, r *http.Request, l *login, q url.Values) (*provider.Tokens, error) {
	code, err := f.cfg.Provider.CheckResponse(ctx, q)
	if err != nil {
		return nil, err
	}
	return f.exchange(ctx, r, l, code)
}

// exchange redeems a login's code and stores the tokens. r is the callback's request, or nil.
func (f *Flow) exchange(
	ctx context.Context, r *http.Request, l *login, code provider.Secret,
) (*provider.Tokens, error) {
	tokens, err := f.cfg.Provider.Exchange(ctx, provider.CodeExchange{
		Code: code, RedirectURI: f.cfg.RedirectURI, CodeVerifier: l.verifier, Nonce: l.nonce,
		Scope: l.scope, Audience: l.wanted.Audience, Audiences: l.audiences(), MaxAge: l.need.MaxAge, ACR: l.need.ACR,
		Organization: l.wanted.Params.Get("organization"), Prover: l.prover,
	})
	if err != nil {
		return nil, err
	}
	l.granted = true
	if f.cfg.Store == nil {
		return tokens, nil
	}
	err = granted.Store(ctx, func(ctx context.Context) error {
		return f.cfg.Store(ctx, r, l.part(f, false), tokens)
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// repeat lets a login wait once more, with an authorization request of its own, for those who wait for it already.
func (f *Flow) repeat(ctx context.Context, l *login) (authorizationURL string, err error) {
	if err := f.prepare(ctx, l); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.putBack(l) {
		return "", errNoLogin
	}
	return l.url, nil
}

// putBack lets a login that was taken wait again, if anybody still waits for it. The caller holds the lock.
func (f *Flow) putBack(l *login) bool {
	if l.waiters == 0 {
		return false
	}
	l.abort = nil
	f.waiting[l.state] = l
	return true
}
