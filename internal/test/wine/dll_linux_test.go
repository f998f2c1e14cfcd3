package wine

import (
	"bytes"
	"encoding/binary"
)

// processPrng returns a bcryptprimitives.dll, which Go programs need and Wine lacks before 9.0. It is a library without
// code whose one export, ProcessPrng, is forwarded to the function of the same meaning in advapi32
// (https://learn.microsoft.com/en-us/windows/win32/debug/pe-format).
func processPrng() []byte {
	const (
		address, aligned, header = 0x1000, 0x1000, 0x200
		directory                = 40 // bytes of the export directory; after it: function, name, ordinal, the strings
		name, export, forward    = "bcryptprimitives.dll\x00", "ProcessPrng\x00", "advapi32.SystemFunction036\x00"
		names                    = address + directory + 12
	)
	var section bytes.Buffer
	put(&section, []uint32{
		0, 0, 0, names, 1, 1, 1, address + directory, address + directory + 4, address + directory + 8,
		names + uint32(len(name)+len(export)), names + uint32(len(name)), 0,
	})
	section.WriteString(name + export + forward)

	var dll bytes.Buffer
	dll.WriteString("MZ")
	dll.Write(make([]byte, 58))
	put(&dll, uint32(64)) // where the PE header begins
	dll.WriteString("PE\x00\x00")
	put(&dll, []uint16{0x8664, 1}, []uint32{0, 0, 0}, []uint16{240, 0x2022}) // amd64, one section, a library
	put(&dll, []uint16{0x20b, 0}, []uint32{0, header, 0, 0, aligned})
	put(&dll, uint64(0x180000000), []uint32{aligned, header}, []uint16{6, 0, 0, 0, 6, 0})
	put(&dll, []uint32{0, 2 * aligned, header, 0})
	put(&dll, []uint16{3, 0x100}, []uint64{1 << 20, aligned, 1 << 20, aligned}, []uint32{0, 16})
	put(&dll, []uint32{address, uint32(section.Len())}, make([]uint32, 30)) // the exports are the first of 16 directories
	dll.WriteString(".edata\x00\x00")
	put(&dll, []uint32{uint32(section.Len()), address, header, header, 0, 0, 0, 0x40000040})
	dll.Write(make([]byte, header-dll.Len()))
	dll.Write(section.Bytes())
	dll.Write(make([]byte, 2*header-dll.Len()))
	return dll.Bytes()
}

func put(to *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(to, binary.LittleEndian, v)
	}
}
