// Command paste prints the text in the clipboard of Windows for each line that it reads, as a line of its own. It says
// if the clipboard's history keeps the text. Wine has a clipboard as long as such a program runs.
package main

import (
	"bufio"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

func main() {
	paste()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(paste())
	}
}

func paste() string {
	user, kernel := syscall.NewLazyDLL("user32.dll"), syscall.NewLazyDLL("kernel32.dll")
	if opened, _, err := user.NewProc("OpenClipboard").Call(0); opened == 0 {
		return err.Error()
	}
	defer user.NewProc("CloseClipboard").Call()
	memory, _, _ := user.NewProc("GetClipboardData").Call(13)
	if memory == 0 {
		return ""
	}
	size, _, _ := kernel.NewProc("GlobalSize").Call(memory)
	at, _, _ := kernel.NewProc("GlobalLock").Call(memory)
	text := make([]uint16, size/2+1)
	_, _, _ = kernel.NewProc("RtlMoveMemory").Call(uintptr(unsafe.Pointer(&text[0])), at, size)
	name, _ := syscall.UTF16PtrFromString("ExcludeClipboardContentFromMonitorProcessing")
	format, _, _ := user.NewProc("RegisterClipboardFormatW").Call(uintptr(unsafe.Pointer(name)))
	if excluded, _, _ := user.NewProc("IsClipboardFormatAvailable").Call(format); excluded == 0 {
		return syscall.UTF16ToString(text) + ", and the history keeps it"
	}
	return syscall.UTF16ToString(text)
}
