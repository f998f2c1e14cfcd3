package localhost

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rest is the part of a row between the state and the user.
const rest = " 00000000:00000000 00:00000000 00000000 "

// As the tables of a little-endian machine have them, and of no other.
const tables = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
	"   0: 0100007F:0BB8 00000000:0000 0A" + rest + " 1001        0 41 1 0000000000000000 100 0 0 10 0\n" +
	"   1: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A" +
	rest + "    0        0 42 1\n" +
	"   2: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000100007F:0BB8 01" +
	rest + "65534        0 43 1\n" +
	"   3: 0100007F:C351 0100007F:0BB8 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000\n" +
	"   4: 0100007F 0100007F:0BB8 01" + rest + "    0        0 44\n" +
	"   5: 01007F:0BB8 0100007F:0BB8 01" + rest + "    0        0 44\n" +
	"   6: 0100007F:0BB8\n"

func TestParseSockets(t *testing.T) {
	t.Parallel()
	if first, ok := parseAddress("0100007F:0BB8"); !ok || first.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Skip("this machine writes its words the other way round")
	}
	got, err := parseSockets(strings.NewReader(tables))
	if err != nil {
		t.Fatal(err)
	}
	want := []socket{
		{at("127.0.0.1:3000"), at("0.0.0.0:0"), listening, 1001, 41},
		{at("[::1]:3000"), at("[::]:0"), listening, 0, 42},
		{at("127.0.0.1:50000"), at("127.0.0.1:3000"), established, 65534, 43},
		{at("127.0.0.1:50001"), at("127.0.0.1:3000"), 6, 0, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("row %d is %v, not %v", i, got[i], want[i])
		}
	}
}

