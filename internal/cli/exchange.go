package cli

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/loopkey/loopkey/internal/ci"
	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// runExchange prints a token in exchange for another (RFC 8693). One that was got for the session's own tokens is kept
// with the session, by the whole request. One for a token of a file is kept nowhere: who has that file decides anew.
func (a *app) runExchange(ctx context.Context, acc *account, f tokenFlags, g grantFlags, target provider.Target) error {
	x := provider.TokenExchange{
		SubjectType: cmp.Or(g.subjectType, provider.TypeAccessToken), ActorType: g.actorType,
		RequestedType: g.requestedType, Target: target,
	}
	var err error
	if g.actorFile != "" {
		if x.Actor, err = a.readToken(g.actorFile, "--actor-token-file"); err != nil {
			return err
		}
	}
	if g.subjectFile != "" {
		if x.Subject, err = a.readToken(g.subjectFile, "--subject-token-file"); err != nil {
			return err
		}
		issued, err := withScope(target)(acc.provider.ExchangeToken(ctx, x))
		return a.handOutIssued(ctx, acc, f, "--exchange", issued, err)
	}
	obtain := func(ctx context.Context) (*provider.Issued, error) {
		if x.Subject, err = ownToken(ctx, acc, x.SubjectType); err != nil {
			return nil, err
		}
		return withScope(target)(acc.provider.ExchangeToken(ctx, x))
	}
	var issued *provider.Issued
	err = a.withStepUp(ctx, func(time.Time) (err error) {
		if g.actorFile != "" {
			issued, err = obtain(ctx)
		} else {
			issued, err = derive(ctx, acc, f, keyOf("exchange", target, x.SubjectType, x.RequestedType), obtain)
		}
		return err
	})
	return a.handOutIssued(ctx, acc, f, "--exchange", issued, err)
}

// ownToken returns the session's own access token, or its ID token.
func ownToken(ctx context.Context, acc *account, kind string) (provider.Secret, error) {
	if kind == provider.TypeIDToken {
		token, _, err := acc.session.IDToken(ctx, time.Minute, false)
		return token, err
	}
	t, err := acc.session.AccessToken(ctx, session.Request{MinLifetime: time.Minute})
	return t.Token, err
}

// runConnection prints the token of another provider that Auth0's token vault keeps for the user.
func (a *app) runConnection(ctx context.Context, acc *account, f tokenFlags, connection string) error {
	if !acc.provider.Auth0() {
		return provider.ErrNoVault
	}
	a.catchSignals() // from here on the refresh token may be replaced
	key := keyOf("connection", provider.Target{}, connection)
	issued, err := derive(ctx, acc, f, key, func(ctx context.Context) (issued *provider.Issued, err error) {
		err = acc.session.UseRefreshToken(ctx, func(
			ctx context.Context, refresh provider.Secret,
		) (renewed *provider.Tokens, err error) {
			issued, renewed, err = acc.provider.ConnectionToken(ctx, refresh, connection)
			return renewed, err
		})
		return issued, err
	})
	return a.handOutIssued(ctx, acc, f, "--connection", issued, err)
}

// runIDJAG prints a token that the profile's authorization server gives for an identity assertion, which the provider
// of another profile's session makes (draft-ietf-oauth-identity-assertion-authz-grant). It is kept with that session.
func (a *app) runIDJAG(ctx context.Context, f tokenFlags, g grantFlags) error {
	acc, err := a.clientAccount()
	if err != nil {
		return err
	}
	target, err := g.target(a, acc)
	if err != nil {
		return err
	}
	from, err := a.accountOfProfile(g.idJAG)
	if err != nil {
		return err
	}
	at, asked := acc.provider, false
	key := keyOf("id-jag", target, at.Issuer(), at.ClientID())
	issued, err := derive(ctx, from, f, key, func(ctx context.Context) (*provider.Issued, error) {
		token, err := ownToken(ctx, from, provider.TypeIDToken)
		if err != nil {
			return nil, err
		}
		assertion, err := from.provider.IdentityAssertion(ctx, token, at.Issuer(), provider.Target{
			Resources: g.resources, Scope: target.Scope,
		})
		if err != nil {
			return nil, fmt.Errorf("profile %q: %w", g.idJAG, err)
		}
		asked = true
		return withScope(target)(at.JWTBearer(ctx, assertion, target))
	})
	if err != nil && !asked {
		a.about(from.config, from)
	} else {
		a.opened = acc
	}
	return a.handOutIssued(ctx, acc, f, "--id-jag", issued, err)
}

