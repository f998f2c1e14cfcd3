// Package known keeps notes of the logins of this user, so that a command finds their sessions again where no
// configuration names them.
package known

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
)

// A Client is one client at one provider under one profile, with what a command needs to know to open its session.
// It holds no secret. The zero Client stands for none.
type Client struct {
	Profile           string `json:"profile"`
	Issuer            string `json:"issuer"`
	ClientID          string `json:"client_id"`
	DiscoveryURL      string `json:"discovery_url,omitempty"`      // of the metadata, where it is not under the issuer
	Auth0             bool   `json:"auth0,omitempty"`              // the issuer is an Auth0 tenant
	AudienceParameter string `json:"audience_parameter,omitempty"` // audience or resource; "": as Auth0 says
	DPoP              bool   `json:"dpop,omitempty"`               // logins bind their tokens to a key
	Keystore          string `json:"keystore,omitempty"`           // keychain, file, or socket:PATH
	BaseURL           string `json:"base_url,omitempty"`           // of the local server
	CallbackPorts     []int  `json:"callback_ports,omitempty"`     // that it may have; empty: the one of BaseURL

	// By what the client authenticates, if not by nothing: paths of files, and neither a key nor a secret.
	ClientSecretFile     string `json:"client_secret_file,omitempty"` // that a flag named
	ClientKey            string `json:"client_key,omitempty"`         // a path, or keystore
	ClientKeyID          string `json:"client_key_id,omitempty"`      // in place of the key's own
	ClientKeyAlg         string `json:"client_key_alg,omitempty"`     // in place of the key's own
	ClientCertificate    string `json:"client_certificate,omitempty"`
	ClientCertificateKey string `json:"client_certificate_key,omitempty"` // "": the certificate's file holds it
	AssertionAudience    string `json:"assertion_audience,omitempty"`     // issuer or token_endpoint
	ClientAuth           string `json:"client_auth,omitempty"`            // none: the key signs requests alone

	// Resource is the resource (RFC 8707) that a session without an ID token is for; "": the session has one. Server is
	// the URL of the MCP server that named it.
	Resource string `json:"resource,omitempty"`
	Server   string `json:"server,omitempty"`
	// Also lists the other keystores in which an earlier login of the client may still be. Remember and Forget keep it.
	Also []string `json:"also,omitempty"`
}

// AuthenticatingAs returns the client with the key or the certificate of another one. The file of a secret stays its
// own.
func (c Client) AuthenticatingAs(other Client) Client {
	c.ClientKey, c.ClientKeyID, c.ClientKeyAlg = other.ClientKey, other.ClientKeyID, other.ClientKeyAlg
	c.ClientCertificate, c.ClientCertificateKey = other.ClientCertificate, other.ClientCertificateKey
	c.AssertionAudience, c.ClientAuth = other.AssertionAudience, other.ClientAuth
	return c
}

// Keystores returns the keystores in which a session of the client may be: that of the last login comes first.
func (c Client) Keystores() []string { return append([]string{c.Keystore}, c.Also...) }

// Name returns the keystore's name of the client's session. Two profiles, issuers, client IDs or resources never share
// one.
func (c Client) Name() string {
	of := c.Profile + "\x00" + c.Issuer + "\x00" + c.ClientID
	if c.Resource != "" {
		of += "\x00" + c.Resource
	}
	sum := sha256.Sum256([]byte(of))
	return c.Profile + "." + hex.EncodeToString(sum[:8])
}

const (
	suffix       = ".known.json"   // of the note of a login
	tokensSuffix = ".machine.json" // of the note that a client got tokens for itself
	noteLimit    = 1 << 16         // of a note, in bytes
)

// Remember notes a client in stateDir. It is called before the client's session is stored, so that the keystore holds
// no session that All does not list. If the last login went to another keystore, the note goes on listing that one. The
// undo is for a session that could not be stored: it brings back the note that was there before, or none.
func Remember(stateDir string, c Client) (undo func(), err error) {
	undo, err = remember(stateDir, suffix, c)
	if err != nil {
		return nil, fmt.Errorf("noting the session: %w", err)
	}
	return undo, nil
}

// RememberTokens notes in stateDir that a client has tokens which it got for itself, with nobody logged in. It is
// called before they are stored, so that the keystore holds none that WithTokens does not list.
func RememberTokens(stateDir string, c Client) error {
	if _, err := remember(stateDir, tokensSuffix, c); err != nil {
		return fmt.Errorf("noting the client: %w", err)
	}
	return nil
}

