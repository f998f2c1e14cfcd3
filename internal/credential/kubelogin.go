package credential

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/words"
)

// A Kubelogin is a command line of kubelogin's get-token (github.com/int128/kubelogin), as a kubeconfig has it.
type Kubelogin struct {
	Kubernetes
	Issuer, ClientID string
	ExtraScopes      []string
	Params           []string // of the authorization request: NAME=VALUE
	Device           bool     // log in with a code on another device
	NoBrowser        bool
	BrowserCommand   string // a program that gets the URL as its argument; "": the person's own browser
	Timeout          time.Duration

	grant      string
	seconds    int
	unfollowed map[string]*string // the values of flags that loopkey does not follow
	passedOver []kubeloginFlag
}

// A kubeloginFlag is a flag of kubelogin's that loopkey does not follow.
type kubeloginFlag struct {
	name    string
	bare    bool   // the flag needs no value
	refused bool   // else it is passed over
	why     string // what to do instead, or why nothing is to be done; "": nothing is said
}

// unfollowed is the table of these flags. The linker makes it, so it costs nothing when loopkey starts.
var unfollowed = [...]kubeloginFlag{
	{name: "insecure-skip-tls-verify", bare: true, refused: true,
		why: "loopkey believes no unverified provider: name its certificate authority in SSL_CERT_FILE"},
	{name: "username", refused: true, why: "loopkey asks for no passwords: people log in in the browser"},
	{name: "password", refused: true, why: "loopkey asks for no passwords: people log in in the browser"},
	{name: "oidc-client-secret", why: "client_secret_file of the profile has it, where no other user can see it"},
	{name: "token-cache-dir", why: "the session is in the keystore"},
	{name: "token-cache-storage", why: "the session is in the keystore"},
	{name: "listen-address", why: "base_url of the profile says where a login comes back"},
	{name: "listen-port", why: "base_url of the profile says where a login comes back"},
	{name: "oidc-redirect-url", why: "base_url of the profile says where a login comes back"},
	{name: "oidc-redirect-url-hostname", why: "base_url of the profile says where a login comes back"},
	{name: "oidc-redirect-url-authcode-keyboard", why: "base_url of the profile says where a login comes back"},
	{name: "local-server-cert", why: "a login comes back to plain http on this machine"},
	{name: "local-server-key", why: "a login comes back to plain http on this machine"},
	{name: "open-url-after-authentication", why: "loopkey shows a page of its own"},
	{name: "oidc-request-header", why: "loopkey sends none of its own"},
	{name: "certificate-authority", why: "SSL_CERT_FILE names it"},
	{name: "certificate-authority-data", why: "SSL_CERT_FILE names it"},
	{name: "tls-renegotiation-once", bare: true, why: "no provider needs it"},
	{name: "tls-renegotiation-freely", bare: true, why: "no provider needs it"},
	{name: "oidc-use-pkce", bare: true},
	{name: "oidc-pkce-method"},
	{name: "v"}, {name: "logtostderr", bare: true}, {name: "alsologtostderr", bare: true}, {name: "stderrthreshold"},
	{name: "vmodule"}, {name: "skip_headers", bare: true}, {name: "add_dir_header", bare: true}, {name: "log_dir"},
	{name: "log_file"}, {name: "log_file_max_size"}, {name: "log_backtrace_at"}, {name: "one_output", bare: true},
	{name: "skip_log_headers", bare: true},
}

// Flags adds kubelogin's flags to a set.
func (k *Kubelogin) Flags(set *pflag.FlagSet) {
	set.SortFlags = false
	set.SetOutput(io.Discard)
	set.StringVar(&k.Issuer, "oidc-issuer-url", "", "the provider, whose session is meant")
	set.StringVar(&k.ClientID, "oidc-client-id", "", "the client, whose session is meant")
	set.StringSliceVar(&k.ExtraScopes, "oidc-extra-scope", nil, "a further scope of a login")
	set.BoolVar(&k.AccessToken, "oidc-use-access-token", false, "hand out the access token, not the ID token")
	set.BoolVar(&k.Force, "force-refresh", false, "renew even a good token")
	set.StringVar(&k.grant, "grant-type", "auto", "auto, authcode, authcode-keyboard or device-code")
	set.BoolVar(&k.NoBrowser, "skip-open-browser", false, "a login prints its URL instead of opening it")
	set.StringVar(&k.BrowserCommand, "browser-command", "", "the program that opens the URL of a login")
	set.IntVar(&k.seconds, "authentication-timeout-sec", 180, "how long a login waits, in seconds")
	set.StringSliceVar(&k.Params, "oidc-auth-request-extra-params", nil, "NAME=VALUE, a further parameter of a login")
	k.unfollowed = map[string]*string{}
	for _, f := range unfollowed {
		short, unset := "", ""
		if f.name == "v" {
			short = "v"
		}
		if f.bare {
			unset = "false"
		}
		k.unfollowed[f.name] = set.StringP(f.name, short, unset, "")
		if f.bare {
			set.Lookup(f.name).NoOptDefVal = "true"
		}
		_ = set.MarkHidden(f.name) // the flag was just added
	}
}

// Check reads what the set has parsed. Flags that would weaken a check, or ask for another kind of login than loopkey
// makes, are refused by name.
func (k *Kubelogin) Check(set *pflag.FlagSet) error {
	if args := set.Args(); len(args) > 0 {
		return fmt.Errorf("%w: get-token takes no argument %q", ErrInput, words.Printable(args[0]))
	}
	for _, f := range unfollowed {
		value := *k.unfollowed[f.name]
		switch {
		case value == "" || value == "false":
		case f.refused:
			return fmt.Errorf("%w: --%s of kubelogin: %s", ErrInput, f.name, f.why)
		case f.why != "":
			k.passedOver = append(k.passedOver, f)
		}
	}
	switch k.grant {
	case "auto", "authcode":
	case "authcode-keyboard":
		k.NoBrowser = true
	case "device-code":
		k.Device = true
	default:
		return fmt.Errorf("%w: --grant-type of kubelogin is %q: loopkey has auto, authcode, authcode-keyboard and "+
			"device-code", ErrInput, words.Printable(k.grant))
	}
	switch {
	case k.Issuer == "":
		return fmt.Errorf("%w: --oidc-issuer-url is missing", ErrInput)
	case k.ClientID == "":
		return fmt.Errorf("%w: --oidc-client-id is missing", ErrInput)
	case k.seconds <= 0:
		return fmt.Errorf("%w: --authentication-timeout-sec must be positive", ErrInput)
	}
	k.Timeout = time.Duration(k.seconds) * time.Second
	return nil
}

// Ignored says, on one line, which flags were given and have no effect, and why; "": all have theirs.
func (k *Kubelogin) Ignored() string {
	var flags []string
	for i, f := range k.passedOver {
		if next := slices.IndexFunc(k.passedOver[i+1:], func(o kubeloginFlag) bool { return o.why == f.why }); next >= 0 {
			flags = append(flags, "--"+f.name) // the reason follows the last one
			continue
		}
		flags = append(flags, "--"+f.name+" ("+f.why+")")
	}
	if len(flags) == 0 {
		return ""
	}
	return "ignored: " + strings.Join(flags, ", ")
}
