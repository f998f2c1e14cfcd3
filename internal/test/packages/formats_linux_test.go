package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// Tags of an RPM package's header.
const (
	tagBuildHost                          = 1007
	tagModes                              = 1030
	tagDirIndexes, tagBaseNames, tagNames = 1116, 1117, 1118
)

// rpmFiles returns the modes of what an RPM package installs. It must run no scripts, and not name the machine that
// built it: another one would build other bytes.
func rpmFiles(t *testing.T, path string) map[string]fs.FileMode {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, size := rpmHeader(data[96:]) // after the lead comes the header with the signatures
	values, _ := rpmHeader(data[96+(size+7)/8*8:])
	for _, tag := range []uint32{
		1023, 1024, 1025, 1026, 1079, // before and after it is installed and removed, and to verify it
		1151, 1152, // before and after the whole transaction
		1065, 5066, 5076, // triggers: scripts, by file, of a transaction
	} {
		if _, ok := values[tag]; ok {
			t.Errorf("the RPM package runs a script (tag %d)", tag)
		}
	}
	if host, _, _ := bytes.Cut(values[tagBuildHost].data, []byte{0}); string(host) != "localhost" {
		t.Errorf("the RPM package names the machine that built it: %q", host)
	}
	modes := map[string]fs.FileMode{}
	folders := bytes.Split(values[tagNames].data, []byte{0})
	names := bytes.Split(values[tagBaseNames].data, []byte{0})
	for i := range values[tagBaseNames].count {
		mode := binary.BigEndian.Uint16(values[tagModes].data[2*i:])
		folder := folders[binary.BigEndian.Uint32(values[tagDirIndexes].data[4*i:])]
		modes[strings.TrimPrefix(string(folder)+string(names[i]), "/")] = rpmMode(mode)
	}
	return modes
}

// rpmMode returns a mode as inodes have it.
func rpmMode(mode uint16) fs.FileMode {
	header := tar.Header{Mode: int64(mode)} // which knows the type in the mode's upper bits
	return header.FileInfo().Mode()
}

// An rpmValue is what a header has under a tag.
type rpmValue struct {
	count int
	data  []byte // to the header's end
}

// rpmHeader returns the values of a header by their tags, and its size.
func rpmHeader(data []byte) (values map[uint32]rpmValue, size int) {
	count, length := int(binary.BigEndian.Uint32(data[8:])), int(binary.BigEndian.Uint32(data[12:]))
	store := data[16+16*count:][:length]
	values = map[uint32]rpmValue{}
	for i := range count {
		entry := data[16+16*i:]
		values[binary.BigEndian.Uint32(entry)] = rpmValue{
			count: int(binary.BigEndian.Uint32(entry[12:])), data: store[binary.BigEndian.Uint32(entry[8:]):],
		}
	}
	return values, 16 + 16*count + length
}

// apkFiles returns the modes of what an Alpine package installs. It must run no scripts.
func apkFiles(t *testing.T, path string) map[string]fs.FileMode {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]fs.FileMode{}
	for archive := tar.NewReader(compressed); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return modes
		}
		if err != nil {
			t.Fatal(err)
		}
		switch name := strings.Trim(entry.Name, "/"); {
		case name == ".PKGINFO":
		case strings.HasPrefix(name, "."):
			t.Errorf("the Alpine package has %s", name)
		default:
			modes[name] = entry.FileInfo().Mode()
		}
	}
}
