package doctor

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/provider"
)

// failed returns the finding that a request failed.
func failed(err error) []Finding {
	return []Finding{{State: Broken, Message: words.Printable(err.Error()), Err: err, About: provider.Diagnose(err)}}
}

// discovery fetches the provider's metadata.
func discovery(_ context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	if _, err := x.discover(); err != nil {
		return failed(err)
	}
	_, _, took := x.way.seen()
	return one(OK, "the provider's metadata came in "+milliseconds(took))
}

// keys fetches the keys that ID tokens are verified with.
func keys(ctx context.Context, x *examination) []Finding {
	switch {
	case x.provider == nil:
		return one(Skipped, noProvider)
	case x.Config.Resource != "":
		return one(Skipped, "no ID token comes from this provider")
	}
	if _, err := x.discover(); err != nil {
		return one(Skipped, noDiscovery)
	}
	if err := x.provider.CheckKeys(ctx); err != nil {
		return failed(err)
	}
	return one(OK, "the provider publishes keys that its ID tokens can be verified with")
}

// offers says what the provider offers, as its metadata says.
func offers(_ context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	support, err := x.discover()
	if err != nil {
		return one(Skipped, noDiscovery)
	}
	return []Finding{offered(support)}
}

// offered judges what a provider offers.
func offered(support provider.Support) Finding {
	has, lacks := features(support)
	message := "offers " + strings.Join(has, ", ")
	if len(has) == 0 {
		message = "offers codes alone"
	}
	if len(lacks) > 0 {
		message += "; does not list " + strings.Join(lacks, ", ")
	}
	if support.ChallengeMethods != nil && !slices.Contains(support.ChallengeMethods, "S256") {
		return Finding{State: Broken, Reason: ReasonPlainPKCE, Message: message}
	}
	return Finding{State: OK, Message: message}
}

// features returns what a provider lists, and what it does not.
func features(s provider.Support) (has, lacks []string) {
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"PKCE with S256", slices.Contains(s.ChallengeMethods, "S256")},
		{"refresh tokens", s.GrantTypes == nil || slices.Contains(s.GrantTypes, "refresh_token")},
		{"device codes", s.Device},
		{"revocation", s.Revocation},
		{"end of session", s.EndSession},
		{"pushed requests", s.Push},
		{"iss in responses", s.NamesItself},
	} {
		if f.is {
			has = append(has, f.name)
		} else {
			lacks = append(lacks, f.name)
		}
	}
	return has, lacks
}

// How far apart the clocks may be. What verifies ID tokens forgives a minute; a computer that is ahead takes tokens for
// expired.
const (
	clockForgiven = time.Minute
	clockAhead    = 5 * time.Minute
)

// clockOf compares this computer's clock with the provider's.
func clockOf(_ context.Context, x *examination) []Finding {
	if x.provider == nil {
		return one(Skipped, noProvider)
	}
	_, _ = x.discover() // a reply that can't be used tells the time too
	ahead, ok := x.provider.Skew()
	if !ok {
		return one(Skipped, "no reply of the provider told the time")
	}
	return []Finding{skewed(ahead)}
}

// skewed judges how far the provider's clock is ahead of this computer's.
func skewed(ahead time.Duration) Finding {
	by := words.Short(ahead.Abs())
	f := Finding{State: Broken, Reason: ReasonClock, About: provider.Diagnosis{Skew: ahead}}
	switch {
	case ahead > clockForgiven:
		f.Message = "this computer's clock is " + by + " behind the provider's"
		return f
	case ahead < -clockForgiven:
		if f.Message = "this computer's clock is " + by + " ahead of the provider's"; ahead >= -clockAhead {
			f.State = Warning
		}
		return f
	}
	return Finding{State: OK, Message: "this computer's clock and the provider's agree"}
}

func milliseconds(d time.Duration) string {
	if d < time.Second {
		return max(d, time.Millisecond).Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// BeforeLogin returns what a login that is about to open a browser will fail for, or will miss, as far as the
// provider's metadata and its last reply tell. It makes no request if the metadata were just fetched.
func BeforeLogin(ctx context.Context, p *provider.Provider) []Finding {
	var all []Finding
	if ahead, ok := p.Skew(); ok {
		all = append(all, skewed(ahead))
	}
	if support, err := p.Support(ctx); err == nil {
		all = append(all, offered(support))
	}
	return slices.DeleteFunc(all, func(f Finding) bool { return f.State == OK })
}
