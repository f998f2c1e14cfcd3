//go:build amd64 || arm64

package prefault

import (
	"errors"
	"os"
	"reflect"
	"syscall"
	"testing"
	"unsafe"

	"github.com/loopkey/loopkey/internal/test/part"
)

func TestCode(t *testing.T) {
	t.Parallel()
	here := reflect.ValueOf(TestCode).Pointer()
	found := 0
	for _, s := range code(auxiliary()) {
		if s.start <= here && here < s.start+s.length {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d of the segments with instructions %+v hold this function at %#x", found, code(auxiliary()), here)
	}
	if got := code(nil); got != nil {
		t.Errorf("without a word of the kernel there are segments: %+v", got)
	}
}

// A mapping of the test's own file, and a new one, are there at once, with all their pages.
func TestAdvise(t *testing.T) {
	t.Parallel()
	if _, _, err := syscall.RawSyscall(syscall.SYS_MADVISE, 0, 0, populateRead); errors.Is(err, syscall.EINVAL) {
		part.Missing(t, "this kernel is older than 5.14")
	}
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const length = 1 << 20
	for name, m := range map[string]struct {
		fd, protection, kind int
		advice               uintptr
	}{
		"code": {int(file.Fd()), syscall.PROT_READ | syscall.PROT_EXEC, syscall.MAP_PRIVATE, populateRead},
		"heap": {-1, syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON, populateWrite},
	} {
		mapping, err := syscall.Mmap(m.fd, 0, length, m.protection, m.kind)
		if err != nil {
			t.Fatal(err)
		}
		start := uintptr(unsafe.Pointer(&mapping[0]))
		before := mapped(t, start, length)
		advise(start+5000, length-5000, m.advice) // from its second page on, as no segment need begin with a page
		after := mapped(t, start, length)
		page := syscall.Getpagesize()
		if want := length - 5000/page*page; before != 0 || after < want {
			t.Errorf("%s: of %d bytes %d were there before and %d after, want at least %d", name, length, before, after, want)
		}
		if err := syscall.Munmap(mapping); err != nil {
			t.Fatal(err)
		}
	}
}

// mapped returns how many bytes of an area have pages, by /proc/self/pagemap (proc(5)).
func mapped(t *testing.T, start, length uintptr) int {
	t.Helper()
	file, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	page := uintptr(syscall.Getpagesize())
	entries := make([]byte, length/page*8)
	if _, err := file.ReadAt(entries, int64(start/page*8)); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := 7; i < len(entries); i += 8 {
		if entries[i]&0x80 != 0 { // the page is there
			sum += int(page)
		}
	}
	return sum
}
