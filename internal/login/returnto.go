package login

import (
	"net/url"
	"strings"
)

// mostReturnTo limits a path to go back to, in bytes.
const mostReturnTo = 2048

// ReturnTo returns raw as a path to go back to after a login, and reports whether it leads to our own origin. It
// refuses //host, /\host, https:host, control characters, and their encoded forms, each of which leads elsewhere in
// some browser.
func ReturnTo(raw string) (string, bool) {
	if raw == "" || raw[0] != '/' || len(raw) > mostReturnTo {
		return "", false
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return "", false
	}
	for _, form := range []string{raw, decoded} {
		if strings.HasPrefix(form, "//") || strings.ContainsFunc(form, leadsElsewhere) {
			return "", false
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return "", false
	}
	// Dot segments are removed here: a browser would make "//host" of "/.//host".
	clean := (&url.URL{Scheme: "http", Host: "localhost"}).ResolveReference(u)
	if clean.Host != "localhost" || strings.HasPrefix(clean.Path, "//") ||
		strings.Contains(strings.ToUpper(clean.EscapedPath()), "/%2F") {
		return "", false
	}
	clean.Scheme, clean.Host, clean.Fragment = "", "", ""
	path := clean.String()
	if len(path) > mostReturnTo { // escapes made it longer
		return "", false
	}
	return path, true
}

// leadsElsewhere reports whether a browser may read r in a path as something else.
func leadsElsewhere(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }
