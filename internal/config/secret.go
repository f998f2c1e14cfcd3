package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/words"
)

const (
	mostSecret = 64 << 10         // bytes of a file that holds a client secret
	pipeLimit  = 10 * time.Second // on reading a pipe, to which nobody may be writing
)

// clientSecret chooses the client secret. A secret belongs to a client, and is sent only to the issuer and as the
// client that it was set for:
//
//   - one in a profile, to the issuer and as the client that the profile names;
//   - one in a .env, to the issuer and as the client that the .env files name;
//   - one in the environment, to none that ./.env alone names, for ./.env may be a stranger's.
//
// A flag beats them all.
func (c *Config) clientSecret(flags, variables, file, profile layer) error {
	if v, ok := flags["client-secret-file"]; ok {
		c.useSecret(v, true)
		if path := fullPath(v.text); private.IsRegular(path) { // a pipe gives its content once
			c.ClientSecretFile = path
		}
		return nil
	}
	if v, ok := variables["client-secret"]; ok {
		c.useSecret(v, false)
		if c.isStrange() {
			err := v.refuse("%w", because(ReasonUnclaimed, "", "is not sent to an issuer or as a client that ./.env names"))
			c.secret = func() (string, error) { return "", err }
		}
		return nil
	}
	if v, ok := file["client-secret"]; ok && c.isNamedBy(file, false, false) {
		c.useSecret(v, false)
		return nil
	}
	if !c.isNamedBy(profile, c.strangeIssuer, c.strangeClient) {
		return nil
	}
	if text, ok := profile["client-secret"]; ok {
		c.useSecret(text, false)
	} else if path, ok := profile["client-secret-file"]; ok {
		c.useSecret(path, true)
	}
	return profile.oneSecret()
}

// findStrangers finds whether ./.env alone names the issuer, and the client: it may be somebody else's.
func (c *Config) findStrangers(profile layer) {
	issuer, _, _, _ := issuerOf(profile) // its error counts only where the profile's issuer is used
	c.strangeIssuer = c.FromDotEnv("issuer") && c.Issuer != issuer
	c.strangeClient = c.FromDotEnv("client-id") && c.ClientID != profile["client-id"].text
}

func (c *Config) isStrange() bool { return c.strangeIssuer || c.strangeClient }

// isNamedBy reports whether a layer names the issuer and the client that are used. A layer that names nothing fits,
// unless what is used is a stranger's.
func (c *Config) isNamedBy(l layer, strangeIssuer, strangeClient bool) bool {
	fits := func(named, used string, strange bool) bool { return named == used || named == "" && !strange }
	issuer, _, _, _ := issuerOf(l) // its error counts only where this layer's issuer is used
	return fits(issuer, c.Issuer, strangeIssuer) && fits(l["client-id"].text, c.ClientID, strangeClient)
}

// Claimed returns why no secret from elsewhere, such as a token in a file, may be sent to the issuer; nil: it may.
func (c *Config) Claimed() error {
	if !c.isStrange() {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid,
		because(ReasonUnclaimed, "", "a token from elsewhere is not sent to an issuer or as a client that ./.env names"))
}

// oneSecret refuses a profile that gives the client secret in two ways.
func (l layer) oneSecret() error {
	path, hasPath := l["client-secret-file"]
	if _, hasText := l["client-secret"]; hasText && hasPath {
		return path.refuse("%w", because(ReasonGivenTwice, "", "stands beside client_secret"))
	}
	return nil
}

// useSecret sets the client secret to a value, or to the content of the file whose path the value is.
func (c *Config) useSecret(v value, isPath bool) {
	c.secret = func() (string, error) { return v.text, nil }
	c.secretPath = ""
	if isPath {
		c.secretPath = v.text
		c.secret = sync.OnceValues(func() (string, error) { // once: a pipe gives its content once
			secret, err := ReadSecret(v.text)
			if err != nil {
				return "", fmt.Errorf("%w: %s: no client secret can be read from %s: %w",
					ErrInvalid, v.place(), words.Printable(v.text), err)
			}
			return secret, nil
		})
	}
	shown := v
	shown.text = "" // fmt prints values; what is in a closure it can't reach
	c.values["client-secret"] = shown
}

// ClientSecret returns the client secret, or "" for a public client. A file that holds it is read at the first call, a
// pipe likewise for 10 seconds at most.
func (c *Config) ClientSecret() (string, error) {
	if c.secret == nil {
		return "", nil
	}
	return c.secret()
}

// SecretExposed returns an error if other users can read the file that holds the client secret. That is no reason
// against using it: a container's secrets are often files that every user there can read.
func (c *Config) SecretExposed() error {
	if c.secretPath == "" || !private.IsRegular(c.secretPath) { // what a pipe had is gone
		return nil
	}
	if _, err := private.ReadSecret(c.secretPath, mostSecret); !errors.Is(err, private.ErrExposed) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, because(ReasonReadableFile, c.secretPath,
		"others can read %s, which holds the client secret", c.secretPath))
}

// ReadSecret reads a secret, alone and on one line, from a file or a pipe. It waits 10 seconds for a pipe.
func ReadSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", private.WithoutPath(err)
	}
	var content []byte
	switch {
	case info.Mode().IsRegular():
		content, _, err = private.ReadRegular(path, mostSecret)
	case info.Mode()&os.ModeNamedPipe != 0:
		content, err = readPipe(path)
	default:
		err = errors.New("it is neither a file nor a pipe")
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(bytes.TrimPrefix(content, byteOrderMark)), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", errors.New("it must hold the secret alone, on one line")
	}
	return secret, nil
}

func readPipeNow(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:forbidigo // a pipe, under a limit of time
	if err != nil {
		return nil, private.WithoutPath(err)
	}
	defer f.Close()
	return private.ReadLimited(f, mostSecret)
}

func readPipe(path string) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	read := make(chan result, 1)
	go func() { // ends with the program where nobody opens the pipe for writing
		content, err := readPipeNow(path)
		read <- result{content, err}
	}()
	limit := time.NewTimer(pipeLimit)
	defer limit.Stop()
	select {
	case r := <-read:
		return r.content, r.err
	case <-limit.C:
		return nil, errors.New("nothing was written to the pipe in time")
	}
}