func at(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// sequence gives one table after another, and the last again and again.
func sequence(all ...[]socket) func() ([]socket, error) {
	return func() ([]socket, error) {
		now := all[0]
		if len(all) > 1 {
			all = all[1:]
		}
		return now, nil
	}
}

func TestPeer(t *testing.T) {
	t.Parallel()
	here, there := at("127.0.0.1:3000"), at("127.0.0.1:50000")
	e := connEnd{local: here, remote: there, inode: 1}
	const me, another = 1001, 65534
	ours := socket{here, there, established, me, 1}
	closing := socket{here, there, 8, me, 1} // CLOSE_WAIT: they have hung up
	theirs := func(uid int64, inode uint64) socket { return socket{there, here, established, uid, inode} }
	unrelated := socket{at("127.0.0.1:50001"), here, established, another, 9}
	for name, c := range map[string]struct {
		tables func() ([]socket, error)
		euid   int
		want   peer
	}{
		"we": {
			sequence([]socket{unrelated, ours, theirs(me, 2)}), me, peer{own: true, settled: true},
		},
		"root": {sequence([]socket{ours, theirs(0, 2)}), me, peer{settled: true}},
		"another": {
			sequence([]socket{ours, theirs(another, 2)}), me, peer{foreign: true, settled: true},
		},
		"another, the other way round": {
			sequence([]socket{theirs(another, 2), ours}), me, peer{foreign: true, settled: true},
		},
		"let go of":             {sequence([]socket{ours, theirs(0, 0)}), me, peer{foreign: true}},
		"let go of, with a uid": {sequence([]socket{ours, theirs(me, 0)}), me, peer{foreign: true}},
		"gone":                  {sequence([]socket{closing}), me, peer{foreign: true}},
		"both gone":             {sequence([]socket{unrelated}), me, peer{foreign: true}},
		"missed, then there": {
			sequence([]socket{ours}, []socket{ours, theirs(another, 2)}), me, peer{foreign: true, settled: true},
		},
		"ours is over, and they are": {sequence([]socket{theirs(me, 2)}), me, peer{foreign: true}},
		"ours is over, the ends reused": {
			sequence([]socket{{here, there, established, me, 7}, theirs(me, 2)}), me, peer{foreign: true},
		},
		"about to reuse the ends": {
			sequence([]socket{closing, {there, here, connecting, me, 2}}), me, peer{foreign: true},
		},
		"ours missed, then there": {
			sequence([]socket{theirs(me, 2)}, []socket{ours, theirs(me, 2)}), me, peer{own: true, settled: true},
		},
		"missed, then gone":             {sequence([]socket{ours}, []socket{closing}), me, peer{foreign: true}},
		"from outside of these tables":  {sequence([]socket{ours, unrelated}), me, peer{}},
		"tables that can't be read":     {func() ([]socket, error) { return nil, errors.New("no") }, me, peer{}},
		"we are root, and so are they":  {sequence([]socket{ours, theirs(0, 2)}), 0, peer{own: true, settled: true}},
		"we are root, and they are not": {sequence([]socket{ours, theirs(another, 2)}), 0, peer{settled: true}},
		"we are root, and they left":    {sequence([]socket{ours, theirs(0, 0)}), 0, peer{}},
		"we are root, and they are out": {sequence([]socket{closing}), 0, peer{}},
	} {
		if got := peerIn(c.tables, c.euid, e); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

// Another program's server shows its handlers the addresses of a connection, and not its socket.
func TestPeerByAddresses(t *testing.T) {
	t.Parallel()
	here, there := at("127.0.0.1:3000"), at("127.0.0.1:50000")
	const me, another = 1001, 65534
	ours := socket{here, there, established, me, 7}
	for name, c := range map[string]struct {
		table []socket
		want  peer
	}{
		"we": {[]socket{ours, {there, here, established, me, 2}}, peer{own: true, settled: true}},
		"another": {
			[]socket{ours, {there, here, established, another, 2}}, peer{foreign: true, settled: true},
		},
		"gone":                   {[]socket{{here, there, 8, me, 7}}, peer{foreign: true}},
		"from outside of tables": {[]socket{ours}, peer{}},
	} {
		if got := peerIn(sequence(c.table), me, connEnd{local: here, remote: there, anyInode: true}); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
	var own bool
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { own = Own(r) }))
	defer server.Close()
	resp, err := server.Client().Get(server.URL) //nolint:noctx // it ends with the server
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if !own {
		t.Error("this process is not recognised as its own")
	}
}

func TestForeignListener(t *testing.T) {
	t.Parallel()
	const me, another = 1001, 65534
	listens := func(where string, uid int64) socket { return socket{at(where), at("0.0.0.0:0"), listening, uid, 1} }
	taken := socket{at("127.0.0.1:5173"), at("127.0.0.1:50000"), established, another, 2}
	ours := socket{at("127.0.0.1:50000"), at("127.0.0.1:5173"), established, me, 3}
	for name, c := range map[string]struct {
		table  []socket
		remote string
		euid   int
		want   bool
	}{
		"ours":      {[]socket{listens("127.0.0.1:5173", me)}, "127.0.0.1:5173", me, false},
		"root's":    {[]socket{listens("127.0.0.1:5173", 0)}, "127.0.0.1:5173", me, false},
		"another's": {[]socket{listens("127.0.0.1:5173", another)}, "127.0.0.1:5173", me, true},
		"another's on the other port": {
			[]socket{listens("127.0.0.1:5173", me), listens("127.0.0.1:5174", another)}, "127.0.0.1:5173", me, false,
		},
		"another's on the other loopback": {
			[]socket{listens("127.0.0.1:5173", me), listens("[::1]:5173", another)}, "[::1]:5173", me, true,
		},
		"another's on all addresses": {[]socket{listens("0.0.0.0:5173", another)}, "127.0.0.1:5173", me, true},
		"another's on all of both":   {[]socket{listens("[::]:5173", another)}, "127.0.0.1:5173", me, true},
		"ours before another's of all": {
			[]socket{listens("[::]:5173", another), listens("127.0.0.1:5173", me)}, "127.0.0.1:5173", me, false,
		},
		"another's before ours of all": {
			[]socket{listens("0.0.0.0:5173", me), listens("127.0.0.1:5173", another)}, "127.0.0.1:5173", me, true,
		},
		"shared": {
			[]socket{listens("127.0.0.1:5173", me), listens("127.0.0.1:5173", another)}, "127.0.0.1:5173", me, true,
		},
		"gone, and taken by another": {[]socket{taken, ours}, "127.0.0.1:5173", me, true},
		"gone, and taken by nobody":  {[]socket{}, "127.0.0.1:5173", me, true},
		"we are root":                {[]socket{listens("127.0.0.1:5173", another)}, "127.0.0.1:5173", 0, false},
	} {
		e := connEnd{local: at("127.0.0.1:50000"), remote: at(c.remote), inode: 3}
		if got := foreignListenerIn(sequence(c.table), c.euid, e); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What the system really tells, of both families and of an IPv4 connection by an IPv6 socket.
func TestPeerOfSystem(t *testing.T) {
	t.Parallel()
	l, port := listenSomewhere(t, "127.0.0.1", "::1")
	hung, asked := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hung" {
				asked <- struct{}{}
				<-hung
				e, ok := endOf(r.Context().Value(callerKey{}).(*caller).conn)
				if got := peerIn(sockets, 1001, e); !ok || !got.foreign || got.settled {
					t.Errorf("who hung up is %+v", got)
				}
				asked <- struct{}{}
				return
			}
			_, _ = io.WriteString(w, strconv.FormatBool(Own(r))+" "+strconv.FormatBool(peerOf(r).foreign))
		}))
	}()
	t.Cleanup(func() {
		stop()
		<-served
	})
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"} {
		conn := dial(t, host+":"+strconv.Itoa(port), goodRequest)
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "true false") {
			t.Errorf("%s: %q, %v", host, answer, err)
		}
	}
	conn := dial(t, "127.0.0.1:"+strconv.Itoa(port), "GET /hung HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-asked
	_ = conn.Close()
	close(hung)
	<-asked

	beyond, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer beyond.Close()
	e, ok := endOf(beyond)
	for euid, want := range map[int]bool{os.Geteuid(): false, os.Geteuid() + 1: os.Geteuid() != 0} {
		if got := foreignListenerIn(sockets, euid, e); !ok || got != want {
			t.Errorf("to user %d the listener of %d is foreign: %v", euid, os.Geteuid(), got)
		}
	}
}

