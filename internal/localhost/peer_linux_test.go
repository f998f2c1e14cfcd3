package localhost

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
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
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loopkey/loopkey/internal/test/part"
)

// rest is the part of a row between the state and the user.
const rest = " 00000000:00000000 00:00000000 00000000 "

// As the tables of a little-endian machine have them, and of no other.
const tableOf = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
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
		t.Skip("words are written the other way round") // Also with LOOPKEY_TEST_REAL: on big-endian machines alone.
	}
	got, rows, err := parseSockets(strings.NewReader(tableOf), 3000)
	if err != nil || rows != 7 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if other, rows, err := parseSockets(strings.NewReader(tableOf), 50001); err != nil || rows != 7 || len(other) != 1 {
		t.Errorf("%d rows, at another port %v, %v", rows, other, err)
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
				if got := e.peerAs(1001); !ok || !got.foreign || got.settled {
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
		tables := func() ([]socket, error) { return socketsAt(e.remote.Port()) }
		if got := foreignListenerIn(tables, euid, e); !ok || got != want {
			t.Errorf("to user %d the listener of %d is foreign: %v", euid, os.Geteuid(), got)
		}
	}
}

// What the kernel says of one connection is what its tables say.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		conn, _ := connect(t, host)
		e, _ := endOf(conn)
		ours, err := diagnose(e.local, e.remote)
		if err != nil || ours.local != e.local || ours.remote != e.remote || ours.inode != e.inode ||
			ours.uid != int64(os.Geteuid()) || ours.state != established {
			t.Errorf("%s: %+v, %v", host, ours, err)
		}
		if state, known := e.state(); !known || state != ours.state {
			t.Errorf("%s: its state is %d, %v", host, state, known)
		}
		all, err := socketsAt(e.local.Port())
		if err != nil || !slices.Contains(all, ours) {
			t.Errorf("%s: the tables have no %+v, %v", host, ours, err)
		}
		// A listener is no connection, and nobody is nobody.
		s, err := diagnose(e.remote, netip.AddrPortFrom(e.remote.Addr(), 1))
		if err != nil || s.state != listening || s.local != e.remote {
			t.Errorf("%s: the listener is %+v, %v", host, s, err)
		}
		if s, err := diagnose(netip.AddrPortFrom(e.remote.Addr(), 1), e.remote); !errors.Is(err, errNoSocket) {
			t.Errorf("%s: nobody is %+v, %v", host, s, err)
		}
	}
}

