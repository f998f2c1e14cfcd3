package config

import "fmt"

// A Reason says why a configuration can't be used, where a person can do something about it.
type Reason string

const (
	ReasonNoIssuer     Reason = "no_issuer"     // no issuer is configured
	ReasonNoClientID   Reason = "no_client_id"  // no client ID is configured
	ReasonNoPlace      Reason = "no_place"      // loopkey has no place for its files
	ReasonNoFile       Reason = "no_file"       // the config.toml that LOOPKEY_CONFIG names is not there
	ReasonForeignFile  Reason = "foreign_file"  // another user owns config.toml
	ReasonWritableFile Reason = "writable_file" // others can write config.toml
	ReasonReadableFile Reason = "readable_file" // others can read a file with a client secret
	ReasonOwnParameter Reason = "own_parameter" // --param sets what a flag sets
	ReasonNoParameter  Reason = "no_parameter"  // --param sets what a login alone sets
	ReasonGivenTwice   Reason = "given_twice"   // two values of one source disagree
	ReasonUnclaimed    Reason = "unclaimed"     // the client secret is for no issuer and no client that ./.env names
)

// A ReasonedError says that a configuration can't be used, for a reason that a person can do something about.
type ReasonedError struct {
	Reason Reason
	About  string // the path of the file, or the name of the setting; "": nothing else need be named
	text   string
}

func (e *ReasonedError) Error() string { return e.text }

// because returns a ReasonedError.
func because(r Reason, about, format string, args ...any) error {
	return &ReasonedError{Reason: r, About: about, text: fmt.Sprintf(format, args...)}
}
