package upstream

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/provider"
)

// maxGroups limits X-Forwarded-Groups, in bytes. Servers accept headers of 8 KB and more.
const maxGroups = 4 << 10

// isReserved reports whether a request's header could be taken for what a proxy says of the request. Some servers
// read an underscore as a hyphen.
func isReserved(name string) bool {
	switch name[:min(len(name), 1)] { // of the names below; most headers begin otherwise
	case "X", "x", "R", "r", "L", "l", "F", "f", "P", "p":
	default:
		return false
	}
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	for _, prefix := range []string{
		"x-forwarded", "x-auth-", "x-remote-", "remote-", "x-original-", "loopkey-",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"forwarded", "x-real-ip", "x-user", "x-email", "proxy"}, name)
}

// identity returns the headers that tell an app who the user is.
func identity(claims provider.Claims) map[string]string {
	headers := map[string]string{}
	for name, value := range map[string]string{
		"X-Forwarded-User":               claims.Subject(),
		"X-Forwarded-Preferred-Username": cmp.Or(claims.Text("preferred_username"), claims.Text("nickname")),
	} {
		if value != "" {
			headers[name] = headerSafe(value)
		}
	}
	// An address that the provider has not verified may be somebody else's.
	verified := claims["email_verified"]
	if email := claims.Text("email"); email != "" && verified != false && verified != "false" {
		headers["X-Forwarded-Email"] = headerSafe(email)
	}
	for _, name := range []string{"groups", "roles"} {
		if groups := list(claims[name]); groups != "" {
			headers["X-Forwarded-Groups"] = groups
			break
		}
	}
	return headers
}

// list joins the strings of a claim with commas, as many as fit. A group that is left out takes rights away and
// gives none.
func list(claim any) string {
	elements, ok := claim.([]any)
	if !ok {
		elements = []any{claim}
	}
	joined := ""
	for _, element := range elements {
		text, ok := element.(string)
		if !ok || text == "" {
			continue
		}
		text = strings.ReplaceAll(headerSafe(text), ",", "%2C")
		if len(joined)+1+len(text) > maxGroups {
			break
		}
		joined = strings.TrimPrefix(joined+","+text, ",")
	}
	return joined
}

// headerSafe percent-encodes, as in a URL's path, what is not printable ASCII, a space at either end, and the percent
// sign, so that decoding gives the value back.
func headerSafe(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if c > ' ' && c <= '~' && c != '%' || c == ' ' && i > 0 && i < len(value)-1 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
