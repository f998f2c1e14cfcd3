package private

import "errors"

// ErrExposed says that another user can read a file, or owns it.
var ErrExposed = errors.New("others can read it")

// ReadSecret is ReadRegular for a file that no other user may read, such as one with a private key. On Windows its
// access list decides. Administrators can read any file, so they do not count, there as elsewhere.
func ReadSecret(path string, limit int64) ([]byte, error) {
	f, info, err := OpenRegular(path)
	if err != nil {
		return nil, WithoutPath(err)
	}
	defer f.Close()
	exposed, err := othersRead(f, info)
	switch {
	case err != nil:
		return nil, err
	case exposed:
		return nil, ErrExposed
	}
	return ReadLimited(f, limit)
}
