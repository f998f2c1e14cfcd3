package keystore

import "cmp"

// A Reason says why a store can't be used. This package never says what to do about it: that depends on the program,
// its flags and its words.
type Reason string

// Reasons of a keychain.
const (
	ReasonNoAnswer        Reason = "no_answer"         // it did not answer in time (KeychainOptions.Limit)
	ReasonTooSlow         Reason = "too_slow"          // it did not answer within the caller's deadline
	ReasonFailed          Reason = "failed"            // it answered with an error that nothing more is known of
	ReasonLocked          Reason = "locked"            // its dialog was dismissed, or could not be shown
	ReasonLockedNoDisplay Reason = "locked_no_display" // there is no display to show its dialog on
	ReasonDismissed       Reason = "dismissed"         // its dialog was dismissed
	ReasonWrongPassword   Reason = "wrong_password"    // its password was wrong, or it denied access
	ReasonUnchanged       Reason = "unchanged"         // it said that a change was made, and it was not
	ReasonEntryTooLarge   Reason = "entry_too_large"   // it refuses an entry of that size
	ReasonNoKeychain      Reason = "no_keychain"       // there is none on this platform
	ReasonNoDefault       Reason = "no_default"        // it has no default keychain or collection
	ReasonDenied          Reason = "denied"            // Windows denies access to it
	ReasonNoLogonSession  Reason = "no_logon_session"  // Windows gives this kind of logon none
	ReasonFull            Reason = "full"              // Windows has no room for another entry
)

// Reasons of a Secret Service and the D-Bus session that leads to it.
const (
	ReasonNoBus         Reason = "no_bus"         // there is no D-Bus session
	ReasonBusAddress    Reason = "bus_address"    // DBUS_SESSION_BUS_ADDRESS leads to none
	ReasonBusClosed     Reason = "bus_closed"     // it closed the connection
	ReasonOtherUser     Reason = "other_user"     // it refuses this user
	ReasonNoService     Reason = "no_service"     // no Secret Service runs, or it could not be started
	ReasonServiceSilent Reason = "service_silent" // the Secret Service does not answer
	ReasonSandbox       Reason = "sandbox"        // this program may not reach it
)

// Reasons of an encrypted file. With those after the first two, UnavailableError.Path is the file or folder.
const (
	ReasonNoPassphrase    Reason = "no_passphrase"    // the passphrase is empty
	ReasonWrongPassphrase Reason = "wrong_passphrase" // the passphrase does not open the file
	ReasonNoFolder        Reason = "no_folder"        // the folder can't be looked at
	ReasonFolderReadOnly  Reason = "folder_read_only" // the folder can't be made
	ReasonUnreadable      Reason = "unreadable"       // it can't be read
	ReasonUnwritable      Reason = "unwritable"       // the file can't be written
	ReasonUndeletable     Reason = "undeletable"      // the file can't be removed
	ReasonExposedFolder   Reason = "exposed_folder"   // the folder is another user's, or open to others
	ReasonExposedFile     Reason = "exposed_file"     // the file is another user's, or open to others
	ReasonLink            Reason = "link"             // it is a symbolic link
	ReasonInTheWay        Reason = "in_the_way"       // it is no folder where one must be, or no file
	ReasonDamagedKey      Reason = "damaged_key"      // the file with the key of all records is damaged or gone
	ReasonFileLocked      Reason = "file_locked"      // ForgetKeys was called, and this process may not ask again
	ReasonNoRest          Reason = "no_rest"          // the system keeps no key for the file
)

// ReasonTooLarge says that the record has more bytes than any store keeps.
const ReasonTooLarge Reason = "too_large"

// An UnavailableError says what can't be used and why. It wraps ErrUnavailable.
type UnavailableError struct {
	What   string // what can't be used; "": the keychain
	Why    string // in words
	Reason Reason
	Path   string `json:",omitempty"` // the file or folder, with a Reason that is about one
	Err    error  `json:"-"`          // may be nil; never holds a secret
}

func (e *UnavailableError) Error() string {
	return cmp.Or(e.What, "the keychain") + " can't be used: " + e.Why
}

// Unwrap returns ErrUnavailable, and Err if there is one.
func (e *UnavailableError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrUnavailable}
	}
	return []error{ErrUnavailable, e.Err}
}
