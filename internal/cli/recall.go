package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/session"
)

// sessionConfig returns the configuration of the session that the command works on: the configured client's, or that of
// the client that the profile is logged in to.
func (a *app) sessionConfig() (*config.Config, error) {
	cfg, err := a.configure()
	if err != nil {
		return nil, err
	}
	return a.sessionOf(cfg)
}

// sessionOf returns the configuration of the session that a configuration means.
func (a *app) sessionOf(cfg *config.Config) (*config.Config, error) {
	cfg, err := a.recall(cfg)
	if err == nil {
		follow(cfg)
	}
	return cfg, err
}

// clientConfig is sessionConfig for a command that takes a client, and nobody to be logged in: a client that is not
// configured is what it lacks.
func (a *app) clientConfig() (*config.Config, error) {
	cfg, err := a.sessionConfig()
	if errors.Is(err, session.ErrNotLoggedIn) {
		if missing := cfg.Complete(); missing != nil {
			return nil, missing
		}
	}
	return cfg, err
}

// clientAccount opens the account of clientConfig.
func (a *app) clientAccount() (*account, error) {
	cfg, err := a.clientConfig()
	if err != nil {
		return nil, err
	}
	return a.open(cfg, keychainLimitScript)
}

// follow makes the keystore where the session is the configured one.
func follow(cfg *config.Config) {
	if k, ok := cfg.Noted(); ok {
		cfg.FollowKeystore(k)
	}
}

// recall completes a configuration with what is known from logins. A configuration that lacks the issuer or the client
// becomes that of the one session of the profile; it is session.ErrNotLoggedIn where there is none. So does one that a
// .env completes although the person named the profile: then the profile's session is meant, and not the folder's.
func (a *app) recall(cfg *config.Config) (*config.Config, error) {
	if k, ok := cfg.Noted(); ok {
		if cfg.FromDotEnv("issuer") { // what a .env says about a client that is logged in already does not count
			cfg.Remember(k)
		}
		return cfg, nil
	}
	complete, foreign := cfg.Issuer != "" && cfg.ClientID != "", cfg.ProfileNamed() && cfg.CompletedByDotEnv()
	if complete && !foreign {
		return cfg, nil
	}
	if err := cfg.Needs("issuer", "client-id"); err != nil && !cfg.ProfileNamed() {
		return nil, err
	}
	found, err := sessionsOf(cfg.StateDir, cfg.Profile)
	if err != nil {
		return nil, err
	}
	input := a.input()
	input.Dir = ""
	alone, err := config.Load(input) // the session resolves without the folder it is used in
	if err != nil {
		return nil, err
	}
	wanted := cfg
	if cfg.ProfileNamed() {
		wanted = alone
	}
	found = slices.DeleteFunc(found, func(k known.Client) bool {
		return wanted.Issuer != "" && wanted.Issuer != k.Issuer || wanted.ClientID != "" && wanted.ClientID != k.ClientID
	})
	switch {
	case len(found) == 1:
		alone.Remember(found[0])
		return alone, nil
	case len(found) > 1:
		return nil, severalSessions(cfg.Profile, found)
	case cfg.Issuer == "":
		return cfg, fmt.Errorf("profile %q: %w, and no issuer is configured", cfg.Profile, session.ErrNotLoggedIn)
	}
	return cfg, nil
}

func severalSessions(profile string, found []known.Client) error {
	var issuers []string
	for _, k := range found {
		issuers = append(issuers, k.Issuer+" (client "+k.ClientID+")")
	}
	return fmt.Errorf("%w: profile %q is logged in at %s: say which with --issuer and --client-id",
		errUsage, profile, strings.Join(issuers, " and "))
}

// sessionsOf returns the clients that a profile is logged in to. Those of MCP servers belong to no profile.
func sessionsOf(stateDir, profile string) ([]known.Client, error) {
	all, err := known.OfProfile(stateDir, profile)
	return slices.DeleteFunc(all, func(k known.Client) bool { return k.Resource != "" }), err
}

// configOf returns the configuration of a client that is logged in: that of its profile, with this client in it. The
// rest of the command's configuration counts only for its own client.
func (a *app) configOf(k known.Client, own *config.Config) (*config.Config, error) {
	if own.Name() == k.Name() {
		follow(own)
		return own, nil
	}
	cfg, err := config.Load(config.Input{Flags: map[string]string{"profile": k.Profile}, Environ: a.env, Alone: true})
	if err != nil {
		return nil, err
	}
	cfg.Remember(k)
	return cfg, nil
}
