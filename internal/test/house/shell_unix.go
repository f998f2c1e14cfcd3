//go:build unix

package house

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/loopkey/loopkey/internal/environ"
)

// InShell makes a command run shell commands first, in the same process.
func InShell(cmd *exec.Cmd, words string) *exec.Cmd {
	// The shell sets argv[0] to the path, by which the test binary knows which program it is.
	dir, err := os.MkdirTemp(environ.Lookup(cmd.Env, "HOME"), "bin")
	link := filepath.Join(dir, "loopkey")
	sh, lookErr := exec.LookPath("sh")
	cmd.Err = errors.Join(err, lookErr, os.Symlink(cmd.Path, link))
	cmd.Path, cmd.Args = sh, append([]string{"sh", "-c", words + `; exec "$0" "$@"`, link}, cmd.Args[1:]...)
	return cmd
}
