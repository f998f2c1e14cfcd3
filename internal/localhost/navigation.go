package localhost

import (
	"net/http"
	"strings"
)

// aheadHeaders are where browsers say that they fetch a page ahead: the Fetch standard's name, then those of Chromium,
// Safari and Firefox.
var aheadHeaders = []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"}

// FetchedAhead reports whether a browser asks for a page that its user may never open: a prefetch, a prerendered page
// or a preview.
func FetchedAhead(r *http.Request) bool {
	for _, name := range aheadHeaders {
		purpose := strings.ToLower(strings.Join(r.Header.Values(name), ","))
		for _, ahead := range []string{"prefetch", "prerender", "preview"} {
			if strings.Contains(purpose, ahead) {
				return true
			}
		}
	}
	return false
}

// IsNavigation reports whether r can be a user's browser that opens a page in a tab. It is false where the browser says
// otherwise (Fetch Metadata Request Headers): the page is fetched ahead, or it is an image, a frame or a script's
// request. It is true for a client that says nothing, such as curl and older browsers.
func IsNavigation(r *http.Request) bool {
	dest, mode := r.Header.Get("Sec-Fetch-Dest"), r.Header.Get("Sec-Fetch-Mode")
	return !FetchedAhead(r) && (dest == "" || dest == "document") && (mode == "" || mode == "navigate")
}

// byServiceWorker reports whether a service worker fetches a page that its user navigates to: an app left it here that
// had the same port. Browsers send the mode of the navigation or that of a request of our own origin.
func byServiceWorker(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return r.Header.Get("Sec-Fetch-Dest") == "empty" && (mode == "navigate" || mode == "same-origin")
}

// OnlyNavigation passes a GET that can be a user's navigation to next, and refuses everything else on a page of app. It
// is for addresses that work once: what a browser or a scanner does by itself uses nothing up, and the user's own
// navigation still works. A page that was fetched ahead gets a 503, so that the browser asks again when the user opens
// it.
func OnlyNavigation(app string, next http.HandlerFunc) http.HandlerFunc {
	return OnlyGET(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case IsNavigation(r):
			next(w, r)
		case FetchedAhead(r):
			Page{
				Status: http.StatusServiceUnavailable, App: app, Title: "Not ahead of time",
				Text: "This address works once, so it is not fetched ahead. Nothing was changed.",
			}.Write(w)
		case byServiceWorker(r):
			Page{
				Status: http.StatusForbidden, App: app, Title: "Another app's service worker is in the way",
				Text: "An app that once ran at this address left a program in your browser, and that fetched this page " +
					"instead of you. Nothing was changed.",
				Next: "Reload this page past it: hold Shift and reload (Ctrl+Shift+R, on a Mac ⌘+Shift+R). " +
					"A login can also go on with the address of this page, pasted into the terminal that waits for it.",
			}.Write(w)
		default:
			Page{
				Status: http.StatusForbidden, App: app, Title: "Not from inside another page",
				Text: "This address has to be opened by itself. Nothing was changed.",
			}.Write(w)
		}
	})
}

// FromPage reports whether a browser says that a page made it send r, or a person who typed an address: r has an Origin
// or a Sec-Fetch-Site. Programs that are no browsers send neither. Some send a Sec-Fetch-Mode, which says nothing.
func FromPage(r *http.Request) bool {
	_, origin := r.Header["Origin"]
	_, site := r.Header["Sec-Fetch-Site"]
	return origin || site
}
