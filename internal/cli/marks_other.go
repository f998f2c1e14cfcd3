//go:build !windows

package cli

import (
	"cmp"
	"strings"
)

// showsUnicode reports whether the terminal shows more than ASCII, as the locale says. One that says nothing does.
func (a *app) showsUnicode() bool {
	locale := strings.ToUpper(cmp.Or(a.lookup("LC_ALL"), a.lookup("LC_CTYPE"), a.lookup("LANG")))
	return locale == "" || strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
}
