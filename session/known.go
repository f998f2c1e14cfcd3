package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/private"
)

// Known says where a session came from: what a command needs to find it again
// when no configuration names it. It holds no secret.
type Known struct {
	Profile           string `json:"profile"`
	Issuer            string `json:"issuer"`
	ClientID          string `json:"client_id"`
	Auth0             bool   `json:"auth0,omitempty"`
	AudienceParameter string `json:"audience_parameter,omitempty"`
	Keystore          string `json:"keystore,omitempty"`
	BaseURL           string `json:"base_url,omitempty"`
}

const knownSuffix = ".known.json"

// Remember notes a session in stateDir before it is stored, so that nothing lies in
// the keystore that a logout of all would not find. The undo is for a login that came to nothing.
func Remember(stateDir string, k Known) (undo func(), err error) {
	data, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := private.Dir(stateDir); err != nil {
		return nil, fmt.Errorf("noting the session: %w", err)
	}
	path := filepath.Join(stateDir, Name(k.Profile, k.Issuer, k.ClientID)+knownSuffix)
	_, before := os.Lstat(path)
	if err := private.Replace(path, append(data, '\n')); err != nil {
		return nil, fmt.Errorf("noting the session: %w", err)
	}
	return func() {
		if errors.Is(before, os.ErrNotExist) {
			_ = os.Remove(path)
		}
	}, nil
}

// Recall returns what was remembered in stateDir of the session with that name, if anything was.
func Recall(stateDir, name string) (k Known, ok bool) {
	data, err := private.Read(filepath.Join(stateDir, name+knownSuffix), 1<<16)
	ok = err == nil && json.Unmarshal(data, &k) == nil && Name(k.Profile, k.Issuer, k.ClientID) == name
	return k, ok
}

// Forget takes back what Remember noted.
func Forget(stateDir, name string) error {
	if err := os.Remove(filepath.Join(stateDir, name+knownSuffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting the session: %w", err)
	}
	return nil
}

// All lists the sessions that were remembered in stateDir, by name. What can't be read is left out.
func All(stateDir string) ([]Known, error) {
	entries, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the known sessions: %w", err)
	}
	var all []Known
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), knownSuffix)
		if !ok || !entry.Type().IsRegular() {
			continue
		}
		if k, ok := Recall(stateDir, name); ok {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b Known) int {
		return strings.Compare(a.Profile+"\x00"+a.Issuer+"\x00"+a.ClientID, b.Profile+"\x00"+b.Issuer+"\x00"+b.ClientID)
	})
	return all, nil
}
