package keystore

import (
	"errors"
	"os/exec"

	"github.com/loopkey/loopkey/internal/words"
)

// explain says what an error of go-keyring means. go-keyring runs /usr/bin/security, whose exit code is the last byte
// of the Security framework's code.
func explain(err error) (why string, reason Reason) {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		switch byte(exit.ExitCode()) { //nolint:gosec // the byte is what is compared
		case lastByte(-25308): // errSecInteractionNotAllowed
			return "it is locked, and there is nobody to ask (an SSH session has no dialogs)", ReasonLockedNoDisplay
		case lastByte(-128): // errSecUserCanceled
			return "its dialog was dismissed", ReasonDismissed
		case lastByte(-25293): // errSecAuthFailed
			return "the password was wrong, or access was denied", ReasonWrongPassword
		case lastByte(-25307), lastByte(-25294): // errSecNoDefaultKeychain, errSecNoSuchKeychain
			return "there is no default keychain", ReasonNoDefault
		}
		return "/usr/bin/security ended with " + exit.ProcessState.String(), ReasonFailed
	}
	if errors.As(err, new(*exec.Error)) {
		return "/usr/bin/security can't be run", ReasonNoKeychain
	}
	return words.Printable(err.Error()), ReasonFailed
}

func lastByte(code int32) byte { return byte(code) } //nolint:gosec // as exit does
