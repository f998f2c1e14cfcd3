package hostile

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/house"
	"github.com/loopkey/loopkey/internal/test/part"
)

// A port that only administrators may bind is named as one, and the port that the advice asks for works.
func TestLowPort(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if start, wrong := strconv.Atoi(strings.TrimSpace(string(first))); err != nil || wrong != nil || start < 1024 {
		t.Skip("here every user may bind low ports") // Also with LOOPKEY_TEST_REAL: containers have no low ports.
	}
	h := house.New(t, Start(t).Issuer())
	run := func(args ...string) house.Result {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := h.Command(ctx, args...)
		if os.Geteuid() == 0 { // root without the right to bind low ports
			setpriv, err := exec.LookPath("setpriv")
			if err != nil {
				part.Missing(t, "setpriv is not installed")
			}
			cmd.Env = append(cmd.Env, "LOOPKEY_TEST_SELF="+cmd.Path)
			cmd.Args = append([]string{"setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service",
				"bash", "-c", `exec -a loopkey "$LOOPKEY_TEST_SELF" "$@"`, "loopkey"}, args...)
			cmd.Path = setpriv
		}
		return h.Finish(cmd)
	}
	for _, command := range []string{"login", "serve"} {
		r := run(command, "--base-url", "http://localhost:641")
		house.Refused(t, r, 1, "port 641 may not be bound", "give --port 3001")
	}
	if r := run("login"); r.Code != 0 { // at a port above 1023
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
}
