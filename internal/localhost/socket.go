package localhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/loopkey/loopkey/internal/private"
)

// LongestSocket is how long the path of a socket may be on every system, in bytes.
const LongestSocket = 103

// Why ListenSocket and DialSocket refuse a path.
var (
	ErrSocketAnswered = errors.New("another program answers there")
	ErrNoSocket       = errors.New("it is no socket")
	ErrSocketTooLong  = fmt.Errorf("the path of a socket has %d bytes at most", LongestSocket)
	ErrSocketForeign  = errors.New("another user answers there")
	ErrSocketPlace    = errors.New("another user could put a socket in its place")
	// ErrSocketUsers says that this system does not tell whose process is at the other end of a socket.
	ErrSocketUsers = errors.New("this system does not tell loopkey which user is at the other end of a socket")
)

// folderWait limits the wait for another process that makes a socket in the same folder.
const folderWait = 5 * time.Second

// ListenSocket listens on a Unix socket for processes of this very user. The kernel says whose a connection is,
// whatever the mode of the file; one of another user is closed before a byte of it is read. The file has mode 0600, and
// is removed when the listener is closed.
//
// A socket on which nobody answers is replaced. One on which a program answers (ErrSocketAnswered), or a file that is
// no socket (ErrNoSocket), is not.
func ListenSocket(ctx context.Context, path string) (*Listener, error) {
	folder := filepath.Dir(path)
	switch {
	case !tellsSocketUsers:
		return nil, ErrSocketUsers
	case len(path) > LongestSocket:
		return nil, fmt.Errorf("%s: %w", path, ErrSocketTooLong)
	}
	if why := private.Keeps(folder); why != "" {
		return nil, fmt.Errorf("%s: %w: %s", path, ErrSocketPlace, why)
	}
	// Of two processes that find the same dead socket, the second must not remove what the first has put there.
	waiting, cancel := context.WithTimeout(ctx, folderWait)
	defer cancel()
	turn := flock.New(folder, flock.SetFlag(os.O_RDONLY))
	if ok, err := turn.TryLockContext(waiting, 20*time.Millisecond); !ok {
		return nil, fmt.Errorf("%s: its folder can't be locked: %w", path, err)
	}
	defer func() { _ = turn.Close() }()
	if err := removeDead(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s, err := bindSocket(ctx, path, false)
	if err != nil {
		return nil, err
	}
	return &Listener{parts: []net.Listener{s}}, nil
}

// ReplaceSocket is ListenSocket for a caller that holds what only one process can hold, such as a port: whatever is at
// path was left there. The folder becomes one that no other user can enter, which is enough where the system does not
// tell whose a connection is.
func ReplaceSocket(ctx context.Context, path string) (net.Listener, error) {
	for attempts := 3; ; attempts-- {
		if err := private.Dir(filepath.Dir(path)); err != nil {
			return nil, err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		s, err := bindSocket(ctx, path, true)
		if attempts > 1 && errors.Is(err, os.ErrNotExist) { // another process has just taken the empty folder away
			continue
		}
		return s, err
	}
}

// bindSocket makes a socket in a folder where no other user can put anything. closed says that no other user can enter
// it.
func bindSocket(ctx context.Context, path string, closed bool) (net.Listener, error) {
	bound, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, syscallError(err))
	}
	s := &ownSocket{UnixListener: bound.(*net.UnixListener), path: path, closed: closed}
	s.SetUnlinkOnClose(false)
	if err = os.Chmod(path, 0o600); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// removeDead removes a socket on which nobody answers.
func removeDead(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return ErrNoSocket
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return ErrSocketAnswered
	}
	if !refused(err) { // such as a program with a full queue, or of another user: nobody can tell that it is dead
		return fmt.Errorf("%w, or may: %w", ErrSocketAnswered, syscallError(err))
	}
	return os.Remove(path)
}

// An ownSocket accepts connections of this user alone.
type ownSocket struct {
	*net.UnixListener
	path    string
	closed  bool        // the folder lets nobody else in, so a connection that the system tells nothing of is this user's
	file    fs.FileInfo // the socket at path as this process made it
	removal sync.Once
}

// Accept implements net.Listener.
func (s *ownSocket) Accept() (net.Conn, error) {
	for {
		conn, err := s.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, told := socketUser(conn); told && uid == os.Geteuid() || !told && s.closed {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// Close implements net.Listener. It removes the file, unless another one is in its place. The file goes first: as long
// as the socket is open no other file has its inode.
func (s *ownSocket) Close() error {
	s.removal.Do(func() {
		if info, err := os.Lstat(s.path); err == nil && os.SameFile(info, s.file) {
			_ = os.Remove(s.path)
		}
	})
	return s.UnixListener.Close()
}

// DialSocket connects to a Unix socket of a process of this very user. Another user's is ErrSocketForeign.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	if !tellsSocketUsers {
		return nil, ErrSocketUsers
	}
	conn, err := (&net.Dialer{Timeout: folderWait}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if !isOwnSocket(conn.(*net.UnixConn)) {
		_ = conn.Close()
		return nil, ErrSocketForeign
	}
	return conn, nil
}

// isOwnSocket reports whether a process of this very user is at the other end. It is false where that is not certain.
func isOwnSocket(conn *net.UnixConn) bool {
	uid, ok := socketUser(conn)
	return ok && uid == os.Geteuid()
}