func BenchmarkPeer(b *testing.B) {
	for b.Loop() {
		if _, err := sockets(); err != nil {
			b.Fatal(err)
		}
	}
}

// What the kernel says of one connection is what its tables say.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", host+":0")
		if err != nil {
			t.Skipf("%s: %v", host, err)
		}
		defer l.Close()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		e, _ := endOf(conn)
		ours, err := diagnose(e.local, e.remote)
		if err != nil || ours == nil || ours.inode != e.inode || ours.uid != int64(os.Geteuid()) ||
			ours.state != established {
			t.Errorf("%s: %+v, %v", host, ours, err)
		}
		all, err := sockets()
		if err != nil || !slices.Contains(all, *ours) {
			t.Errorf("%s: the tables have no %+v, %v", host, ours, err)
		}
		// A listener is no connection, and nobody is no error.
		if none, err := diagnose(e.remote, netip.AddrPortFrom(e.remote.Addr(), 1)); err != nil || none != nil {
			t.Errorf("%s: %+v, %v", host, none, err)
		}
	}
}

// Where the tables are always empty they tell nothing, and nobody is taken for another user.
func TestEmptyTables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tcp")
	head := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
	if err := os.WriteFile(path, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
	tables := func() ([]socket, error) { return socketsIn(path, path+"6") }
	e := connEnd{local: at("127.0.0.1:3000"), remote: at("127.0.0.1:50000"), inode: 1}
	if got := peerIn(tables, 1001, e); got != (peer{}) {
		t.Errorf("the other end is %+v", got)
	}
	if foreignListenerIn(tables, 1001, e) {
		t.Error("the listener is another user's")
	}
}

func FuzzDiag(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, diagReplySize))
	f.Fuzz(func(t *testing.T, reply []byte) {
		if s, err := parseDiag(reply); err == nil && s != nil && len(reply) < diagReplySize {
			t.Errorf("%d bytes are a socket", len(reply))
		}
	})
}

func BenchmarkDiagnose(b *testing.B) {
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	taken, err := l.Accept() // until then it is in no process's hands
	if err != nil {
		b.Fatal(err)
	}
	defer taken.Close()
	e, _ := endOf(conn)
	for b.Loop() {
		if got := peerIn(connection(e), os.Geteuid(), e); !got.own {
			b.Fatal(got)
		}
	}
}

// The system tells that a connection of our own is ours, and root does not count on it.
func TestTellsOwn(t *testing.T) {
	t.Parallel()
	if !ownConnection(t.Context()) {
		t.Error("a connection of our own is not known as ours")
	}
	if TellsOwn(t.Context()) != (os.Geteuid() != 0) {
		t.Error("root's browser may be another user's")
	}
}
