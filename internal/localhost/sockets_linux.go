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

// A socket is a row of the system's tables of TCP sockets, which are everybody's to read.
type socket struct {
	local, remote netip.AddrPort // an IPv4 address is one however it is written
	state         uint8
	uid           int64
	inode         uint64 // 0: it is in no process's hands, and uid says nothing
}

// States that matter, of include/net/tcp_states.h.
const (
	established = 0x01
	connecting  = 0x02 // SYN_SENT: it has not reached us
	listening   = 0x0A
)

// sockets reads the tables of both families. They are not of one instant: what changes meanwhile may be missed.
func sockets() ([]socket, error) { return socketsIn("/proc/net/tcp", "/proc/net/tcp6") }

// errNoSockets says that the tables hold nothing, not even the socket of whoever asks: on WSL 1 and gVisor they are
// always empty. That tells nothing of a connection.
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

// parseSockets leaves out what is no row as this program knows them.
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

// parseAddress reads an address as the tables have it: words as the machine holds them in memory, and the port.
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
