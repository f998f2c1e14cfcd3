// Package keystores lists the keystores that a configuration can name, and opens them.
package keystores

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/sharedstore"
	"github.com/loopkey/loopkey/keystore"
)

// Default is the keystore of a configuration that names none, and File is an encrypted file.
const (
	Default = "keychain"
	File    = "file"
)

// A Kind is one of the keystores.
type Kind struct {
	Name            string // as a configuration writes it
	TakesPath       bool   // a colon and a path follow the name
	OnlyInProfile   bool   // neither a flag nor a variable may name it
	WantsPassphrase bool

	open func(path string, o Options) keystore.Store
}

// kinds are all keystores. A new one is a row.
var kinds = []Kind{
	{Name: "keychain", open: func(_ string, o Options) keystore.Store {
		return keystore.Keychain(keystore.KeychainOptions{Limit: o.Limit})
	}},
	{Name: File, WantsPassphrase: true, open: func(_ string, o Options) keystore.Store {
		return keystore.File(filesIn(o.StateDir), keystore.FileOptions{
			Passphrase: o.Passphrase, Given: o.GivenPassphrase, Rest: o.Rest,
		})
	}},
	{Name: "socket", TakesPath: true, OnlyInProfile: true, open: func(path string, _ Options) keystore.Store {
		return sharedstore.Dial(path)
	}},
}

// Options are what a keystore may need to be opened.
type Options struct {
	StateDir   string        // where a file lies
	Limit      time.Duration // on each call of the OS keychain
	Passphrase Passphrase    // asks for that of a file

	GivenPassphrase string        // of a file, which nobody has to be asked for; "": there is none
	Rest            time.Duration // how long the key of a file rests with the system, after the passphrase was given
}

func filesIn(stateDir string) string { return filepath.Join(stateDir, "sessions") }

// Lock has the system and all processes forget the keys of encrypted files: see keystore.ForgetKeys.
func Lock(ctx context.Context, stateDir string) error {
	return keystore.ForgetKeys(ctx, filesIn(stateDir))
}

// A Passphrase returns the passphrase of an encrypted file. With confirm it is a new one,
// which a person should type twice.
type Passphrase = func(ctx context.Context, confirm bool) (string, error)

// Find returns the kind of keystore that a configuration names, such as "keychain" or
// "socket:/run/sessions", and the path in the name. ok is false where there is no such keystore.
func Find(name string) (kind Kind, path string, ok bool) {
	name, path, hasPath := strings.Cut(name, ":")
	for _, k := range kinds {
		if k.Name == name {
			return k, path, hasPath == k.TakesPath && (path != "") == k.TakesPath
		}
	}
	return Kind{}, "", false
}

// Socket returns the name of the keystore that is served on a Unix socket.
func Socket(path string) string { return "socket:" + path }

// Choices returns the names of the keystores that a flag may name.
func Choices() []string {
	var names []string
	for _, k := range kinds {
		if !k.OnlyInProfile {
			names = append(names, k.Name)
		}
	}
	return names
}

// Open returns the keystore. It reads nothing: the first call of the store does.
func (k Kind) Open(path string, o Options) keystore.Store { return k.open(path, o) }
