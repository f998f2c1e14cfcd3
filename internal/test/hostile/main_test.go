package hostile

import (
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/loopkey/loopkey/internal/test/house"
)

func TestMain(m *testing.M) {
	commands := house.Commands()
	commands["send"], commands["app"] = sendStdin, app
	// Most of these tests wait for a limit of loopkey's, and need no processor for that. -parallel overrides it.
	_ = flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	testscript.Main(m, commands)
}

// sendStdin is the program send ADDRESS [close|reset]: it sends its stdin to an address, or to the socket at a path,
// and prints the response; with a second argument it hangs up at once instead. Tests run it as another user.
func sendStdin() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	network := "tcp"
	if filepath.IsAbs(os.Args[1]) {
		network = "unix"
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, os.Args[1])
	if err != nil {
		panic(err)
	}
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = io.Copy(conn, os.Stdin)
	switch {
	case len(os.Args) == 2:
		_, _ = io.Copy(os.Stdout, conn)
	case os.Args[2] == "reset":
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	case os.Args[2] == "close":
		_ = conn.Close()
	}
}

// app is the program app ADDRESS: a server that prints "listening" and then the requests that come. It ends at the end
// of its stdin.
func app() {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(os.Stdout, "listening\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, _ := httputil.DumpRequest(r, false)
		_, _ = os.Stdout.Write(request)
		_, _ = io.WriteString(w, "the app at "+os.Args[1])
	})
	server := http.Server{ReadHeaderTimeout: 20 * time.Second, Handler: handler}
	go func() { _ = server.Serve(listener) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
