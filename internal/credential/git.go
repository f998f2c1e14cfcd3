package credential

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/provider"
)

// Git is a credential helper of git (gitcredentials(7), git-credential(1)). Operations that git has besides get and
// erase need nothing of it: loopkey keeps no credential that git brings.
func Git(ctx context.Context, c Call) error {
	operation := ""
	if len(c.Args) > 0 {
		operation = c.Args[len(c.Args)-1]
	}
	if operation != "get" && operation != "erase" {
		return nil
	}
	data, err := c.input()
	if err != nil {
		return err
	}
	asked, err := parseGit(data)
	if err != nil {
		return err
	}
	origin, err := hosts.ParseOrigin(asked.protocol, asked.host)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnlisted, err)
	}
	h, err := c.match("git", origin)
	if err != nil {
		return err
	}
	if operation == "erase" {
		if asked.refused == "" {
			return nil // git says which credential was refused, or knows none
		}
		return c.refused(ctx, c.ask(h, hosts.AccessToken), provider.NewSecret(asked.refused))
	}
	t, err := c.token(ctx, c.ask(h, hosts.AccessToken))
	if err != nil {
		return err
	}
	return c.write(asked.credential(h, t.Secret.Reveal(), c.told(t).Unix()))
}

// A gitCredential is what git knows of a credential.
type gitCredential struct {
	protocol, host string
	username       string
	canBearer      bool   // git takes other credentials than a username and a password
	challenged     bool   // the server told what it takes
	wantsBearer    bool   // among that are bearer tokens
	refused        string // the secret of an erase
}

// gitLineLimit is how many bytes a line of git's protocol may have.
const gitLineLimit = 65535

// parseGit reads key=value lines up to an empty line or the end. Input that a host name could have smuggled lines into
// is refused, as git itself does since CVE-2020-5260 and CVE-2024-52006.
func parseGit(data []byte) (gitCredential, error) {
	var g gitCredential
	for line := range bytes.Lines(data) {
		if ended, ok := bytes.CutSuffix(line, []byte("\n")); ok {
			line = bytes.TrimSuffix(ended, []byte("\r")) // of Git for Windows
		}
		if len(line) == 0 {
			break
		}
		key, value, ok := strings.Cut(string(line), "=")
		if !ok || len(line) > gitLineLimit || strings.ContainsAny(string(line), "\r\x00") {
			return g, fmt.Errorf("%w: git sent a line that is no key=value", ErrInput)
		}
		g.set(key, value)
	}
	if g.protocol == "" || g.host == "" {
		return g, fmt.Errorf("%w: git named no protocol or no host", ErrInput)
	}
	return g, nil
}

// set takes one value. Of several values for a key the last counts; an empty one empties a list.
func (g *gitCredential) set(key, value string) {
	switch key {
	case "protocol":
		g.protocol = value
	case "host":
		g.host = value
	case "username":
		g.username = value
	case "password", "credential":
		g.refused = value
	case "capability[]":
		g.canBearer = value != "" && (g.canBearer || value == "authtype")
	case "wwwauth[]":
		scheme, _, _ := strings.Cut(value, " ")
		g.challenged = value != ""
		g.wantsBearer = value != "" && (g.wantsBearer || strings.EqualFold(scheme, "bearer"))
	}
}

// credential returns the credential as git reads it. A forge that offers Basic alone refuses a bearer token for git, so
// the token is a password there.
func (g *gitCredential) credential(h *hosts.Host, token string, expiry int64) string {
	var b strings.Builder
	bearer := g.canBearer && h.AuthType != "basic" && (h.AuthType == "bearer" || g.wantsBearer || !g.challenged)
	if bearer {
		b.WriteString("capability[]=authtype\nauthtype=Bearer\ncredential=" + token + "\n")
	} else {
		username := h.Username
		if username == "" {
			username = "oauth2"
		}
		b.WriteString("username=" + username + "\npassword=" + token + "\n")
	}
	b.WriteString("password_expiry_utc=" + strconv.FormatInt(expiry, 10) + "\n")
	if g.canBearer {
		b.WriteString("ephemeral=1\n") // nothing should store it
	}
	return b.String()
}
