package hostile

import (
	"bufio"
	"os/exec"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
)

// watch starts a command that the test ends itself.
func watch(t *testing.T, cmd *exec.Cmd) *house.Running {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &house.Running{Cmd: cmd, Stderr: bufio.NewReader(stderr)}
}
