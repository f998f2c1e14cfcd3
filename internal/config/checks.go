package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/private"
)

// The checks of the settings' values. Their errors go on from the value: it "holds no scope".

// checkDiscoveryURL allows what an issuer may be, the well-known path, and a query.
func checkDiscoveryURL(v value) error {
	withoutQuery, _, _ := strings.Cut(v.text, "?")
	switch err := checkAddress(withoutQuery); {
	case errors.Is(err, errPlain):
		return err
	case err != nil || strings.ContainsFunc(v.text, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }):
		return errors.New("is no address of a provider's metadata, such as " +
			"https://login.example.com/tenant/.well-known/openid-configuration")
	}
	return nil
}

// checkClientID allows printable ASCII (RFC 6749, appendix A.1), and no space: no provider gives one with a space, but
// what is copied from a page may have some.
func checkClientID(v value) error {
	if alone := strings.Join(strings.Fields(v.text), ""); alone != v.text && alone != "" {
		return v.corrected(&correctableError{"has a space in it, and a client ID has none", alone})
	}
	return checkCharacters(v.text, "client ID", func(r rune) bool { return r < 0x7f })
}

// checkAudience allows everything that is printable.
func checkAudience(v value) error {
	return checkCharacters(v.text, "audience", func(r rune) bool { return r < 0x7f || r > 0x7f && strconv.IsPrint(r) })
}

// checkScope allows printable ASCII without quotation marks and backslashes (RFC 6749, appendix A.4).
func checkScope(v value) error {
	allowed := func(r rune) bool { return r < 0x7f && r != '"' && r != '\\' }
	if err := checkCharacters(v.text, "scope", allowed); err != nil {
		return err
	}
	if strings.TrimSpace(v.text) == "" {
		return errors.New("holds no scope")
	}
	if strings.Contains(v.text, ",") {
		meant := strings.Join(strings.FieldsFunc(v.text, func(r rune) bool { return r == ',' || r == ' ' }), " ")
		return v.corrected(&correctableError{"has commas between its scopes, where spaces belong", strconv.Quote(meant)})
	}
	return nil
}

// checkCharacters refuses control characters, and characters that are not allowed.
func checkCharacters(text, what string, allowed func(rune) bool) error {
	for _, r := range text {
		if r < ' ' || !allowed(r) {
			return fmt.Errorf("holds the character %#U, which no %s has", r, what)
		}
	}
	return nil
}

// checkBrowserProfile refuses what a browser would take for a flag or for another folder.
func checkBrowserProfile(v value) error {
	if strings.HasPrefix(v.text, "-") || strings.ContainsAny(v.text, `/\`) ||
		strings.ContainsFunc(v.text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return errors.New("is no name of a browser's profile")
	}
	return nil
}

func checkBaseURL(v value) error {
	_, err := localurl.ParseBase(v.text)
	return err
}

func checkProfile(v value) error {
	if !private.IsSessionName(v.text) {
		return errors.New("is no name of a profile: letters, digits, dot, dash and underscore, 64 at most, " +
			"and no device of Windows")
	}
	return nil
}

func checkKeystore(v value) error {
	kind, _, ok := keystores.Find(v.text)
	if !ok || kind.OnlyInProfile && v.from != fromProfile {
		return errors.New("is no keystore: there are " + strings.Join(keystores.Choices(), " and "))
	}
	return nil
}

// How long the key of an encrypted file rests after its passphrase was given, where nothing else is configured, and at
// the most.
const (
	DefaultUnlocked = 8 * time.Hour
	MostUnlocked    = 30 * 24 * time.Hour
)

func checkSessionLimit(v value) error {
	d, err := time.ParseDuration(v.text)
	if err != nil || d != 0 && d < time.Second {
		return errors.New("is no time such as 12h or 30m, nor 0 for no limit")
	}
	return nil
}

func checkUnlockFor(v value) error {
	d, err := time.ParseDuration(v.text)
	if err != nil || d < 0 || d > MostUnlocked || d > 0 && d < time.Second {
		return errors.New("is no time from 0 to 720h, such as 8h or 30m")
	}
	return nil
}

// resolveKeystore makes the path in a keystore's name absolute. It returns a name that it does not know as it is.
func resolveKeystore(p places, text string) (string, error) {
	kind, path, ok := keystores.Find(text)
	if !ok || !kind.TakesPath {
		return text, nil
	}
	path, err := p.resolve(path)
	return kind.Name + ":" + path, err
}

func checkAudienceParameter(v value) error {
	if v.text != "audience" && v.text != "resource" {
		return errors.New("must be audience or resource")
	}
	return nil
}

func checkLog(v value) error {
	if !slices.Contains([]string{"on", "off", "true", "false"}, v.text) {
		return errors.New("must be on or off")
	}
	return nil
}
