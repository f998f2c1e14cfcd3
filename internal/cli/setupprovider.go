package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/loopkey/loopkey/internal/newprofile"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// A chosenProvider is the provider that a profile is for.
type chosenProvider struct {
	issuer    string
	auth0     bool
	places    newprofile.Places
	registers bool   // applications, by itself (RFC 7591)
	named     string // a client ID that a pasted URL named
}

// domain returns what an Auth0 tenant's profile has in place of the issuer.
func (c *chosenProvider) domain() string {
	return strings.TrimSuffix(strings.TrimPrefix(c.issuer, "https://"), "/") // a tenant of the tests has http:// before it
}

// client returns the configuration by which the provider is asked.
func (w *wizard) client(issuer string) provider.Config {
	return provider.Config{
		Issuer: issuer, DiscoveryURL: w.config.DiscoveryURL, ClientID: cmp.Or(w.config.ClientID, "unregistered"),
		Auth0: w.config.Auth0 && w.config.Issuer == issuer, CacheDir: w.config.CacheDir, AppName: appName,
	}
}

// chooseProvider finds out the issuer, and checks it by discovery.
func (w *wizard) chooseProvider(ctx context.Context) (*chosenProvider, error) {
	if w.config.Given("issuer") {
		address := newprofile.Address{Issuers: []string{w.config.Issuer}}
		if len(w.address.Issuers) > 0 {
			address.Issuers = w.address.Issuers
		}
		p, err := w.check(ctx, address)
		if err == nil || !w.asks {
			return p, err
		}
		w.sayFailure(err)
	}
	for {
		const question = "Auth0 domain (acme.eu.auth0.com), or issuer URL"
		typed, err := w.ask(ctx, question, w.config.Issuer)
		if err != nil {
			return nil, err
		}
		address, err := newprofile.ReadAddress(typed)
		if err == nil {
			var p *chosenProvider
			if p, err = w.check(ctx, address); err == nil {
				return p, w.askAuth0(ctx, p)
			}
			if ctx.Err() != nil {
				return nil, err
			}
		}
		w.sayTypedFailure(err)
	}
}

// sayFailure says why an address is none that can be used, and what to do.
func (w *wizard) sayFailure(err error) {
	sentence, _ := w.explain(err)
	w.say("%s.", words.Sentence(strings.TrimPrefix(sentence, errUsage.Error()+": ")))
}

// sayTypedFailure is sayFailure for an address that was typed: what a flag named is no advice about it.
func (w *wizard) sayTypedFailure(err error) {
	given := w.app.config
	if given != nil {
		typed := *given
		typed.Issuer, w.app.config = "", &typed
	}
	w.sayFailure(err)
	w.app.config = given
}

// check asks the issuers of an address for their metadata. Where that names another issuer, the one that differs by its
// last slash is taken, and the person is asked about any other.
func (w *wizard) check(ctx context.Context, address newprofile.Address) (*chosenProvider, error) {
	var first error
	for _, issuer := range address.Issuers {
		p, err := w.discover(ctx, issuer)
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		if w.sayMeaning(address, p.issuer); address.Why == "" && p.issuer != issuer {
			w.say("The provider writes its issuer as %s.", words.Printable(p.issuer))
		}
		p.named = address.ClientID
		w.say("Found %s, and its metadata is in order.", words.Printable(p.issuer))
		return p, nil
	}
	return nil, first
}

// askAuth0 asks whether an issuer is an Auth0 tenant under a domain of its owner's, where it may be: those end in a
// slash and have no path.
func (w *wizard) askAuth0(ctx context.Context, p *chosenProvider) (err error) {
	if u, parsing := url.Parse(p.issuer); p.auth0 || parsing != nil || u.Path != "/" || u.Scheme != "https" {
		return nil
	}
	if p.auth0, err = w.confirm(ctx, "Is that an Auth0 tenant's own domain?", false); p.auth0 {
		p.places = newprofile.PlacesOf(p.issuer, true)
	}
	return err
}

// discover fetches the metadata of an issuer.
func (w *wizard) discover(ctx context.Context, issuer string) (*chosenProvider, error) {
	cfg := w.client(issuer)
	cfg.CacheDir = "" // what an earlier login kept says nothing of the provider as it is
	asked, err := provider.New(cfg)
	if err != nil {
		return nil, err
	}
	support, err := asked.Support(ctx)
	if err == nil {
		return &chosenProvider{
			issuer: issuer, auth0: asked.Auth0(), places: newprofile.PlacesOf(issuer, asked.Auth0()),
			registers: support.Registration,
		}, nil
	}
	told := provider.Diagnose(err).Issuer
	switch {
	case told == "" || told == issuer:
		return nil, err
	case strings.TrimSuffix(told, "/") == strings.TrimSuffix(issuer, "/"):
		return w.discover(ctx, told)
	case !w.asks:
		return nil, err
	}
	w.say("The provider there calls itself %s.", words.Printable(told))
	if yes, asking := w.confirm(ctx, "Is that the one that you mean?", false); asking != nil || !yes {
		return nil, cmp.Or(asking, err)
	}
	return w.discover(ctx, told)
}

// correctAddress puts the issuer that a flag's address means in place of the address.
func (w *wizard) correctAddress() error {
	for _, name := range []string{"domain", "issuer"} {
		typed := w.app.flags[name]
		if typed == "" {
			continue
		}
		address, err := newprofile.ReadAddress(typed)
		if err != nil {
			return fmt.Errorf("%w: --%s: %w", errUsage, name, err)
		}
		issuer := address.Issuers[0]
		w.sayMeaning(address, issuer)
		if name == "issuer" && strings.TrimSuffix(issuer, "/") == strings.TrimSuffix(typed, "/") {
			continue // to the letter
		}
		w.app.flags[name] = issuer
		if len(address.Issuers) > 1 {
			w.address = address
		}
		if w.app.flags["client-id"] == "" && address.ClientID != "" {
			w.app.flags["client-id"] = address.ClientID
		}
	}
	return nil
}

// sayMeaning says what an address was taken for.
func (w *wizard) sayMeaning(address newprofile.Address, issuer string) {
	if address.Why != "" {
		w.say("That is %s: the issuer is %s.", address.Why, words.Printable(issuer))
	}
}
