package mcp_test

import (
	"os"
	"testing"

	"github.com/loopkey/loopkey/internal/test/mcpsdk"
)

// The hosts and servers of the reference SDK do all that they do, as if they were connected directly.
func TestReferencePeers(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range mcpsdk.Modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			url := mcpsdk.Server(t, mode)
			mcpsdk.Host(t, mode, url, []string{program}, "BRIDGE_TO="+url)
		})
	}
}