func remember(stateDir, suffix string, c Client) (undo func(), err error) {
	if err := private.Dir(stateDir); err != nil {
		return nil, err
	}
	undo = func() { _ = os.Remove(notePath(stateDir, c.Name(), suffix)) }
	if before, ok := recall(stateDir, c.Name(), suffix); ok {
		c.Also = without(before.Keystores(), c.Keystore)
		undo = func() { _ = write(stateDir, suffix, before) }
	}
	return undo, write(stateDir, suffix, c)
}

func notePath(stateDir, name, suffix string) string { return filepath.Join(stateDir, name+suffix) }

func write(stateDir, suffix string, c Client) error {
	data, err := json.Marshal(c) //nolint:gosec // where the key is, not the key
	if err != nil {
		return err
	}
	return private.Replace(notePath(stateDir, c.Name(), suffix), append(data, '\n'))
}

// without returns the keystores but one, each once.
func without(keystores []string, one string) []string {
	var rest []string
	for _, k := range keystores {
		if k != one && !slices.Contains(rest, k) {
			rest = append(rest, k)
		}
	}
	return rest
}

// Recall returns the client that was noted in stateDir under the name of its session, if there is a note.
func Recall(stateDir, name string) (c Client, ok bool) { return recall(stateDir, name, suffix) }

func recall(stateDir, name, suffix string) (c Client, ok bool) {
	data, err := private.Read(notePath(stateDir, name, suffix), noteLimit)
	ok = err == nil && json.Unmarshal(data, &c) == nil && c.Name() == name
	return c, ok
}

// Forget takes a keystore out of the note of the client whose session has the name: no session of that name is there. A
// note that lists no other keystore is removed. A note that is not there is no error.
func Forget(stateDir, name, keystore string) error {
	if err := forget(stateDir, name, suffix, keystore); err != nil {
		return fmt.Errorf("forgetting the session: %w", err)
	}
	return nil
}

// ForgetTokens is Forget for what RememberTokens noted.
func ForgetTokens(stateDir, name, keystore string) error {
	if err := forget(stateDir, name, tokensSuffix, keystore); err != nil {
		return fmt.Errorf("forgetting the client: %w", err)
	}
	return nil
}

func forget(stateDir, name, suffix, keystore string) error {
	c, ok := recall(stateDir, name, suffix)
	if rest := without(c.Keystores(), keystore); ok && len(rest) > 0 {
		c.Keystore, c.Also = rest[0], rest[1:]
		return write(stateDir, suffix, c)
	}
	if err := os.Remove(notePath(stateDir, name, suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// All returns the clients that were noted in stateDir, sorted by profile, issuer, client ID and resource. It leaves out
// the notes that can't be read.
func All(stateDir string) ([]Client, error) {
	return list(stateDir, suffix, func(string) bool { return true })
}

// WithTokens returns the clients that RememberTokens noted, sorted as those of All are.
func WithTokens(stateDir string) ([]Client, error) {
	return list(stateDir, tokensSuffix, func(string) bool { return true })
}

// A DamagedNote is a note that can't be read: nobody knows whether what it is about is there. Name is its session's.
type DamagedNote struct{ Path, Profile, Name string }

// Damaged returns the notes that All leaves out.
func Damaged(stateDir string) []DamagedNote { return damaged(stateDir, suffix) }

// DamagedTokens returns the notes that WithTokens leaves out.
func DamagedTokens(stateDir string) []DamagedNote { return damaged(stateDir, tokensSuffix) }

func damaged(stateDir, suffix string) []DamagedNote {
	entries, _ := os.ReadDir(stateDir) // All and WithTokens report why it can't be read
	var all []DamagedNote
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		end := strings.LastIndexByte(name, '.')
		if !ok || end < 0 {
			continue
		}
		if _, ok := recall(stateDir, name, suffix); !ok {
			all = append(all, DamagedNote{filepath.Join(stateDir, entry.Name()), name[:end], name})
		}
	}
	return all
}

// OfProfile returns those of All that belong to a profile. It reads no other notes, however many there are.
func OfProfile(stateDir, profile string) ([]Client, error) {
	return list(stateDir, suffix, func(name string) bool {
		return strings.LastIndexByte(name, '.') == len(profile) &&
			strings.HasPrefix(name, profile)
	})
}

// list returns the noted clients whose sessions have names that are wanted.
func list(stateDir, suffix string, wanted func(name string) bool) ([]Client, error) {
	entries, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the known sessions: %w", err)
	}
	var all []Client
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok || !wanted(name) || !entry.Type().IsRegular() {
			continue
		}
		if c, ok := recall(stateDir, name, suffix); ok {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Client) int {
		return cmp.Or(
			strings.Compare(a.Profile, b.Profile), strings.Compare(a.Issuer, b.Issuer),
			strings.Compare(a.ClientID, b.ClientID), strings.Compare(a.Resource, b.Resource),
		)
	})
	return all, nil
}
