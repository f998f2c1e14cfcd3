package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostName is how many characters of a person's name are shown.
const mostName = 80

// NamingClaims returns the claims that say who a person is, the best first (OpenID Connect Core 1.0, section 5.1).
func NamingClaims() []string {
	return []string{"name", "preferred_username", "nickname", "email", "sub"}
}

// Name returns what to call the person whose claims are given: the first of NamingClaims that says
// something. It is fit for a page and for a terminal.
func Name(claims map[string]any) string {
	for _, claim := range NamingClaims() {
		text, _ := claims[claim].(string)
		if name := Line(text, mostName); name != "" {
			return Printable(name)
		}
	}
	return "somebody"
}

// NameAndEmail returns Name with the person's email address behind it, where
// there is one that does not say the same.
func NameAndEmail(claims map[string]any) string {
	name := Name(claims)
	text, _ := claims["email"].(string)
	if email := Printable(Line(text, mostName)); email != "" && email != name {
		return name + " <" + email + ">"
	}
	return name
}

// Initials returns one or two letters that stand for a name where there is no picture.
func Initials(name string) string {
	name, _, _ = strings.Cut(name, "@")
	parts := strings.FieldsFunc(name, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsNumber(c) })
	if len(parts) == 0 {
		return "?"
	}
	letters := initial(parts[0])
	if len(parts) > 1 {
		letters += initial(parts[len(parts)-1])
	}
	return letters
}

func initial(part string) string {
	first, _ := utf8.DecodeRuneInString(part)
	return string(unicode.ToUpper(first))
}