// about makes another profile than the flags name the one that advice is about. acc is nil where it could not be
// opened.
func (a *app) about(cfg *config.Config, acc *account) {
	a.config, a.opened, a.flags = cfg, acc, map[string]string{"profile": cfg.Profile}
}

// accountOfProfile opens the account of the one session of a profile.
func (a *app) accountOfProfile(profile string) (*account, error) {
	cfg, err := config.Load(config.Input{Flags: map[string]string{"profile": profile}, Environ: a.env, Alone: true})
	if err != nil {
		return nil, err
	}
	found, err := sessionsOf(cfg.StateDir, profile)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, severalSessions(profile, found)
	case len(found) == 0:
		a.about(cfg, nil)
		return nil, fmt.Errorf("profile %q of --id-jag: %w", profile, session.ErrNotLoggedIn)
	}
	cfg.Remember(found[0])
	follow(cfg)
	return a.open(cfg, keychainLimitScript)
}

// runCI prints a token for the ID token of the CI job that runs this, or where there is none, the session's. Nothing
// that a job gets is kept: the job ends soon, and who comes after it must not find it.
func (a *app) runCI(ctx context.Context, f tokenFlags, g grantFlags) error {
	job, err := ci.Find(a.lookup, clock.Now)
	if err != nil {
		_, _ = a.configure() // for what the person can do about it, which names the issuer
		return err
	}
	log := a.trace()
	if job == nil {
		if _, err := a.clientConfig(); err != nil {
			return err
		}
		if log != nil {
			log.Debug("ci", "found", "none", "token of", "the session")
		}
		if g.exchange {
			g.ci = false
			return a.runOwnGrant(ctx, f, g)
		}
		return a.runToken(ctx, f)
	}
	acc, err := a.clientAccount()
	if err != nil {
		return err
	}
	if err := g.admits(acc.config); err != nil {
		return err
	}
	target, err := g.target(a, acc)
	if err != nil {
		return err
	}
	audience := cmp.Or(g.ciAudience, acc.provider.Issuer())
	if log != nil {
		log.Debug("ci", "found", job.Source, "audience", audience)
	}
	subject, err := job.Token(ctx, audience)
	if err != nil {
		return err
	}
	if g.clientCredentials {
		issued, err := withScope(target)(acc.provider.FederatedCredentials(ctx, subject, target))
		return a.handOutIssued(ctx, acc, f, "--ci", issued, err)
	}
	if g.jwtBearer {
		issued, err := withScope(target)(acc.provider.JWTBearer(ctx, subject, target))
		return a.handOutIssued(ctx, acc, f, "--ci", issued, err)
	}
	x := provider.TokenExchange{
		Subject: subject, SubjectType: cmp.Or(g.subjectType, provider.TypeJWT), ActorType: g.actorType,
		RequestedType: g.requestedType, Target: target,
	}
	if f.idToken {
		x.RequestedType = provider.TypeIDToken
	}
	if g.actorFile != "" {
		if x.Actor, err = a.readToken(g.actorFile, "--actor-token-file"); err != nil {
			return err
		}
	}
	issued, err := withScope(target)(acc.provider.ExchangeToken(ctx, x))
	return a.handOutIssued(ctx, acc, f, "--ci", issued, err)
}
