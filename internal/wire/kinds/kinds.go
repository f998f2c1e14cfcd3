// Package kinds lists the errors of the libraries that keep their meaning on the way between two loopkey processes.
// Their names travel, so they must not change.
package kinds

import (
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// Keystore returns the kinds of a keystore's errors.
func Keystore() wire.Kinds {
	return wire.Kinds{
		wire.Sentinel("not_found", keystore.ErrNotFound),
		wire.Sentinel("keystore", keystore.ErrUnavailable),
		wire.Sentinel("corrupt", keystore.ErrCorrupt),
		wire.As[*keystore.UnavailableError]("unavailable"),
	}
}

// Provider returns the kinds of a provider's errors. Of their details provider.Diagnose finds what it found before.
func Provider() wire.Kinds {
	return wire.Kinds{
		wire.Sentinel("untrusted", provider.ErrUntrusted),
		wire.Sentinel("audience", provider.ErrAudience),
		wire.Sentinel("refused", provider.ErrRefused),
		wire.Sentinel("unreachable", provider.ErrUnreachable),
		wire.Sentinel("config", provider.ErrConfig),
		wire.Part("diagnosis", diagnosis, func(d provider.Diagnosis) error { return diagnosed(d) }),
	}
}

func diagnosis(err error) (provider.Diagnosis, bool) {
	d := provider.Diagnose(err)
	return d, d != provider.Diagnosis{}
}

// A diagnosed is the diagnosis of an error in another process, for provider.Diagnose.
type diagnosed provider.Diagnosis

func (d diagnosed) Error() string { return string(d.Reason) }

// Diagnosis returns the diagnosis.
func (d diagnosed) Diagnosis() provider.Diagnosis { return provider.Diagnosis(d) }
