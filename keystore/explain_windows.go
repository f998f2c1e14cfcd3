package keystore

import (
	"errors"

	"golang.org/x/sys/windows"

	"github.com/loopkey/loopkey/internal/words"
)

// explain says what an error of the Credential Manager means.
func explain(err error) (why string, reason Reason) {
	switch {
	case errors.Is(err, windows.ERROR_NO_SUCH_LOGON_SESSION):
		return "this logon has no Credential Manager (over SSH, or as a service, Windows gives none)", ReasonNoLogonSession
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return "the Credential Manager denies access", ReasonDenied
	case errors.Is(err, windows.ERROR_NOT_ENOUGH_QUOTA), errors.Is(err, windows.ERROR_NOT_ENOUGH_MEMORY):
		return "the Credential Manager is full", ReasonFull
	}
	return "the Credential Manager answered: " + words.Printable(err.Error()), ReasonFailed
}
