package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/session"
)

// stored returns the description of the session. ok is false where there is none, and then why is what to say of it.
func (x *examination) stored() (info session.Info, why []Finding, ok bool) {
	if x.Session == nil {
		return info, one(Skipped, noProvider), false
	}
	info, err := x.info()
	switch {
	case err == nil:
		return info, nil, true
	case errors.Is(err, session.ErrNotLoggedIn):
		return info, []Finding{{State: Warning, Message: words.Printable(err.Error()), Err: err}}, false
	case errors.Is(err, keystore.ErrUnavailable):
		return info, one(Skipped, "the keychain has to work first"), false
	}
	return info, []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err}}, false
}

// loggedIn says who is logged in, and until when a token can be had.
func loggedIn(_ context.Context, x *examination) []Finding {
	info, why, ok := x.stored()
	if !ok {
		return why
	}
	now := time.Now()
	if info.Unusable != nil {
		err := info.Unusable
		return []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err}}
	}
	told := words.NameAndEmail(info.Claims) + ", logged in " + words.Distance(info.LoggedInAt, now)
	switch {
	case !info.SessionExpiry.IsZero():
		told += ", until " + words.Moment(info.SessionExpiry, now)
	case info.Renewable && !info.RefreshExpiry.IsZero():
		told += ", renewable until " + words.Moment(info.RefreshExpiry, now)
	}
	return one(OK, words.Printable(told))
}

// accessToken says how long the access tokens can be used, and by whom they can be read.
func accessToken(_ context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	const opaque = "which the provider's UserInfo takes and no API can read"
	noAudience := x.provider.Auth0() && x.Config.Audience == "" && len(x.Config.Audiences) == 0
	info, _, ok := x.stored()
	if !ok && noAudience {
		return because(Warning, ReasonNoAudience, "no audience is configured: Auth0 gives an opaque access token, "+opaque)
	}
	if !ok || len(info.AccessTokens) == 0 {
		return one(Skipped, "there is none yet")
	}
	now := time.Now()
	var tell []string
	for _, t := range info.AccessTokens {
		text := "a JWT"
		if t.Opaque {
			text = "opaque"
		}
		if t.Audience != "" {
			text += " for " + t.Audience
		}
		switch {
		case t.Expiry.IsZero():
			text += ", without an expiry"
		case t.ExpiredAt(now) && info.Renewable:
			text += ", expired, renewed when needed"
		case t.ExpiredAt(now):
			text += ", expired"
		default:
			text += ", until " + words.Moment(t.Expiry, now)
		}
		if t.Opaque && t.Audience == "" && noAudience {
			return because(Warning, ReasonNoAudience, "no audience is configured: the access token is opaque, "+opaque)
		}
		tell = append(tell, text)
	}
	return one(OK, words.Printable(strings.Join(tell, "; ")))
}

// refreshToken says whether the session can be renewed, and whether the provider replaces the refresh token.
func refreshToken(ctx context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	wanted := slices.Contains(strings.Fields(x.Config.Scope), "offline_access")
	info, _, ok := x.stored()
	renewable := ok && info.Renewable
	switch {
	case !renewable && wanted && x.leavesOutOffline(ctx):
		return one(OK, "the provider does not list the scope offline_access, so a login does not ask for one")
	case !renewable && !wanted:
		return because(Warning, ReasonNoOffline, "the scope lacks offline_access, so a login lasts no longer than its token")
	case !ok:
		return one(Skipped, "there is none yet")
	case info.RefreshRefused && info.Unusable == nil:
		return []Finding{{
			State: Warning, Message: "the provider no longer accepts it, so the session ends with its access token",
			Err: session.ErrRefreshRefused,
		}}
	case !info.Renewable && info.Unusable == nil:
		return because(Warning, ReasonNoRefreshToken, "the login asked for offline_access, and no refresh token came")
	case !info.Renewable:
		return one(Skipped, "the session can't be renewed")
	case info.RenewedAt.IsZero():
		return one(OK, "there is one; whether the provider replaces it shows at the first renewal")
	case info.Rotates:
		return one(OK, "the provider replaces it at each renewal (rotation)")
	}
	return one(OK, "the provider keeps it the same at a renewal")
}

// leavesOutOffline reports whether a login leaves out offline_access, which the provider's metadata do not list.
func (x *examination) leavesOutOffline(ctx context.Context) bool {
	if _, err := x.discover(); err != nil || x.Config.Origin("scope") != "default" {
		return false
	}
	scope, err := x.provider.LoginScope(ctx, "")
	return err == nil && !slices.Contains(strings.Fields(scope), "offline_access")
}
