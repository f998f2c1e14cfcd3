package config

import (
	"errors"
	"path/filepath"
)

// KeyInKeystore is the value of client_key for a key that loopkey made, and keeps.
const KeyInKeystore = "keystore"

// authNone is the value of client_auth for a client that authenticates by nothing: its key signs its authorization
// requests alone.
const authNone = "none"

// keySettings are those that say by which key or certificate a client authenticates.
func keySettings() []string {
	return []string{
		"client-key", "client-key-id", "client-key-alg", "client-certificate", "client-certificate-key",
		"assertion-audience", "client-auth",
	}
}

// dropForeignKeys takes the client's key and certificate away where they were set for another client, by the rules of
// clientSecret. One in the environment, for a client that ./.env alone names, is an error for commands that need it.
func (c *Config) dropForeignKeys(profile layer) {
	ofProfile := c.isNamedBy(profile, c.strangeIssuer, c.strangeClient)
	for _, name := range keySettings() {
		v, given := c.values[name]
		switch {
		case given && v.from == fromProfile && !ofProfile:
			c.drop(name)
		case given && v.from == fromEnvironment && c.isStrange():
			c.drop(name)
			c.fault(name, v.refuse("%w", because(ReasonUnclaimed, "", "is not for an issuer or a client that ./.env names")))
		}
	}
}

// dropKeys takes the client's key and certificate away.
func (c *Config) dropKeys() {
	for _, name := range keySettings() {
		c.drop(name)
	}
}

// drop takes the value of a setting away.
func (c *Config) drop(name string) {
	if s := settingNamed(name); s != nil && s.set != nil {
		s.set(c, "")
	}
	delete(c.values, name)
}

// fullPath returns the path of a key file as every process finds it, whatever folder it is in.
func fullPath(text string) string {
	if text == "" || text == KeyInKeystore {
		return text
	}
	if path, err := filepath.Abs(text); err == nil {
		return path
	}
	return text
}

// resolveClientKey makes the path of a key file absolute.
func resolveClientKey(p places, text string) (string, error) {
	if text == KeyInKeystore {
		return text, nil
	}
	return p.resolve(text)
}

// checkKeyID allows what is printable.
func checkKeyID(v value) error {
	return checkCharacters(v.text, "key ID", func(r rune) bool { return r < 0x7f })
}

func checkClientAuth(v value) error {
	if v.text != authNone {
		return errors.New("must be none, or left out: a client with a secret, a key or a certificate authenticates by that")
	}
	return nil
}

func checkAssertionAudience(v value) error {
	if v.text != "issuer" && v.text != "token_endpoint" {
		return errors.New("must be issuer or token_endpoint")
	}
	return nil
}
