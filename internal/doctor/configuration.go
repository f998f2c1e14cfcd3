package doctor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/words"
)

// version says what is examined.
func version(_ context.Context, x *examination) []Finding {
	kind := ""
	if x.provider != nil {
		kind = ", the provider is OpenID Connect"
		switch {
		case x.provider.Auth0():
			kind = ", the provider is an Auth0 tenant"
		case x.Config.Resource != "":
			kind = ", the provider is OAuth without OpenID Connect"
		}
	}
	return one(OK, fmt.Sprintf("loopkey %s, %s, %s/%s%s",
		words.Printable(x.Version), runtime.Version(), runtime.GOOS, runtime.GOARCH, kind))
}

// configuration says which values are configured, and where each came from.
func configuration(ctx context.Context, x *examination) []Finding {
	if x.Config == nil {
		return []Finding{x.invalid("configuration", x.ConfigErr)}
	}
	c := x.Config
	var all []Finding
	checks := map[string]func(context.Context) error{"client-key": x.CheckKey, "client-certificate": x.CheckCertificate}
	for _, v := range []struct {
		name, setting, text string
		always              bool
	}{
		{"profile", "profile", c.Profile, true},
		{"issuer", "issuer", c.Issuer, c.Issuer != ""},
		{"client ID", "client-id", c.ClientID, c.ClientID != ""},
		{"discovery URL", "discovery-url", c.DiscoveryURL, false},
		{"client key", "client-key", c.ClientKey, false},
		{"client certificate", "client-certificate", c.ClientCertificate, false},
		{"audience", "audience", c.Audience, false},
		{"scope", "scope", c.Scope, false},
		{"base URL", "base-url", c.BaseURL, true},
		{"keystore", "keystore", c.Keystore, true},
	} {
		if err := c.Needs(v.setting); err != nil {
			all = append(all, x.invalid(v.name, err))
			continue
		}
		if check := checks[v.setting]; check != nil {
			if err := check(ctx); err != nil {
				all = append(all, x.invalid(v.name, err))
				continue
			}
		}
		origin := c.Origin(v.setting)
		if v.setting == "base-url" && origin == "default" { // but for its port
			origin = c.Origin("port")
		}
		if v.always || origin != "default" {
			all = append(all, Finding{
				Name: v.name, State: OK, Message: words.Printable(v.text) + " (" + words.Printable(origin) + ")",
			})
		}
	}
	all = append(all, x.secret()...)
	if x.ConfigErr != nil {
		return append(all, x.invalid("configuration", x.ConfigErr))
	}
	if err := c.Complete(); err != nil && c.Needs("issuer", "client-id") == nil {
		missing := "no client ID is configured"
		if c.Issuer == "" {
			missing = "no issuer is configured"
		}
		all = append(all, Finding{State: Broken, Reason: ReasonIncomplete, Message: missing})
	} else if err == nil && c.Needs("audience", "scope", "base-url") == nil {
		if err := c.CompleteForLogin(); err != nil { // it lacks openid
			all = append(all, x.invalid("scope", err))
		}
	}
	for _, flaw := range c.Flaws() {
		if slices.ContainsFunc(all, func(f Finding) bool { return f.Err != nil && strings.HasPrefix(flaw, f.Message) }) {
			continue // said, of the setting
		}
		all = append(all, Finding{Name: ".env", State: Warning, Reason: ReasonDotEnv, Message: words.Printable(flaw)})
	}
	return all
}

// secret says whether there is a client secret, and never what it is.
func (x *examination) secret() []Finding {
	const name = "client secret"
	switch secret, err := x.Config.ClientSecret(); {
	case err != nil:
		return []Finding{x.invalid(name, err)}
	case secret != "":
		if err := x.Config.SecretExposed(); err != nil {
			exposed := x.invalid(name, err)
			exposed.State = Warning
			return []Finding{exposed}
		}
		return []Finding{{
			Name: name, State: OK, Message: "set (" + words.Printable(x.Config.Origin("client-secret")) + ")",
		}}
	}
	return nil
}

// invalid returns the finding that a part of the configuration can't be used.
func (x *examination) invalid(name string, err error) Finding {
	if err == nil {
		err = errors.New("the configuration can't be read")
	}
	reason := ReasonConfiguration
	if !errors.Is(err, config.ErrInvalid) {
		reason = ""
	}
	text := strings.TrimPrefix(err.Error(), config.ErrInvalid.Error()+": ")
	return Finding{Name: name, State: Broken, Reason: reason, Err: err, Message: words.Printable(text)}
}
