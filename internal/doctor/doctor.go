// Package doctor looks for what keeps a login, or the use of its session, from working: the configuration, the way to
// the provider, what the provider thinks of the client, the port, the keychain, the browser and the stored session.
//
//	doctor.Run(ctx, doctor.Subject{Config: cfg}, doctor.Checks(), func(f doctor.Finding) { fmt.Println(f.Message) })
//
// It sends no secret: its requests are those of a client that has none, and no request carries a token. It logs nobody
// in, uses nothing up and touches no session. Its findings say what was found and why, typed, and never what to do.
package doctor

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

// A State says how bad a finding is.
type State string

// The states of findings.
const (
	OK      State = "ok"
	Warning State = "warning" // loopkey works, and something can be bettered
	Broken  State = "broken"  // a login or a command will fail
	Skipped State = "skipped" // the check could not be made, or there is nothing to check
)

// A Finding is what a check found.
type Finding struct {
	Name    string // of the check
	State   State
	Message string // one line, printable, without a secret
	Reason  Reason // why, of a warning or what is broken; "": About or Err says it
	About   provider.Diagnosis
	Err     error // of a library; nil: none
}

// A Subject is what is examined. The checks of what it lacks are skipped.
type Subject struct {
	Config    *config.Config // nil: it can't be read
	ConfigErr error          // why not
	Store     keystore.Store // nil: the configured keystore can't be opened
	StoreErr  error          // why not
	Session   *session.Session
	Environ   []string // as os.Environ returns it
	Version   string   // of the program
	// CheckKey and CheckCertificate read what the client has of these, and return why it can't be used; nil: they are not
	// asked.
	CheckKey, CheckCertificate func(context.Context) error
	// OwnServer reports whether a server of the same user has the port; nil: none can.
	OwnServer func(context.Context) bool
}

// A Check is one of the examinations.
type Check struct {
	Name string
	run  func(ctx context.Context, x *examination) []Finding
}

// checkLimit is how long one check may take.
const checkLimit = 25 * time.Second

// Checks returns all checks, in their order.
func Checks() []Check {
	return []Check{
		{"version", version},
		{"configuration", configuration},
		{"proxy", proxy},
		{"DNS", dns},
		{"discovery", discovery},
		{"TLS", certificate},
		{"keys", keys},
		{"provider", offers},
		{"clock", clockOf},
		{"callback", callback},
		{"client", client},
		{"confirmation", confirmation},
		{"logout", logout},
		{"port", port},
		{"keychain", keychain},
		{"browser", browser},
		{"session", loggedIn},
		{"access token", accessToken},
		{"refresh token", refreshToken},
	}
}

// An examination is a Subject with what its checks have in common.
type examination struct {
	Subject
	provider *provider.Provider // without a client secret and a cache; nil: the configuration names none
	way      *way               // of the provider's requests
	discover func() (provider.Support, error)
	info     func() (session.Info, error)
	probed   func() probed // what the authorization endpoint thinks of a login; only for where askable lets it be asked
}

// Run makes checks at the same time, and calls found with what they find, in the order of the checks. It returns the
// worst state.
func Run(ctx context.Context, s Subject, checks []Check, found func(Finding)) State {
	x := s.examine(ctx)
	if x.way != nil {
		defer x.way.close()
	}
	results := make([]chan []Finding, len(checks))
	for i, c := range checks {
		results[i] = make(chan []Finding, 1)
		go func() {
			limited, cancel := context.WithTimeout(ctx, checkLimit)
			defer cancel()
			results[i] <- c.run(limited, x)
		}()
	}
	worst := OK
	for i := range checks {
		for _, f := range <-results[i] {
			if f.Name == "" {
				f.Name = checks[i].Name
			}
			if f.State == Broken || f.State == Warning && worst != Broken {
				worst = f.State
			}
			found(f)
		}
	}
	return worst
}

// examine prepares the checks.
func (s Subject) examine(ctx context.Context) *examination {
	x := &examination{Subject: s}
	x.info = sync.OnceValues(func() (session.Info, error) {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		defer cancel()
		return s.Session.Info(limited)
	})
	if s.Config == nil || s.Config.Complete() != nil {
		return x
	}
	client := provider.NewHTTPClient()
	x.way = &way{transport: client.Transport.(*http.Transport)}
	client.Transport = x.way
	asked := config.ProviderOf(s.Config.Client)
	asked.HTTPClient = client
	asked.DPoP = false // no token is asked for, so nothing needs a proof
	p, err := provider.New(asked)
	if err != nil { // the configuration was checked
		x.way = nil
		return x
	}
	x.provider = p
	x.discover = sync.OnceValues(func() (provider.Support, error) {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		defer cancel()
		return p.Support(limited)
	})
	x.probed = sync.OnceValue(func() probed {
		limited, cancel := context.WithTimeout(ctx, checkLimit)
		defer cancel()
		return x.probe(limited)
	})
	return x
}

// one returns a single finding.
func one(state State, message string) []Finding { return []Finding{{State: state, Message: message}} }

// because returns a single finding with its reason.
func because(state State, reason Reason, message string) []Finding {
	return []Finding{{State: state, Reason: reason, Message: message}}
}

// noProvider says why nothing of the provider can be checked.
const noProvider = "this needs an issuer and a client ID"

// noDiscovery says why something of the provider can't be checked.
const noDiscovery = "the provider's metadata is needed first"
