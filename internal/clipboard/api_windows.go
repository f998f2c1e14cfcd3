package clipboard

import (
	"context"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/loopkey/loopkey/internal/clock"
)

// Of winuser.h and winbase.h.
const (
	unicodeText = 13     // CF_UNICODETEXT
	moveable    = 0x0002 // GMEM_MOVEABLE
)

// api calls a function of the clipboard or of its memory. It returns zero and an error where the function does. What
// args point to stays where it is until then.
//
//go:uintptrescapes
func api(dll, function string, args ...uintptr) (uintptr, error) {
	result, _, err := windows.NewLazySystemDLL(dll).NewProc(function).Call(args...)
	if result == 0 {
		return 0, fmt.Errorf("%s: %w", function, err)
	}
	return result, nil
}

// busyWait is how long to wait where another program has the clipboard open.
const busyWait = 20 * time.Millisecond

// open opens the clipboard for this thread, and returns what closes it.
func open(ctx context.Context) (closes func(), err error) {
	runtime.LockOSThread()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		if _, err = api("user32.dll", "OpenClipboard", 0); err == nil {
			return func() {
				_, _ = api("user32.dll", "CloseClipboard")
				runtime.UnlockOSThread()
			}, nil
		}
		if clock.Wait(ctx, busyWait) != nil {
			runtime.UnlockOSThread()
			return nil, err
		}
	}
}

// copyToWindows puts a text into the clipboard, and beside it what tells Windows and programs that watch the clipboard
// to keep no copy (the formats of the clipboard's history and of its cloud).
func copyToWindows(ctx context.Context, text string) error {
	units, err := windows.UTF16FromString(text)
	if err != nil {
		return err
	}
	closes, err := open(ctx)
	if err != nil {
		return err
	}
	defer closes()
	if _, err := api("user32.dll", "EmptyClipboard"); err != nil {
		return err
	}
	for _, name := range []string{
		"ExcludeClipboardContentFromMonitorProcessing", "CanIncludeInClipboardHistory", "CanUploadToCloudClipboard",
	} {
		wide, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return err
		}
		format, err := api("user32.dll", "RegisterClipboardFormatW", uintptr(unsafe.Pointer(wide)))
		if err != nil {
			return err
		}
		if err := set(format, make([]uint16, 2)); err != nil { // a DWORD: no
			return err
		}
	}
	return set(unicodeText, units)
}

// set gives the open clipboard data of a format.
func set(format uintptr, units []uint16) error {
	size := uintptr(len(units)) * 2
	memory, err := api("kernel32.dll", "GlobalAlloc", moveable, size)
	if err != nil {
		return err
	}
	at, err := api("kernel32.dll", "GlobalLock", memory)
	if err == nil {
		move(at, uintptr(unsafe.Pointer(&units[0])), size)
		_, _ = api("kernel32.dll", "GlobalUnlock", memory)             // zero: it is locked no more
		_, err = api("user32.dll", "SetClipboardData", format, memory) // whose memory it is from now on
	}
	if err != nil {
		_, _ = api("kernel32.dll", "GlobalFree", memory)
	}
	return err
}

// clearWindows empties the clipboard if it holds the text, and lets nobody change it in between.
func clearWindows(ctx context.Context, text string) (bool, error) {
	closes, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer closes()
	memory, err := api("user32.dll", "GetClipboardData", unicodeText)
	if err != nil {
		return false, nil //nolint:nilerr // it holds something else than a text
	}
	size, err := api("kernel32.dll", "GlobalSize", memory)
	if err != nil {
		return false, err
	}
	at, err := api("kernel32.dll", "GlobalLock", memory)
	if err != nil {
		return false, err
	}
	units := make([]uint16, size/2+1)
	move(uintptr(unsafe.Pointer(&units[0])), at, size)
	_, _ = api("kernel32.dll", "GlobalUnlock", memory)
	if windows.UTF16ToString(units) != text {
		return false, nil
	}
	_, err = api("user32.dll", "EmptyClipboard")
	return err == nil, err
}

// move copies memory of which one side is not Go's.
//
//go:uintptrescapes
func move(to, from, size uintptr) { _, _ = api("kernel32.dll", "RtlMoveMemory", to, from, size) }
