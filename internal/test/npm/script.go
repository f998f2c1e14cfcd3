package npm

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// Run runs a script of node in a folder that Install returned, until the test ends. env are further variables. It
// returns what the script writes to stdout. What it writes to stderr goes into the log of a test that failed.
func Run(t testing.TB, name, dir string, script []byte, env ...string) (stdout io.Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	node := exec.CommandContext(ctx, "node", "--input-type=module", "--eval", string(script)) //nolint:gosec // embedded
	node.Dir = dir                                                                            // where its imports are
	node.Env = append(append(os.Environ(), env...), "NODE_OPTIONS=", "DEBUG=")
	stderr := &output{}
	node.Stderr = stderr
	stdin, err := node.StdinPipe() // the script ends at its end, also if this program is killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err = node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		cancel()
		_ = node.Wait() // it was killed
		if t.Failed() {
			t.Logf("%s wrote to stderr:\n%s", name, stderr)
		}
	})
	return stdout
}

// output keeps the first 64 KiB that node writes to stderr.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > 64<<10 {
		return len(p), nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
