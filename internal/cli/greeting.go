package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// greet says who is logged in and for how long, and what the login lacks.
func (a *app) greet(acc *account, t *provider.Tokens) {
	now := time.Now()
	a.say("Logged in as %s at %s.", words.NameAndEmail(t.Claims.With(t.UserInfo)), acc.config.Issuer)
	a.say("%s", tokenLife(t, now))
	if !t.SessionExpiry.IsZero() {
		a.say("The provider ends the session at %s.", words.Moment(t.SessionExpiry, now))
	}
	if t.RefreshToken.IsZero() {
		a.sayNoRefresh(acc)
	}
}

// sayReplaced says whose session the login took the place of, if that was another user's.
func (a *app) sayReplaced(acc *account, before session.Info, claims provider.Claims) {
	if before.Subject == "" || before.Unusable != nil || before.Subject == claims.Subject() {
		return
	}
	a.say("This replaced the session of %s under profile %q.", words.NameAndEmail(before.Claims),
		words.Printable(acc.config.Profile))
}

// sayOtherAccount says that the provider logged in another account than the login named. It takes login_hint for a hint
// (OpenID Connect Core 1.0, section 3.1.2.1), and a browser that is logged in as somebody else comes back as them.
func (a *app) sayOtherAccount(acc *account, f loginFlags, claims provider.Claims) {
	hint := cmp.Or(f.params.Get("login_hint"), acc.config.Params.Get("login_hint"))
	isHint := func(name string) bool { return strings.EqualFold(claims.Text(name), hint) }
	names := []string{"email", "preferred_username", "upn"}
	if !strings.Contains(hint, "@") || claims.Text("email") == "" || slices.ContainsFunc(names, isHint) {
		return
	}
	a.say("The login named the account %s, and another one came back.\nTo choose, run %s.",
		words.Printable(hint), a.situation(acc).login("--prompt "+selectAccount))
}

// sayNoRefresh says why a login may have brought no refresh token.
func (a *app) sayNoRefresh(acc *account) {
	switch {
	case acc.withoutOffline:
		a.say("No refresh token came, so you will have to log in again then. %s.",
			words.Sentence(a.situation(acc).sentence(reasonNoOffline)))
	case slices.Contains(strings.Fields(acc.config.Scope), "offline_access"):
		a.say("No refresh token came, though offline_access was asked for,\nso you will have to log in again then: %s.",
			a.situation(acc).sentence(doctor.ReasonNoRefreshToken))
	}
}

// sayAudiences says for which of the audiences that the profile and its hosts name the login brought no token.
func (a *app) sayAudiences(ctx context.Context, acc *account) {
	if len(acc.config.Audiences) == 0 {
		return
	}
	info, err := acc.session.Info(ctx)
	if err != nil {
		return // the login was made, and a command that wants a token says what is wrong
	}
	missing := slices.DeleteFunc(slices.Clone(acc.config.Audiences), func(audience string) bool {
		return info.Renewable && slices.Contains(info.Audiences, audience)
	})
	if len(missing) == 0 {
		return
	}
	names := words.Printable(strings.Join(missing, ", "))
	if info.Renewable && acc.config.RefreshAudiences {
		a.say("A login here is for one audience.\n"+
			"Tokens for %s come when they are first asked for,\nif the provider allows it.", names)
		return
	}
	a.say("This login brought no token for %s. For one of them, run %s.",
		names, a.situation(acc).line("login", "audience", missing[0]))
}

// chosenScope returns the scope that a flag, the environment, a .env or a profile names, or "".
func (acc *account) chosenScope() string {
	if acc.config.Origin("scope") == "default" {
		return ""
	}
	return acc.config.Scope
}

// sayScope says which scope the login leaves out, and how to ask for it all the same.
func (a *app) sayScope(acc *account, asked string) {
	if acc.withoutOffline = asked != acc.config.Scope; acc.withoutOffline {
		a.say("The scope offline_access is left out: the provider's scopes_supported lacks it.\n%s.",
			a.situation(acc).sentence(reasonScopeLeftOut))
	}
}

// tokenLife returns a sentence about how long the access token can be used, and whether it is renewed.
func tokenLife(t *provider.Tokens, now time.Time) string {
	expiry, renewed := "The access token lives until "+words.Moment(t.Expiry, now), " and is renewed when needed"
	if t.Expiry.IsZero() {
		expiry, renewed = "The provider gave no expiry for the access token", "; it is renewed when needed"
	}
	switch {
	case !t.Expiry.IsZero() && !t.Expiry.After(now):
		return "By this computer's clock the access token has expired already: " +
			"the clock is ahead of the provider's, so set it."
	case t.RefreshToken.IsZero():
		return expiry + "."
	case !t.RefreshExpiry.IsZero():
		return expiry + renewed + ", until " + words.Moment(t.RefreshExpiry, now) + "."
	}
	return expiry + renewed + "."
}
