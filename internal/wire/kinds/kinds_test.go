package kinds

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	all := slices.Concat(Keystore(), Provider())
	locked := &keystore.UnavailableError{
		What: "the drawer", Why: "it is locked", Reason: keystore.ReasonLocked, Path: "/d", Err: errors.New("secret"),
	}
	for _, sent := range []error{
		keystore.ErrNotFound,
		fmt.Errorf("%w: its head is damaged", keystore.ErrCorrupt),
		fmt.Errorf("profile %q: %w", "p", locked),
		&provider.RefusedError{Code: "invalid_grant", Reason: provider.ReasonInvalidGrant},
		&provider.UntrustedError{Check: provider.ErrIssuedAt, Reason: provider.ReasonClockAhead, Skew: -3 * time.Hour},
		&provider.AudienceError{Asked: "https://api", Reason: provider.ReasonAudienceNotRenewed},
		&provider.UnreachableError{Why: "the proxy asks", Reason: provider.ReasonProxyLogin, Proxy: "proxy:3128"},
		provider.ErrConfig,
	} {
		came := all.Err(all.Failure(sent))
		if came.Error() != sent.Error() || provider.Diagnose(came) != provider.Diagnose(sent) {
			t.Errorf("%v became %v, diagnosed as %+v", sent, came, provider.Diagnose(came))
		}
		for _, is := range []error{
			keystore.ErrNotFound, keystore.ErrUnavailable, keystore.ErrCorrupt, provider.ErrUntrusted, provider.ErrAudience,
			provider.ErrRefused, provider.ErrUnreachable, provider.ErrConfig,
		} {
			if errors.Is(came, is) != errors.Is(sent, is) {
				t.Errorf("%v is %v there: %t", sent, is, errors.Is(came, is))
			}
		}
		var e *keystore.UnavailableError
		ok := errors.As(came, &e)
		if ok != errors.Is(sent, keystore.ErrUnavailable) {
			t.Errorf("%v is unavailable there: %t", sent, ok)
		}
		want := *locked
		want.Err = nil // it may hold what other processes need not know
		if ok && *e != want {
			t.Errorf("got %+v", e)
		}
	}
}
