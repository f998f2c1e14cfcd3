package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/layout"
	"github.com/loopkey/loopkey/provider"
)

// steppedParam marks the way back to a page after a login that the page asked for, with the Unix time of asking.
const steppedParam = "stepped"

// stepUpWindow is how long the mark counts.
const stepUpWindow = 10 * time.Minute

// admit reports whether the login meets what a page requires, and sends the refusal if it does not. Where another login
// could meet it, admit asks for one, once: the way back to the page is marked, and a login that still falls short is
// explained instead of being asked for again. The mark opens nothing, so nobody gains by forging it.
func (s *Site) admit(w http.ResponseWriter, r *http.Request, q requirement, claims provider.Claims) bool {
	now := s.cfg.Now()
	v := q.check(claims, now)
	stepped, marked := steppedUp(r, now)
	switch {
	case v.outcome == allowed && marked && layout.WantsPage(r):
		http.Redirect(w, r, withoutMark(r.URL), http.StatusSeeOther) //nolint:gosec // this path, which the mux has cleaned
	case v.outcome == allowed:
		return true
	case v.outcome == stepUp && !layout.WantsPage(r):
		w.Header().Set("WWW-Authenticate", s.cfg.Layout.Challenge()+challenge(v))
		layout.FailJSON(w, http.StatusUnauthorized, layout.Problem{
			Title: "Another login is needed", Why: "This page requires more than the present login.", Notes: v.lacks,
		})
	case v.outcome == stepUp && !stepped:
		http.Redirect(w, r, stepUpURL(r.URL, v, now), http.StatusSeeOther)
	case v.outcome == stepUp:
		s.cfg.Layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Title: "That login was not enough",
			Why:   "You logged in again, but the provider did not do what this page asks for.",
			Notes: v.lacks,
			Next:  "The provider's administrator can say whether this client may ask for it.",
			Links: []layout.Link{{Text: "Log in again", URL: stepUpURL(r.URL, v, now)}, allPages()},
		})
	default:
		again := url.Values{"prompt": {"login"}, "returnTo": {withoutMark(r.URL)}}
		s.cfg.Layout.Fail(w, r, http.StatusForbidden, layout.Problem{
			Why:   "You are logged in, but this page asks for more.",
			Notes: v.lacks,
			Next: "If you should have access, ask your administrator for it, then log in again: " +
				"a login keeps the claims that it began with.",
			Links: []layout.Link{{Text: "Log in again", URL: layout.LoginPath + "?" + again.Encode()}, allPages()},
		})
	}
	return false
}

// challenge tells an API client what a login has to have (RFC 9470, section 3).
func challenge(v verdict) string {
	text := `, error="insufficient_user_authentication"`
	if v.acr != nil {
		text += `, acr_values="` + strings.Join(v.acr, " ") + `"`
	}
	if v.maxAge > 0 {
		text += ", max_age=" + seconds(v.maxAge)
	}
	return text
}

// steppedUp reports whether r is marked as coming back from a login that the page asked for, and whether the page asked
// a short while ago.
func steppedUp(r *http.Request, now time.Time) (recent, marked bool) {
	text := r.URL.Query().Get(steppedParam)
	if text == "" {
		return false, false
	}
	at, err := strconv.ParseInt(text, 10, 64)
	return err == nil && at <= now.Unix() && at >= now.Add(-stepUpWindow).Unix(), true
}

// stepUpURL returns where to log in with what v lacks, and then to come back from.
func stepUpURL(at *url.URL, v verdict, now time.Time) string {
	query := at.Query()
	query.Set(steppedParam, strconv.FormatInt(now.Unix(), 10))
	login := url.Values{"returnTo": {at.EscapedPath() + "?" + query.Encode()}}
	if v.acr != nil {
		login.Set("acr_values", strings.Join(v.acr, " "))
	}
	if v.maxAge > 0 {
		login.Set("max_age", seconds(v.maxAge))
	}
	return layout.LoginPath + "?" + login.Encode()
}

// withoutMark returns the path and query of a page without the mark of a login.
func withoutMark(at *url.URL) string {
	query := at.Query()
	query.Del(steppedParam)
	here := at.EscapedPath()
	if len(query) > 0 {
		here += "?" + query.Encode()
	}
	return here
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
