//go:build unix

package hostile

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/house"
)

// Where loopkey may open few files, strangers' connections of any kind use at most half of them, so that the real
// callback gets through.
func TestFloodsOfEachKind(t *testing.T) {
	t.Parallel()
	p := Start(t)
	for name, say := range map[string]string{
		"silent":                         "",
		"half a header":                  "GET /auth/callback?",
		"a form that does not end":       "POST /auth/x HTTP/1.1\r\nHost: @\r\nContent-Length: 9\r\n\r\n",
		"a GET whose body does not come": "GET /auth/callback?code=x HTTP/1.1\r\nHost: @\r\nContent-Length: 9\r\n\r\n",
		// The responses are never read.
		"a pipeline": strings.Repeat("GET /nowhere HTTP/1.1\r\nHost: @\r\n\r\n", 10_000),
		"a chunked body for no page": "POST /nowhere HTTP/1.1\r\nHost: @\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf",
	} {
		t.Run(name, func(t *testing.T) {
			h := house.New(t, p.Issuer())
			waiting := h.StartCommand(func(ctx context.Context) *exec.Cmd {
				return house.InShell(h.Command(ctx, "login", "--no-browser", "--timeout", "5m"), "ulimit -n 100")
			})
			authorization := waiting.Line(t, p.Issuer())
			say := strings.ReplaceAll(say, "@", strings.TrimPrefix(h.Base, "http://"))
			for range 200 {
				conn := dial(t, h.Base)
				defer conn.Close()
				_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // what the server takes is enough
				_, _ = io.WriteString(conn, say)
			}
			// The page after the login has two seconds, which a flood may outlast: the way to it is enough.
			b := newBrowser(t)
			b.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
				if strings.HasPrefix(r.URL.String(), h.Base+"/auth/done") {
					return http.ErrUseLastResponse
				}
				return nil
			}
			if status, body := b.get(t, authorization); status != http.StatusSeeOther {
				t.Errorf("the callback responds %d: %s", status, body)
			}
			h.Must("token")
		})
	}
}

// More questions of terminals than serve can have open files end nothing: it takes questions again when some have gone.
func TestQuestionsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	h := house.WithTenant(t)
	serving := h.StartCommand(func(ctx context.Context) *exec.Cmd {
		return house.InShell(h.Command(ctx, "serve", "--no-browser"), "ulimit -n 40")
	})
	serving.Line(t, h.Base+"/auth/enter?")
	var sockets []string
	_ = filepath.WalkDir(h.Dir, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".sock") {
			sockets = append(sockets, path)
		}
		return nil
	})
	if len(sockets) != 1 {
		t.Fatalf("sockets: %q", sockets)
	}
	var open []net.Conn
	for range 64 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", sockets[0])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	if r := h.Run("login"); r.Code != 0 || !strings.Contains(r.Stderr, "through loopkey serve") {
		t.Errorf("login exits %d: %s", r.Code, r.Stderr)
	}
}
