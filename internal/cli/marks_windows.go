package cli

import "golang.org/x/sys/windows"

// codePageUTF8 is the code page of UTF-8.
const codePageUTF8 = 65001

// showsUnicode reports whether the console shows more than the characters of its code page.
func (a *app) showsUnicode() bool {
	if a.lookup("WT_SESSION") != "" { // Windows Terminal does, whatever its code page is
		return true
	}
	page, err := windows.GetConsoleOutputCP()
	return err != nil || page == codePageUTF8 // an error: there is no console
}
