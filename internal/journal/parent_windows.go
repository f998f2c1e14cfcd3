package journal

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Parent returns the name and the ID of the program that started this process. Of its arguments it tells nothing: they
// may hold secrets.
func Parent() (name string, pid int) {
	pid = os.Getppid()
	const access = windows.PROCESS_QUERY_LIMITED_INFORMATION
	process, err := windows.OpenProcess(access, false, uint32(pid)) //nolint:gosec // an ID
	if err != nil {
		return "", pid
	}
	defer func() { _ = windows.CloseHandle(process) }()
	path := make([]uint16, windows.MAX_PATH)
	size := uint32(len(path)) //nolint:gosec // it is small
	if windows.QueryFullProcessImageName(process, 0, &path[0], &size) != nil {
		return "", pid
	}
	return filepath.Base(windows.UTF16ToString(path[:size])), pid
}
