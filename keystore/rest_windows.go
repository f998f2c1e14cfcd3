package keystore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/loopkey/loopkey/internal/private"
)

// A system keeps the key in a file beside the identity, encrypted by DPAPI (CryptProtectData): any process of this user
// can decrypt it on this machine, and nobody else. DPAPI knows no timeout, so a key that has ended is not used, and
// stays in the file until it is replaced or forgotten. What rests for files in other directories is theirs to forget.
type system struct{ dir string }

const (
	restFile  = "identity.rest"
	restLimit = 1 << 16 // bytes
)

func (s system) path() string { return filepath.Join(s.dir, restFile) }

func (s system) get(_ context.Context, name string) (text string, ok bool) {
	sealed, err := private.Read(s.path(), restLimit)
	if err != nil || len(sealed) == 0 {
		return "", false
	}
	plain, err := dpapi(sealed, func(in, out *windows.DataBlob) error {
		return windows.CryptUnprotectData(in, nil, nil, 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, out)
	})
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(plain), name+" ")
}

func (s system) put(_ context.Context, name, text string, _ time.Duration) error {
	sealed, err := dpapi([]byte(name+" "+text), func(in, out *windows.DataBlob) error {
		return windows.CryptProtectData(in, nil, nil, 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, out)
	})
	if err != nil {
		return err
	}
	return private.Replace(s.path(), sealed)
}

func (s system) forget(context.Context) error {
	if err := os.Remove(s.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// dpapi has the system make a blob of another one, and returns a copy of it.
func dpapi(content []byte, convert func(in, out *windows.DataBlob) error) ([]byte, error) {
	in := windows.DataBlob{Size: uint32(len(content)), Data: &content[0]} //nolint:gosec // at most restLimit
	var out windows.DataBlob
	if err := convert(&in, &out); err != nil {
		return nil, err
	}
	defer func() { _, _ = windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data))) }()
	return append([]byte(nil), unsafe.Slice(out.Data, out.Size)...), nil
}
