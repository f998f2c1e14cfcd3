package localhost

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
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

// sockets reads the tables of both families. They are not of one instant: it can miss what changes meanwhile.
func sockets() ([]socket, error) { return socketsIn("/proc/net/tcp", "/proc/net/tcp6") }

// errNoSockets says that the tables lack even the socket that is asked about. They are always empty on WSL 1 and
// gVisor, and tell nothing of a connection there.
var errNoSockets = errors.New("the system's tables of sockets are empty")

func socketsIn(tables ...string) ([]socket, error) {
	var all []socket
	read := 0
	for _, table := range tables {
		f, err := os.Open(table)
		if errors.Is(err, fs.ErrNotExist) { // a machine may lack a family
			continue
		}
		if err != nil {
			return nil, err
		}
		rows, err := parseSockets(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		read++
	}
	switch {
	case read == 0:
		return nil, fs.ErrNotExist
	case len(all) == 0:
		return nil, errNoSockets
	}
	return all, nil
}

// parseSockets reads a table. It skips lines of a form that it does not know.
func parseSockets(r io.Reader) ([]socket, error) {
	var all []socket
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		local, ok := parseAddress(fields[1])
		remote, alsoOK := parseAddress(fields[2])
		state, stateErr := strconv.ParseUint(fields[3], 16, 8)
		uid, uidErr := strconv.ParseInt(fields[7], 10, 64)
		inode, inodeErr := strconv.ParseUint(fields[9], 10, 64)
		if ok && alsoOK && errors.Join(stateErr, uidErr, inodeErr) == nil {
			all = append(all, socket{local, remote, uint8(state), uid, inode})
		}
	}
	return all, lines.Err()
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