// connect returns both ends of a connection of this process with itself.
func connect(t testing.TB, host string) (client, server net.Conn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", host+":0")
	if err != nil {
		part.Missing(t, "%s: %v", host, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	client, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = l.Accept() // until then it is in no process's hands
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

// A kernel that replies what it is told to, one round after another, the last again and again.
type kernel struct {
	rounds []map[netip.AddrPort]socket // by the local address that is asked about
	err    error                       // for an address that no round has
	states []uint8                     // of our own socket
	asked  int
}

func (k *kernel) ask(local, _ netip.AddrPort) (socket, error) {
	k.asked++
	s, ok := k.rounds[0][local]
	if !ok {
		return socket{}, cmp.Or(k.err, errNoSocket)
	}
	return s, nil
}

func (k *kernel) state() (uint8, bool) {
	now := k.states[0]
	if len(k.states) > 1 {
		k.states = k.states[1:]
	}
	if len(k.rounds) > 1 {
		k.rounds = k.rounds[1:]
	}
	return now, now != unknownState
}

const unknownState = 255

// One question tells whose a connection is, and never that it is somebody's whose socket is another one.
func TestPeerByDiag(t *testing.T) {
	t.Parallel()
	here, there := at("127.0.0.1:3000"), at("127.0.0.1:50000")
	const me, another, closing = 1001, 2002, 8
	type replies = map[netip.AddrPort]socket
	ours := socket{here, there, established, me, 1}
	theirs := func(uid int64, inode uint64) replies {
		return replies{there: {there, here, established, uid, inode}, here: ours}
	}
	without := func(s socket) replies { return replies{there: s, here: ours} }
	gone, alive, lost := []uint8{closing}, []uint8{established}, []uint8{unknownState}
	refusal := errors.New("EPERM")
	for name, c := range map[string]struct {
		kernel *kernel
		euid   int
		want   peer
		told   bool
		asked  int
	}{
		"we": {
			&kernel{rounds: []replies{theirs(me, 2)}, states: alive}, me, peer{own: true, settled: true}, true, 1,
		},
		"root": {&kernel{rounds: []replies{theirs(0, 2)}, states: alive}, me, peer{settled: true}, true, 1},
		"another": {
			&kernel{rounds: []replies{theirs(another, 2)}, states: alive}, me, peer{foreign: true, settled: true}, true, 1,
		},
		"let go of": {
			&kernel{rounds: []replies{theirs(0, 0)}, states: alive}, me, peer{foreign: true}, true, 1,
		},
		"let go of, with a uid": {
			&kernel{rounds: []replies{theirs(me, 0)}, states: alive}, me, peer{foreign: true}, true, 1,
		},
		"hung up": {&kernel{rounds: []replies{theirs(me, 2)}, states: gone}, me, peer{foreign: true}, true, 1},
		"closed, and the addresses are another's": {
			&kernel{rounds: []replies{theirs(me, 2)}, states: []uint8{0}}, me, peer{foreign: true}, true, 1,
		},
		"gone, and so are we": {&kernel{rounds: []replies{{here: ours}}, states: gone}, me, peer{foreign: true}, true, 2},
		"about to reuse the ends": {
			&kernel{rounds: []replies{without(socket{there, here, connecting, me, 2})}, states: []uint8{established, closing}},
			me, peer{foreign: true}, true, 2,
		},
		"missed, then there": {
			&kernel{rounds: []replies{{here: ours}, theirs(another, 2)}, states: alive},
			me, peer{foreign: true, settled: true}, true, 3,
		},
		"a listener of ours": {
			&kernel{rounds: []replies{without(socket{there, at("0.0.0.0:0"), listening, me, 3})}, states: alive},
			me, peer{}, true, 2,
		},
		"another address": {
			&kernel{rounds: []replies{without(socket{there, at("127.0.0.2:3000"), established, me, 3})}, states: alive},
			me, peer{}, true, 2,
		},
		"another port": {
			&kernel{rounds: []replies{without(socket{at("127.0.0.1:50001"), here, established, me, 3})}, states: alive},
			me, peer{}, true, 2,
		},
		"from outside":           {&kernel{rounds: []replies{{here: ours}}, states: alive}, me, peer{}, true, 4},
		"not allowed":            {&kernel{rounds: []replies{{}}, err: refusal, states: alive}, me, peer{}, false, 1},
		"knows no TCP sockets":   {&kernel{rounds: []replies{{}}, states: alive}, me, peer{}, false, 2},
		"our state is not known": {&kernel{rounds: []replies{theirs(me, 2)}, states: lost}, me, peer{}, false, 1},
		"we are root, and so are they": {
			&kernel{rounds: []replies{theirs(0, 2)}, states: alive}, 0, peer{own: true, settled: true}, true, 1,
		},
		"we are root, and they are not": {
			&kernel{rounds: []replies{theirs(another, 2)}, states: alive}, 0, peer{settled: true}, true, 1,
		},
		"we are root, and they left": {&kernel{rounds: []replies{theirs(me, 2)}, states: gone}, 0, peer{}, true, 1},
	} {
		e := connEnd{local: here, remote: there, inode: 1, state: c.kernel.state}
		if got, told := peerByDiag(c.kernel.ask, c.euid, e); got != c.want || told != c.told || c.kernel.asked != c.asked {
			t.Errorf("%s: %+v, %v after %d questions", name, got, told, c.kernel.asked)
		}
	}
}

// A user namespace gives one number to all users that it does not know. Of a process that has this number itself nobody
// can tell whether another is of the same user.
func TestOverflowUser(t *testing.T) {
	t.Parallel()
	const inside = "      1000       1000          1\n"
	for name, c := range map[string]struct {
		overflow, users string
		read            bool
		want            int64
	}{
		"all users are known": {"65534\n", "         0          0 4294967295\n", true, -1},
		"one is":              {"65534\n", inside, true, 65534},
		"two ranges are":      {"65534\n", inside + inside, true, 65534},
		"another number":      {"99\n", inside, true, 99},
		"no number":           {"x", inside, true, 65534},
		"not to be read":      {"", "", false, 65534},
	} {
		if got := overflowUserIn(c.overflow, c.users, c.read); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// A connection costs one question, however often it is asked about, and none before. The tables are not read.
//
//nolint:paralleltest // it counts what the whole process asks
func TestOneQuestion(t *testing.T) {
	l, port := listenSomewhere(t, "127.0.0.1")
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = l.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/asked" {
				_, _ = io.WriteString(w, strconv.FormatBool(Own(r) && !peerOf(r).foreign))
			}
		}))
	}()
	t.Cleanup(func() {
		stop()
		<-served
	})
	asked, read := diagsAsked.Load(), tablesRead.Load()
	client := &http.Client{Transport: &http.Transport{}}
	for path, want := range map[string]int64{"/": 0, "/asked": 1} {
		for range 3 {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(port)+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if path == "/asked" && string(body) != "true" {
				t.Errorf("its own connection is ours: %s", body)
			}
		}
		if got := diagsAsked.Load() - asked; got > want {
			t.Errorf("%d questions after %s", got, path)
		}
		client.CloseIdleConnections()
		asked = diagsAsked.Load()
	}
	if got := tablesRead.Load() - read; got != 0 {
		t.Errorf("the tables were read %d times", got)
	}
}

