package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/provider"
)

// A response that does not come to Callback is text: what a user copied out of a browser's address bar, often on
// another machine, and pasted into a terminal. It comes as terminals, chats and mails leave it: wrapped over lines,
// between quotes or angle brackets, with a label before it, with https (some browsers change that), without a scheme,
// as the query alone, or as the authorization code alone.

const (
	mostPasted = 64 << 10 // bytes of a pasted text
	leastCode  = 16       // characters of an authorization code that is pasted alone: a typed word is none
)

// Why a pasted text is no response. None of them ends a login.
var (
	errRequestPasted = errors.New("that is the address to open, not the one that the browser ends up at")
	errCodeRefused   = errors.New("the provider does not accept that code")
	// ErrLess says that the provider refused to grant several audiences at once. The login has to be made once more,
	// without Wanted.Audiences: the browser that brought the refusal is elsewhere, so it can't be sent on.
	ErrLess = errors.New("the provider does not grant several audiences at once")
)

// Paste takes a response that did not come to Callback, from a terminal that waits for p. A text that is no response to
// a login that waits ends none, and the error says what is wrong with it. An authorization code alone is taken for p:
// its state can't be compared, but its code verifier and nonce bind the code to that login (RFC 7636; OpenID Connect
// Core 1.0, section 3.1.2.1).
func (p *Pending) Paste(ctx context.Context, text string) error {
	f := p.flow
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeLimit) // Wait ends it
	defer cancel()
	reason := fmt.Errorf("it does not begin with %s", f.cfg.RedirectURI)
	for _, q := range f.pastedResponses(text) {
		l, err := f.take(q, nil, cancel)
		if err == nil {
			defer f.done(l)
			tokens, err := f.redeem(ctx, nil, l, q)
			f.endPasted(l, tokens, err)
			return nil
		}
		reason = err
	}
	if strings.Contains(text, "response_type=") && strings.Contains(text, "code_challenge=") {
		return errRequestPasted
	}
	code, ok := pastedCode(text)
	if !ok {
		return reason
	}
	l := p.login
	if !f.takeFor(l, cancel) {
		return reason
	}
	defer f.done(l)
	tokens, err := f.exchange(ctx, nil, l, provider.NewSecret(code))
	if errors.Is(err, provider.ErrInvalidGrant) { // any word may be taken for a code: a wrong one ends nothing
		f.mu.Lock()
		back := f.putBack(l)
		f.mu.Unlock()
		if back {
			return errCodeRefused
		}
	}
	f.endPasted(l, tokens, err)
	return nil
}

// TakePasted calls Paste with each text that comes until ctx ends, and rejected, if it is not nil, with why one of them
// was no response.
func (p *Pending) TakePasted(ctx context.Context, texts <-chan string, rejected func(reason string)) {
	for {
		select {
		case <-ctx.Done():
			return
		case text, ok := <-texts:
			if !ok {
				return
			}
			if err := p.Paste(ctx, text); err != nil && rejected != nil {
				rejected(err.Error())
			}
		}
	}
}

// endPasted tells those who wait how a login ended whose response was pasted: no browser fetches a page.
func (f *Flow) endPasted(l *login, tokens *provider.Tokens, err error) {
	switch {
	case errors.Is(err, ErrAgain):
		err = ErrRevokedTogether
	case f.asksLess(l, err):
		err = fmt.Errorf("%w: %w", ErrLess, err)
	}
	l.shown()
	l.finish(tokens, err)
}

// takeFor takes a login that waits, and reports whether it did.
func (f *Flow) takeFor(l *login, abort context.CancelFunc) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, other := range f.waiting { // what is not in there belongs to whoever took it, its state too
		if other == l {
			return l.browser == "" && f.startWork(l, abort)
		}
	}
	return false
}

// pastedResponses returns the responses that a text can stand for, the likeliest first. The state of a response tells
// whether it belongs to a login.
func (f *Flow) pastedResponses(text string) []url.Values {
	var responses []url.Values
	for _, form := range pastedForms(text) {
		query, ok := f.queryOf(form)
		if !ok {
			continue
		}
		for _, candidate := range []string{query, strings.TrimRight(query, "\"'`<>()[]{},.;")} {
			q, err := url.ParseQuery(candidate)
			// An authorization request has a state too, but neither of the others.
			if err == nil && q.Has("state") && (q.Has("code") || q.Has("error")) {
				responses = append(responses, q)
			}
		}
	}
	return responses
}

// pastedForms returns a text as it may have been meant: each word with a query in it, line breaks taken out; and all of
// the text, white space taken out.
func pastedForms(text string) []string {
	text = strings.ToValidUTF8(text[:min(len(text), mostPasted)], "")
	text = strings.ReplaceAll(text, "&amp;", "&")
	var unwrapped strings.Builder
	for line := range strings.Lines(text) {
		unwrapped.WriteString(strings.Trim(line, "\r\n"))
	}
	var forms []string
	for _, word := range strings.Fields(unwrapped.String()) {
		if strings.Contains(word, "=") {
			forms = append(forms, word)
		}
	}
	return append(forms, strings.Join(strings.Fields(text), ""))
}

// queryOf returns the query in a text without white space. What stands before it has to end as the redirect URI does,
// with any loopback host, if it is a URL at all.
func (f *Flow) queryOf(form string) (query string, ok bool) {
	before, query, found := strings.Cut(form, "?")
	if !found {
		before, query = "", strings.TrimLeft(form, "&\"'`<([{")
	}
	query, _, _ = strings.Cut(query, "#") // some providers add #_=_
	scheme := strings.LastIndex(before, "://")
	if scheme < 0 {
		return query, true
	}
	own, err := url.Parse(f.cfg.RedirectURI)
	if err != nil {
		return "", false
	}
	host, path, _ := strings.Cut(before[scheme+len("://"):], "/")
	return query, "/"+path == own.Path && slices.Contains(localurl.Authorities(localurl.Port(own)), host)
}

// pastedCode returns the authorization code that a text is, if it is one word that can be a code (RFC 6749, appendix
// A.11).
func pastedCode(text string) (code string, ok bool) {
	code = strings.Trim(strings.Join(strings.Fields(text), ""), "\"'`<>")
	if len(code) < leastCode || len(code) > mostPasted || strings.Contains(code, "://") ||
		strings.ContainsAny(code, "=&?") {
		return "", false
	}
	return code, !strings.ContainsFunc(code, func(c rune) bool { return c <= ' ' || c > '~' })
}
