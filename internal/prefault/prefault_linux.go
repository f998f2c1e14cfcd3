//go:build amd64 || arm64

package prefault

import (
	"syscall"
	"unsafe"
)

// From madvise(2), since Linux 5.14. An older kernel refuses them, and the faults happen as they would have.
const (
	populateRead  = 22
	populateWrite = 23
)

// From elf(5) and getauxval(3).
const (
	auxProgramHeaders     = 3
	auxProgramHeaderCount = 5
	typeLoad              = 1
	typeProgramHeaders    = 6
	flagExecute           = 1
)

// A programHeader is an Elf64_Phdr.
type programHeader struct {
	kind, flags                                        uint32
	offset, address, physical, inFile, inMemory, align uint64
}

// What `loopkey token` allocates is less, and memory that is never used is given back at its end.
const heapAhead = 1 << 20

// fresh is on a page of heap that was just taken; its size is that of nothing that was allocated before.
var fresh *[704]byte

func init() { //nolint:gochecknoinits // doc.go says why
	for _, s := range code(auxiliary()) {
		advise(s.start, s.length, populateRead)
	}
	fresh = new([704]byte)
	//nolint:gosec // an address, from which the heap grows upwards, for the kernel alone
	advise(uintptr(unsafe.Pointer(fresh)), heapAhead, populateWrite)
}

// advise tells the kernel what will be used. Nothing depends on its answer: it begins at the start, ends where the
// program has no memory, and changes nothing that is there.
func advise(start, length, advice uintptr) {
	page := uintptr(syscall.Getpagesize())
	down := start &^ (page - 1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, down, length+start-down, advice)
}

// A span is a piece of the address space, in bytes.
type span struct{ start, length uintptr }

// code returns the segments of the program that hold instructions.
func code(auxv []uintptr) []span {
	var headers unsafe.Pointer
	var count uintptr
	for i := 0; i+1 < len(auxv); i += 2 {
		switch auxv[i] {
		case auxProgramHeaders:
			headers = *(*unsafe.Pointer)(unsafe.Pointer(&auxv[i+1])) //nolint:gosec // the kernel says where they are
		case auxProgramHeaderCount:
			count = auxv[i+1]
		}
	}
	if headers == nil {
		return nil
	}
	all := unsafe.Slice((*programHeader)(headers), count) //nolint:gosec // and how many
	var loadedAt uintptr                                  // of a position-independent program
	for _, h := range all {
		if h.kind == typeProgramHeaders {
			loadedAt = uintptr(headers) - uintptr(h.address)
		}
	}
	var spans []span
	for _, h := range all {
		if h.kind == typeLoad && h.flags&flagExecute != 0 {
			spans = append(spans, span{loadedAt + uintptr(h.address), uintptr(h.inFile)})
		}
	}
	return spans
}

// auxiliary returns what the kernel told the program at its start, as pairs of type and value. The runtime keeps this
// function as it is for golang.org/x/sys, which is initialised too late for us (go.dev/issue/57336).
//
//go:linkname auxiliary runtime.getAuxv
func auxiliary() []uintptr
