package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/loopkey/loopkey/internal/private"
)

// hang makes the bell and opens it. A process that was killed has left the file, which is used again. It returns nil
// where there can be no named pipe: then those who wait ask again and again.
func hang(path string) *os.File {
	const both = os.O_RDWR | private.NoLink // a pipe that is opened for writing alone wants a reader first
	pipe, err := os.OpenFile(path, both, 0)
	if errors.Is(err, fs.ErrNotExist) && syscall.Mkfifo(path, 0o600) == nil {
		pipe, err = os.OpenFile(path, both, 0)
	}
	if err != nil || !isPipe(pipe) {
		_ = pipe.Close()
		return nil
	}
	return pipe
}

// listen waits until nobody has the bell open any more, until most has passed, or until ctx ends. It returns false at
// once where nobody has it open.
func listen(ctx context.Context, path string, most time.Duration) (waited bool) {
	pipe, err := os.OpenFile(path, os.O_RDONLY|private.NoLink, 0)
	if err != nil {
		return false
	}
	defer pipe.Close()
	conn, err := pipe.SyscallConn()
	if err != nil || !isPipe(pipe) || pipe.SetReadDeadline(time.Now().Add(most)) != nil {
		return false
	}
	defer context.AfterFunc(ctx, func() { _ = pipe.SetReadDeadline(time.Unix(1, 0)) })()
	reads := 0
	err = conn.Read(func(fd uintptr) (ended bool) {
		reads++
		_, err := syscall.Read(int(fd), make([]byte, 1))
		return !errors.Is(err, syscall.EAGAIN)
	})
	return reads > 1 || err != nil // the error says that the time is up
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().Type() == fs.ModeNamedPipe
}