// Many ask at once: all are told, by netlink.
//
//nolint:paralleltest // it counts what the whole process reads
func TestManyQuestions(t *testing.T) {
	_, server := connect(t, "127.0.0.1")
	read := tablesRead.Load()
	var all sync.WaitGroup
	for range 10 * mostDiags {
		all.Go(func() {
			if p := lookUpPeer(server); !p.own {
				t.Errorf("its own connection is %+v", p)
			}
		})
	}
	all.Wait()
	if got := tablesRead.Load() - read; got != 0 {
		t.Errorf("the tables were read %d times", got)
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
	tables := func() ([]socket, error) { return socketsIn(3000, path, path+"6") }
	e := connEnd{local: at("127.0.0.1:3000"), remote: at("127.0.0.1:50000"), inode: 1}
	if got := peerIn(tables, 1001, e); got != (peer{}) {
		t.Errorf("the other end is %+v", got)
	}
	if foreignListenerIn(tables, 1001, e) {
		t.Error("the listener is another user's")
	}
}

// Whatever comes in reply, a user is believed only of a whole message about the very connection.
func FuzzDiag(f *testing.F) {
	here, there := at("127.0.0.1:3000"), at("127.0.0.1:50000")
	f.Add([]byte{})
	f.Add(make([]byte, diagReplySize))
	reply := func(kind uint16, family byte, local, remote netip.AddrPort) []byte {
		b := binary.NativeEndian.AppendUint32(nil, diagReplySize)
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, 0, 0)
		b = binary.NativeEndian.AppendUint32(b, diagSequence)
		b = append(b, 0, 0, 0, 0, family, established, 0, 0)
		b = binary.BigEndian.AppendUint16(b, local.Port())
		b = binary.BigEndian.AppendUint16(b, remote.Port())
		for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
			b = append(append(b, a.AsSlice()...), make([]byte, 16-a.BitLen()/8)...)
		}
		b = append(b, make([]byte, 24)...)
		b = binary.NativeEndian.AppendUint32(b, 1001)
		return binary.NativeEndian.AppendUint32(b, 7)
	}
	f.Add(reply(sockDiagByFamily, unix.AF_INET, there, here))
	f.Add(reply(sockDiagByFamily, unix.AF_INET, here, there))
	f.Add(reply(unix.NLMSG_ERROR, unix.AF_INET, there, here))
	f.Add(reply(sockDiagByFamily, unix.AF_INET6, at("[::ffff:127.0.0.1]:50000"), at("[::ffff:127.0.0.1]:3000")))
	e := connEnd{local: here, remote: there, inode: 1, state: func() (uint8, bool) { return established, true }}
	f.Fuzz(func(t *testing.T, reply []byte) {
		p, told := peerByDiag(func(netip.AddrPort, netip.AddrPort) (socket, error) { return parseDiag(reply) }, 1001, e)
		if !told && p != (peer{}) {
			t.Fatalf("nothing was told, and it is %+v", p)
		}
		if !p.settled {
			return
		}
		m := reply[unix.SizeofNlMsghdr:]
		mapped := m[0] == unix.AF_INET6
		local, remote := m[8:12], m[24:28]
		if mapped {
			local, remote = m[20:24], m[36:40]
		}
		if len(reply) < diagReplySize || binary.NativeEndian.Uint16(reply[4:]) != sockDiagByFamily ||
			binary.BigEndian.Uint16(m[4:]) != there.Port() || binary.BigEndian.Uint16(m[6:]) != here.Port() ||
			!bytes.Equal(local, []byte{127, 0, 0, 1}) || !bytes.Equal(remote, []byte{127, 0, 0, 1}) ||
			p.own != (binary.NativeEndian.Uint32(m[64:]) == 1001) {
			t.Fatalf("%x is taken for %+v", reply, p)
		}
	})
}

// What one look at a connection costs, by netlink and by the tables. With LOOPKEY_BENCH_SOCKETS=10000 there are as many
// connections beside it.
func BenchmarkPeer(b *testing.B) {
	_, server := connect(b, "127.0.0.1")
	if n, err := strconv.Atoi(os.Getenv("LOOPKEY_BENCH_SOCKETS")); err == nil {
		for range n / 2 {
			connect(b, "127.0.0.1")
		}
	}
	e, _ := endOf(server)
	b.Run("netlink", func(b *testing.B) {
		for b.Loop() {
			if p, told := peerByDiag(diagnose, os.Geteuid(), e); !told || !p.own {
				b.Fatal(p)
			}
		}
	})
	b.Run("tables", func(b *testing.B) {
		for b.Loop() {
			if p := peerIn(func() ([]socket, error) { return socketsAt(e.local.Port()) }, os.Geteuid(), e); !p.own {
				b.Fatal(p)
			}
		}
	})
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
