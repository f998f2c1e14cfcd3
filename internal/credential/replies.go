package credential

import (
	"errors"

	"github.com/loopkey/loopkey/session"
)

// A Reply is what a helper says when it has no token.
type Reply struct {
	Stdout string // as the protocol has it; {sentence} stands for what failed, why and what to do next
	Silent bool   // nothing on stderr; else the sentence
	Exit   int    // the exit code; UsualExit: that of the error
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
)

// replies is the table of what is said where.
func replies(protocol string) [4]Reply {
	const sentence = "{sentence}\n"
	usual := Reply{Exit: UsualExit}
	switch protocol {
	case "git": // git shows stderr, ignores the exit code, and asks the person unless it is told to quit
		return [4]Reply{
			unlisted: {Silent: true}, nobody: {Stdout: "quit=1\n", Exit: UsualExit},
			failed: {Stdout: "quit=1\n", Exit: UsualExit}, badInput: {},
		}
	case "docker": // it shows stdout, and goes on without a credential only at these very words
		return [4]Reply{
			unlisted: {Stdout: "credentials not found in native keychain\n", Silent: true, Exit: 1},
			nobody:   {Stdout: sentence, Silent: true, Exit: UsualExit},
			failed:   {Stdout: sentence, Silent: true, Exit: 1},
			badInput: {Stdout: sentence, Silent: true, Exit: 1},
		}
	case "terraform":
		return [4]Reply{unlisted: {Stdout: "{}\n", Silent: true}, nobody: usual, failed: usual, badInput: usual}
	case "go":
		return [4]Reply{unlisted: {Silent: true}, nobody: usual, failed: usual, badInput: usual}
	case "python":
		return [4]Reply{
			unlisted: {Silent: true, Exit: 1}, nobody: {Exit: 1}, failed: {Exit: 1}, badInput: {Silent: true, Exit: 1},
		}
	}
	return [4]Reply{unlisted: usual, nobody: usual, failed: usual, badInput: usual} // aws, bazel, kubernetes
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
	}
	return failed
}
