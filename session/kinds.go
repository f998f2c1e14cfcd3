package session

import (
	"github.com/loopkey/loopkey/internal/wire"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

// kinds are the errors of a renewal that keep their meaning on the way from the process that made it.
func kinds() wire.Kinds {
	return wire.Kinds{
		wire.Sentinel("not_logged_in", ErrNotLoggedIn),
		wire.Sentinel("cannot_renew", ErrCannotRenew),
		wire.Sentinel("refresh_refused", ErrRefreshRefused),
		wire.Sentinel("no_refresh_token", ErrNoRefreshToken),
		wire.Sentinel("expired", ErrExpired),
		wire.Sentinel("locked", ErrLocked),
		wire.Sentinel("keystore", keystore.ErrUnavailable),
		wire.Sentinel("corrupt", keystore.ErrCorrupt),
		wire.Sentinel("untrusted", provider.ErrUntrusted),
		wire.Sentinel("audience", provider.ErrAudience),
		wire.Sentinel("refused", provider.ErrRefused),
		wire.Sentinel("unreachable", provider.ErrUnreachable),
		wire.Sentinel("config", provider.ErrConfig),
		wire.As[*keystore.UnavailableError]("unavailable"),
		wire.Part("diagnosis", diagnosis, func(d provider.Diagnosis) error { return diagnosed(d) }),
	}
}

func diagnosis(err error) (provider.Diagnosis, bool) {
	d := provider.Diagnose(err)
	return d, d != provider.Diagnosis{}
}

// A diagnosed is the diagnosis of an error of the provider package, for provider.Diagnose to find.
type diagnosed provider.Diagnosis

func (d diagnosed) Error() string { return string(d.Reason) }

// Diagnosis returns the diagnosis.
func (d diagnosed) Diagnosis() provider.Diagnosis { return provider.Diagnosis(d) }
