//go:build windows

package private

import (
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// NoLink is for os.OpenFile; here links need a privilege to be made.
const NoLink = 0

const noWait = 0

// Here the access list of the user's own folders decides, and modes say nothing.
func exposed(fs.FileInfo, fs.FileMode) string { return "" }

func foreign(fs.FileInfo) bool { return false }

// The kinds of entries in an access list (winnt.h). Those of a callback are laid out like the plain ones.
const (
	allowed              = windows.ACCESS_ALLOWED_ACE_TYPE
	allowedCallback      = 0x9
	denied               = windows.ACCESS_DENIED_ACE_TYPE
	deniedObject         = 0x6
	deniedCallback       = 0xa
	deniedCallbackObject = 0xc
)

// isDenial reports whether an entry of an access list allows nobody anything.
func isDenial(kind uint8) bool {
	return kind == denied || kind == deniedObject || kind == deniedCallback || kind == deniedCallbackObject
}

// access are the rights to read a file, to write it, or to give oneself these rights.
const access windows.ACCESS_MASK = windows.FILE_READ_DATA | windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA |
	windows.WRITE_DAC | windows.WRITE_OWNER | windows.GENERIC_READ | windows.GENERIC_WRITE | windows.GENERIC_ALL

// othersRead reports whether a file belongs to somebody else than this user, the system and its administrators, or its
// access list lets anybody else read or change it. OpenSSH on Windows asks the same of a private key.
func othersRead(f *os.File, _ fs.FileInfo) (bool, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, fmt.Errorf("this user: %w", err)
	}
	security, err := windows.GetSecurityInfo(windows.Handle(f.Fd()), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return false, fmt.Errorf("who may read it: %w", err)
	}
	own := func(who *windows.SID) bool {
		return who.Equals(user.User.Sid) || who.IsWellKnown(windows.WinLocalSystemSid) ||
			who.IsWellKnown(windows.WinBuiltinAdministratorsSid)
	}
	if owner, _, err := security.Owner(); err != nil || owner == nil || !own(owner) {
		return true, nil
	}
	list, _, err := security.DACL()
	if err != nil || list == nil { // without a list everybody may do everything
		return true, nil
	}
	for i := range uint32(list.AceCount) {
		var entry *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(list, i, &entry); err != nil {
			return false, fmt.Errorf("who may read it: %w", err)
		}
		kind := entry.Header.AceType
		switch {
		case isDenial(kind), entry.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0:
			continue
		case kind != allowed && kind != allowedCallback:
			return true, nil
		}
		who := (*windows.SID)(unsafe.Pointer(&entry.SidStart))
		if entry.Mask&access != 0 && !own(who) && !who.IsWellKnown(windows.WinCreatorOwnerRightsSid) && !isApp(who) {
			return true, nil
		}
	}
	return false, nil
}

// isApp reports whether an entry is for apps in a container, which run as this user: Windows puts such entries into the
// user's own folder.
func isApp(who *windows.SID) bool {
	return who.IdentifierAuthority() == windows.SidIdentifierAuthority{Value: [6]byte{5: 15}}
}
