package localhost

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// A socket is a row of the system's tables of TCP sockets, which every user can read.
type socket struct {
	local, remote netip.AddrPort // an IPv4 address is never written as an IPv6 one
	state         uint8
	uid           int64
	inode         uint64 // 0: no process holds the socket, and uid says nothing
}

// Some of the states in include/net/tcp_states.h.
const (
	established = 0x01
	connecting  = 0x02 // SYN_SENT: the other end has not heard of it
	listening   = 0x0A
)

// mostTables is how many times the tables are read at a time.
const mostTables = 2

var (
	tables     = make(chan struct{}, mostTables)
	tablesRead atomic.Int64 // for the tests
)

// socketsAt reads those sockets from the tables of both families whose own port or that of the other end is port. They
// are not of one instant: it can miss what changes meanwhile.
func socketsAt(port uint16) ([]socket, error) {
	tables <- struct{}{}
	defer func() { <-tables }()
	tablesRead.Add(1)
	return socketsIn(port, "/proc/net/tcp", "/proc/net/tcp6")
}

// errNoSockets says that the tables have no row at all. They are always empty on WSL 1 and gVisor, and tell nothing of
// a connection there.
var errNoSockets = errors.New("the system's tables of sockets are empty")

func socketsIn(port uint16, tables ...string) ([]socket, error) {
	var all []socket
	read, rows := 0, 0
	for _, table := range tables {
		f, err := os.Open(table)            //nolint:forbidigo // the kernel's
		if errors.Is(err, fs.ErrNotExist) { // a machine may lack a family
			continue
		}
		if err != nil {
			return nil, err
		}
		some, of, err := parseSockets(f, port)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		read, rows = read+1, rows+of
	}
	switch {
	case read == 0:
		return nil, fs.ErrNotExist
	case rows == 0:
		return nil, errNoSockets
	}
	return all, nil
}

// parseSockets reads a table. It returns the sockets with that port at either end, and the number of all rows. It skips
// lines of a form that it does not know.
func parseSockets(r io.Reader, port uint16) (all []socket, rows int, err error) {
	ending := fmt.Appendf(nil, ":%04X ", port)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		row := bytes.Contains(lines.Bytes(), []byte(": "))
		if row {
			rows++
		}
		if !row || !bytes.Contains(lines.Bytes(), ending) {
			continue
		}
		if s, ok := parseSocket(lines.Text()); ok && (s.local.Port() == port || s.remote.Port() == port) {
			all = append(all, s)
		}
	}
	return all, rows, lines.Err()
}

// parseSocket reads a row of a table.
func parseSocket(row string) (socket, bool) {
	fields := strings.Fields(row)
	if len(fields) < 10 {
		return socket{}, false
	}
	local, ok := parseAddress(fields[1])
	remote, alsoOK := parseAddress(fields[2])
	state, stateErr := strconv.ParseUint(fields[3], 16, 8)
	uid, uidErr := strconv.ParseInt(fields[7], 10, 64)
	inode, inodeErr := strconv.ParseUint(fields[9], 10, 64)
	if !ok || !alsoOK || errors.Join(stateErr, uidErr, inodeErr) != nil {
		return socket{}, false
	}
	return socket{local, remote, uint8(state), uid, inode}, true
}

// parseAddress reads an address of the tables: 32-bit words in the byte order of the machine, then the port.
func parseAddress(text string) (netip.AddrPort, bool) {
	words, portText, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(words)
	port, portErr := strconv.ParseUint(portText, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), ok
}
