package login

import (
	"net/url"
	"strings"
)

const mostReturnTo = 2048

// ReturnTo reports whether raw is a path of our own origin to go back to after a
// login, and returns it. //host, /\host, https:host, control characters and their
// encoded forms lead elsewhere in one browser or another, so they are refused.
func ReturnTo(raw string) (string, bool) {
	if raw == "" || raw[0] != '/' || len(raw) > mostReturnTo {
		return "", false
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return "", false
	}
	for _, form := range []string{raw, decoded} {
		if strings.HasPrefix(form, "//") || strings.ContainsFunc(form, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
			return "", false
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return "", false
	}
	// Dot segments are taken away now: "/.//host" would be "//host" afterwards.
	clean := (&url.URL{Scheme: "http", Host: "localhost"}).ResolveReference(u)
	if clean.Host != "localhost" || strings.HasPrefix(clean.Path, "//") || strings.Contains(clean.EscapedPath(), "/%2f") || strings.Contains(clean.EscapedPath(), "/%2F") {
		return "", false
	}
	clean.Scheme, clean.Host, clean.Fragment = "", "", ""
	path := clean.String()
	if len(path) > mostReturnTo { // escaping made it longer
		return "", false
	}
	return path, true
}
