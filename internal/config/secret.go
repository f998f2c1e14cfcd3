package config

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	mostSecret   = 64 << 10         // bytes of a file that holds a client secret
	pipePatience = 10 * time.Second // for a pipe that holds one: nobody may be writing to it
)

// clientSecret finds the secret, which belongs to a client and goes where the client
// comes from. ./.env may be a stranger's, so a secret of the environment is not sent to
// an issuer, or as a client, that ./.env alone names; one of a profile is used for
// the profile's client alone, and one of ./.env for the client that ./.env names.
func (c *Config) clientSecret(flags, variables, file, profile layer) error {
	issuer, client := c.values["issuer"], c.values["client-id"]
	profileIssuer, _, _, _ := issuerOf(profile) // one that is not used may be wrong
	fileIssuer, _, _, _ := issuerOf(file)
	strangeIssuer := issuer.from == fromDotEnv && c.Issuer != profileIssuer
	strangeClient := client.from == fromDotEnv && c.ClientID != profile["client-id"].text
	// same: what the layer names is what is used. What it does not name may come from the person, not from a stranger.
	same := func(named, used string, strange bool) bool { return named == used || named == "" && !strange }

	if v, ok := flags["client-secret-file"]; ok {
		c.useSecret(v, true)
		return nil
	}
	if v, ok := variables["client-secret"]; ok {
		if strangeIssuer || strangeClient {
			v.text = "@" // never shown
			return v.refuse("is not sent to an issuer or as a client that ./.env names: set the issuer and the client ID in the environment too")
		}
		c.useSecret(v, false)
		return nil
	}
	if v, ok := file["client-secret"]; ok && same(fileIssuer, c.Issuer, false) && same(file["client-id"].text, c.ClientID, false) {
		c.useSecret(v, false)
		return nil
	}
	if !same(profileIssuer, c.Issuer, strangeIssuer) || !same(profile["client-id"].text, c.ClientID, strangeClient) {
		return nil
	}
	text, hasText := profile["client-secret"]
	path, hasPath := profile["client-secret-file"]
	switch {
	case hasText && hasPath:
		return path.refuse("stands beside client_secret: give one")
	case hasText:
		c.useSecret(text, false)
	case hasPath:
		c.useSecret(path, true)
	}
	return nil
}

func (c *Config) useSecret(v value, isPath bool) {
	text := v.text
	v.text = "" // the secret is nowhere but in the closure
	c.values["client-secret"] = v
	c.secret = func() (string, error) { return text, nil }
	if isPath {
		c.secret = sync.OnceValues(func() (string, error) { // once: a pipe tells it once
			secret, err := readSecret(text)
			if err != nil {
				return "", v.refuse("names a file that gives no client secret: %w", err)
			}
			return secret, nil
		})
	}
}

// ClientSecret returns the client secret, or "" for a public client. A file is read
// only now, and once; so is a pipe, for which it waits 10 seconds at most.
func (c *Config) ClientSecret() (string, error) {
	if c.secret == nil {
		return "", nil
	}
	return c.secret()
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", plain(err)
	}
	var content []byte
	switch {
	case info.Mode().IsRegular():
		content, err = readLimited(path, mostSecret)
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

func readPipe(path string) ([]byte, error) {
	type answer struct {
		content []byte
		err     error
	}
	read := make(chan answer, 1)
	go func() { // a pipe that nobody opens for writing holds this for as long as the program runs
		content, err := readLimited(path, mostSecret)
		read <- answer{content, err}
	}()
	limit := time.NewTimer(pipePatience)
	defer limit.Stop()
	select {
	case a := <-read:
		return a.content, a.err
	case <-limit.C:
		return nil, errors.New("nothing was written to the pipe in time")
	}
}
