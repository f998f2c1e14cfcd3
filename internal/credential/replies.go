package credential

import (
	"errors"

	"github.com/loopkey/loopkey/session"
)

// A Reply is what a helper says when it has no token.
type Reply struct {
	// Stdout is as the protocol has it. {sentence} stands for what failed, why and what to do next; {quoted} for the
	// same as JSON.
	Stdout string
	Silent bool // nothing on stderr; else the sentence
	Exit   int  // the exit code; UsualExit: that of the error
}

// UsualExit stands for the exit code that the error has in every command.
const UsualExit = -1

// A situation is why a helper has no token.
type situation int

const (
	unlisted situation = iota // the profile does not list the host
	nobody                    // nobody is logged in, or the session can't be renewed
	failed                    // all else, such as a provider or a keychain that can't be reached
	badInput
	misconfigured // it is not known which hosts are listed
	unsupported   // the tool wants a credential kept
	situations    // how many there are
)

// replies is the table of what is said where. What no row names is said as in every command.
func replies(protocol string) [situations]Reply {
	const sentence = "{sentence}\n"
	usual := Reply{Exit: UsualExit}
	r := [situations]Reply{usual, usual, usual, usual, usual, usual}
	switch protocol {
	case "git": // it shows stderr, ignores the exit code, and asks the person unless it is told to quit
		r[unlisted] = Reply{Silent: true}
		r[nobody] = Reply{Stdout: "quit=1\n", Exit: UsualExit}
		r[failed] = r[nobody]
		r[badInput], r[misconfigured] = Reply{}, Reply{} // a server that is not listed is none of our business
	case "docker": // it shows stdout, and goes on without a credential only at these very words
		r[unlisted] = Reply{Stdout: "credentials not found in native keychain\n", Silent: true, Exit: 1}
		r[nobody] = Reply{Stdout: sentence, Silent: true, Exit: UsualExit}
		r[failed] = Reply{Stdout: sentence, Silent: true, Exit: 1}
		r[badInput] = Reply{Stdout: "no credentials server URL\n", Silent: true, Exit: 1}
		r[misconfigured] = r[failed]
	case "terraform":
		r[unlisted] = Reply{Stdout: "{}\n", Silent: true}
	case "cargo": // one line for each request; Cargo escapes the sentence, and asks the next provider at the first kind
		const other = `{"Err":{"kind":"other","message":"{sentence}","caused-by":[]}}` + "\n"
		for i := range r {
			r[i] = Reply{Stdout: other}
		}
		r[unlisted] = Reply{Stdout: `{"Err":{"kind":"url-not-supported"}}` + "\n"}
		r[unsupported] = Reply{Stdout: `{"Err":{"kind":"operation-not-supported","message":"{sentence}"}}` + "\n"}
	case "go":
		r[unlisted] = Reply{Silent: true}
	case "google": // it wants its failures on stdout, with exit code 0, and its library for Python reads stderr as well
		said := func(code string) Reply {
			return Reply{Stdout: `{"version":1,"success":false,"code":"` + code + `","message":{quoted}}` + "\n", Silent: true}
		}
		r[unlisted], r[nobody], r[failed] = said("host_not_listed"), said("not_logged_in"), said("failed")
		r[badInput], r[misconfigured] = said("bad_request"), said("misconfigured")
	case "python":
		r[unlisted], r[badInput] = Reply{Silent: true, Exit: 1}, Reply{Silent: true, Exit: 1}
		r[nobody], r[failed], r[misconfigured] = Reply{Exit: 1}, Reply{Exit: 1}, Reply{Exit: 1}
	}
	return r
}

// ReplyTo returns what a protocol's helper says about an error.
func ReplyTo(protocol string, err error) Reply { return replies(protocol)[situationOf(err)] }

func situationOf(err error) situation {
	switch {
	case errors.Is(err, ErrUnlisted):
		return unlisted
	case errors.Is(err, session.ErrNotLoggedIn), errors.Is(err, session.ErrCannotRenew):
		return nobody
	case errors.Is(err, ErrInput):
		return badInput
	case errors.Is(err, ErrStores):
		return unsupported
	case errors.Is(err, ErrMisconfigured):
		return misconfigured
	}
	return failed
}
