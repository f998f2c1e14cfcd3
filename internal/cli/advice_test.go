package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/upstream"
	"github.com/loopkey/loopkey/keystore"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
	"github.com/loopkey/loopkey/webui"
)

// The setting, flag or command that the advice about an error names.
func TestAdvice(t *testing.T) {
	t.Parallel()
	refused := func(reason provider.Reason) error { return &provider.RefusedError{Reason: reason} }
	untrusted := func(reason provider.Reason, skew time.Duration) error {
		return &provider.UntrustedError{Check: provider.ErrIssuedAt, Reason: reason, Skew: skew}
	}
	notRenewed := &provider.AudienceError{Asked: "https://api", Reason: provider.ReasonAudienceNotRenewed}
	otherIssuer := &provider.UntrustedError{
		Check: provider.ErrIssuer, Reason: provider.ReasonIssuerName, Issuer: "https://x/",
	}
	wantsLogin := &provider.UnreachableError{Reason: provider.ReasonProxyLogin, Proxy: "proxy:3128"}
	unknownClient := func(methods string) error {
		return diagnosed{provider.Diagnosis{Reason: provider.ReasonClientSecretMissing, Methods: methods}}
	}
	for _, c := range []struct {
		err   error
		auth0 bool
		words string
	}{
		{refused(provider.ReasonUnknownAPI), true, "the API identifier is not registered"},
		{refused(provider.ReasonDeclined), true, "declined"},
		{refused(provider.ReasonOrganization), true, "member"},
		{refused(provider.ReasonOrganization), true, "--organization"},
		{refused(provider.ReasonCallbackNotAllowed), true, "Allowed Callback URLs (Dashboard →"},
		{refused(provider.ReasonCallbackNotAllowed), false, "URLs (the application's settings at the provider)"},
		{refused(provider.ReasonGrantNotAllowed), true, "Grant Types"},
		{refused(provider.ReasonClientSecretMissing), true, "Native"},
		{refused(provider.ReasonClientSecretWrong), true, "check the client secret"},
		{unknownClient("none private_key_jwt"), false, "or give the client's key with --client-key (the app"},
		{unknownClient("private_key_jwt client_secret_post"), false, "-secret-file, or the client's key with --client-key"},
		{unknownClient("tls_client_auth"), true, "Native, or give the client's certificate with --client-certificate"},
		{unknownClient(""), false, "or give the client secret with --client-secret-file (the"},
		{refused(provider.ReasonInteractionRequired), true, "prompt"},
		{refused(provider.ReasonInteractionRequired), true, "consent"},
		{refused(provider.ReasonScope), true, "--scope"},
		{refused(provider.ReasonTarget), true, "--audience"},
		{refused(provider.ReasonInvalidGrant), true, "loopkey login"},
		{untrusted(provider.ReasonClockBehind, 12*time.Minute), false, "12m behind the provider's"},
		{untrusted(provider.ReasonClockAhead, -3*time.Hour), false, "3h0m ahead of the provider's"},
		{untrusted(provider.ReasonClockAhead, -48*time.Hour), false, "48h0m ahead of the provider's"},
		{notRenewed, true, "Dashboard"},
		{notRenewed, false, "run loopkey login --audience https://api"},
		{&session.AudienceError{Audience: "https://api"}, true, "run loopkey login --audience https://api"},
		{otherIssuer, false, "use --issuer https://x/"},
		{&provider.UnreachableError{Reason: provider.ReasonUnknownAuthority}, false, "SSL_CERT_FILE"},
		{wantsLogin, false, "user:password@proxy:3128"},
		{errRevokedTogether, false, "loopkey login --device"},
		{fmt.Errorf("%w: %w", errDeviceTimeout, wantsLogin), false, "user:password@proxy:3128"},
		{fmt.Errorf("profile %q: %w", "work", refused(provider.ReasonScope)), false, "--scope"},
		{fmt.Errorf("upstream 192.0.2.1: %w", upstream.ErrRemote), false, "--allow-remote-upstream"},
		{upstream.ErrForeign, false, "--allow-remote-upstream"},
		{upstream.ErrCertificate, false, "SSL_CERT_FILE"},
		{upstream.ErrDown, false, "--upstream"},
		{handoff.ErrOtherSession, false, "--port 3001"},
		{webui.ErrLinkUsed, false, "loopkey serve"},
		{webui.ErrUnknownBrowser, false, "loopkey serve"},
		{handoff.ErrSilent, false, "loopkey serve"},
		{refused(""), false, ""},
	} {
		got := situation{auth0: c.auth0}.advice(c.err)
		if !strings.Contains(got, c.words) || c.words == "" && got != "" || strings.ContainsAny(got, "{}") {
			t.Errorf("%v: %q does not say %q", c.err, got, c.words)
		}
	}
}

// A diagnosed error is as one that another process met.
type diagnosed struct{ d provider.Diagnosis }

func (diagnosed) Error() string                   { return "the provider refused: invalid_client" }
func (e diagnosed) Diagnosis() provider.Diagnosis { return e.d }

// A client secret that the provider refuses may stand before the key that was meant.
func TestAdviceAboutSecretBesideKey(t *testing.T) {
	t.Parallel()
	at := situation{config: &config.Config{}}
	at.config.ClientKey = "/key.pem"
	err := &provider.RefusedError{Reason: provider.ReasonClientSecretWrong}
	if got := at.advice(err); !strings.Contains(got, "which comes before the client key that is configured") {
		t.Error(got)
	}
}

// Advice that belongs to no error of a library.
func TestAdviceOfCommands(t *testing.T) {
	t.Parallel()
	at := situation{config: &config.Config{}}
	at.config.BaseURL = "http://localhost:3000/"
	serving := situation{
		command: "serve", flags: map[string]string{"profile": "work"}, serving: []string{"--pages /a", "--no-browser"},
	}
	for _, c := range []struct {
		at    situation
		about any
		want  string
	}{
		{at, reasonMaybeCallback, "if it showed a callback URL mismatch, add http://localhost:3000/auth/callback to " +
			"Allowed Callback URLs: the application's settings at the provider"},
		{at, doctor.ReasonNoRefreshToken, "try loopkey login --prompt consent"},
		{situation{auth0: true}, doctor.ReasonNoRefreshToken, "switch on Allow Offline Access (Dashboard → " +
			"Applications → APIs → your API → Settings), and Refresh Token among the application's grant types"},
		{situation{}, session.ErrNotLoggedIn, "run loopkey login"},
		{serving, handoff.ErrSilent, "end it, and run loopkey serve -p work --pages /a --no-browser anew"},
		{serving, webui.ErrLinkUsed, "run loopkey serve -p work again in a terminal for a new one, or log in here"},
		{at, session.ErrNotLoggedIn, "run loopkey setup, or give --domain (or --issuer) and --client-id"},
		{at, provider.Reason(""), ""},
		{at, reason("of nothing"), ""},
	} {
		if got := c.at.sentence(c.about); got != c.want {
			t.Errorf("%v: %q, not %q", c.about, got, c.want)
		}
	}
}

// The line to run has the flags that were given, as a shell reads them, and each once.
func TestAdviceLine(t *testing.T) {
	t.Parallel()
	at := situation{command: "token", flags: map[string]string{
		"profile": "work", "audience": "https://a b/", "client-secret-file": "/it's/here", "scope": "read:x",
	}}
	byCode := situation{command: "login", params: []string{"--device"}}
	for _, c := range []struct{ got, want string }{
		{at.line("login"), `loopkey login --client-secret-file '/it'\''s/here' --audience 'https://a b/' -p work`},
		{at.line("login", "audience", "x"), `loopkey login --client-secret-file '/it'\''s/here' --audience x -p work`},
		{at.line("logout"), `loopkey logout --client-secret-file '/it'\''s/here' -p work`},
		{at.line("token", "profile", "home", "client-secret-file", ""),
			`loopkey token --audience 'https://a b/' --scope read:x -p home`},
		{ofProfile(t, "work").line("login"), "loopkey login -p work"},
		{situation{}.line("login", "keystore", "file"), "loopkey login --keystore file"},
		{byCode.login("--dpop"), "loopkey login --device --dpop"},
		{byCode.login("--prompt consent"), "loopkey login --prompt consent"},
		{byCode.login("--device"), "loopkey login --device"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

// ofProfile is the situation of one session among several, whose profile the person did not name.
func ofProfile(t *testing.T, name string) situation {
	t.Helper()
	cfg, err := config.Load(config.Input{
		Flags: map[string]string{"profile": name}, Environ: []string{private.HomeVariable() + "=" + t.TempDir()}, Alone: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return situation{command: "logout", config: cfg}
}

func TestSimilar(t *testing.T) {
	t.Parallel()
	names := []string{"login", "logout", "status", "whoami", "serve", "x"}
	for word, want := range map[string]string{
		"logni": "login", "logot": "logout", "whoam": "whoami", "statusse": "status", "sevre": "serve",
		"": "", "y": "", "kubernetes": "", "login": "",
	} {
		if got := similar(word, names); got != want {
			t.Errorf("%q: %q, not %q", word, got, want)
		}
	}
}

// What the provider says in its own words can steer no terminal as part of an advice.
func TestAdviceIsPrintable(t *testing.T) {
	t.Parallel()
	const steering = "\x1b[31m\u202ered"
	for _, err := range []error{
		&provider.UntrustedError{Check: provider.ErrIssuer, Reason: provider.ReasonIssuerName, Issuer: steering},
		&provider.AudienceError{Asked: steering, Reason: provider.ReasonAudienceNotRenewed},
		&provider.UnreachableError{Reason: provider.ReasonProxyLogin, Proxy: steering},
	} {
		got := situation{}.advice(err)
		if !strings.Contains(got, "red") || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%T: %q", err, got)
		}
	}
}

// Each reason that a library declares has one row.
func TestAdviceIsComplete(t *testing.T) {
	t.Parallel()
	rows := map[any]int{}
	for _, row := range advices() {
		if _, heading := row.about.(section); heading {
			continue
		}
		rows[row.about]++
		if rows[row.about] > 1 || row.text == "" {
			t.Errorf("%v has %d rows, or no text", row.about, rows[row.about])
		}
	}
	for reason, name := range declared(t, "../../provider/reason.go") {
		if rows[provider.Reason(reason)] != 1 {
			t.Errorf("%s has no row", name)
		}
	}
	for reason, name := range declared(t, "../../internal/config/reason.go") {
		if rows[config.Reason(reason)] != 1 {
			t.Errorf("%s has no row", name)
		}
	}
	for reason, name := range declared(t, "../doctor/reason.go") {
		if rows[doctor.Reason(reason)] != 1 {
			t.Errorf("%s has no row", name)
		}
	}
	for reason, name := range declared(t, "../../keystore/reason.go") {
		if rows[keystore.Reason(reason)] != 1 {
			t.Errorf("%s has no row", name)
		}
	}
}

// Each reason why a folder is refused, or a lock, has its own way out.
func TestAdviceAboutFolders(t *testing.T) {
	t.Parallel()
	for reason, want := range map[error]string{
		private.ErrHomeOfAnother: "without sudo", private.ErrLinkOfAnother: "remove it",
		private.ErrFolderOfAnother: "as that user", private.ErrWritableByOthers: "chmod 700 /state",
	} {
		err := fmt.Errorf("the session's lock: %w", &private.FolderError{Path: "/state", Why: "is not yours", Reason: reason})
		if got := (situation{}).advice(err); !strings.Contains(got, want) {
			t.Errorf("%v: got %q", reason, got)
		}
	}
	for err, want := range map[error]string{
		session.ErrNoLocks: private.StateVariable(), session.ErrLockInTheWay: "move it",
		session.ErrLockFolder: "can be written", session.ErrTooFewFiles: "ulimit -n",
		&keystore.UnavailableError{Reason: keystore.ReasonUnreadable, Err: syscall.EMFILE}: "ulimit -n",
		session.ErrUnfinished: "run it again", session.ErrStale: "clock",
	} {
		if got := (situation{}).advice(fmt.Errorf("profile %q: %w", "default", err)); !strings.Contains(got, want) {
			t.Errorf("%v: got %q", err, got)
		}
	}
}

// A configuration that can't be used says what to do about it, and names the flag or the file.
func TestAdviceAboutConfigurations(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	path := filepath.Join(home, "config.toml")
	if err := os.WriteFile(path, []byte("[profile.default]\nclient_secret = 's'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	ofHome := []string{private.HomeVariable() + "=" + home}
	for want, in := range map[string]config.Input{
		"set " + private.HomeVariable(): {Environ: []string{"LOOPKEY_ISSUER=https://a.example.com"}},
		"use --scope":                   {Environ: ofHome, Params: []string{"scope=openid"}},
		"leave it out":                  {Environ: ofHome, Params: []string{"state=x"}},
		"run loopkey setup, or give --domain (or --issuer) and --client-id": {Environ: ofHome},
		"run loopkey setup, or give --client-id": {
			Environ: append(ofHome, "LOOPKEY_ISSUER=https://a.example.com"),
		},
		"give one": {
			Environ: ofHome, Flags: map[string]string{"domain": "a.auth0.com", "issuer": "https://b.example.com"},
		},
		"LOOPKEY_CONFIG names it: unset that": {Environ: append(ofHome, "LOOPKEY_CONFIG="+path+".not")},
		"run chmod 600 " + path:               {Environ: append(ofHome, "LOOPKEY_CONFIG="+path)},
	} {
		if runtime.GOOS == "windows" && strings.Contains(want, "chmod") { // it keeps no such mode
			continue
		}
		cfg, err := config.Load(in)
		if err == nil {
			err = cfg.Complete()
		}
		if got := (situation{config: cfg}).advice(err); !strings.Contains(got, want) {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

// Where the keychain can't be used, an encrypted file is a way out.
func TestAdviceAboutKeychains(t *testing.T) {
	t.Parallel()
	for reason, name := range declared(t, "../../keystore/reason.go") {
		err := &keystore.UnavailableError{Why: "it is so", Reason: keystore.Reason(reason), Path: "/home/ada/\x1b[2J"}
		got := situation{}.advice(fmt.Errorf("profile %q: %w", "work", err))
		switch err.Reason {
		case keystore.ReasonExposedFile:
			if got != "make sure that it is yours, then run chmod 0600 /home/ada/\uFFFD[2J" {
				t.Errorf("%s: %q", name, got)
			}
		case keystore.ReasonNoPassphrase, keystore.ReasonWrongPassphrase, keystore.ReasonNoFolder,
			keystore.ReasonFolderReadOnly, keystore.ReasonUnreadable, keystore.ReasonUnwritable,
			keystore.ReasonUndeletable, keystore.ReasonExposedFolder, keystore.ReasonLink, keystore.ReasonInTheWay,
			keystore.ReasonFileLocked, keystore.ReasonNoRest, keystore.ReasonDamagedKey,
			keystore.ReasonTooLarge: // of the file itself, or of any store
			if strings.Contains(got, "--keystore") {
				t.Errorf("%s: %q", name, got)
			}
		default:
			if !strings.Contains(got, "run loopkey login --keystore file") {
				t.Errorf("%s: %q", name, got)
			}
		}
		if strings.ContainsAny(got, "{}") || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// declared returns the reasons that a source file declares, and the names of their constants.
func declared(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is no literal", spec.Names[0].Name)
		}
		reason, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		reasons[reason] = spec.Names[0].Name
		return true
	})
	if len(reasons) < 8 {
		t.Errorf("%d reasons found in %s", len(reasons), path)
	}
	return reasons
}

// The message about a login without a response says what came in its place, and else what the provider may have shown.
func TestTimedOut(t *testing.T) {
	t.Parallel()
	at := situation{config: &config.Config{}}
	at.config.BaseURL = "http://localhost:3000"
	for _, c := range []struct {
		saw      login.Hindrance
		unlisted []string
		several  bool
		words    string
	}{
		{"", nil, false, "add http://localhost:3000/auth/callback to Allowed Callback URLs"},
		{"", []string{"read:all", "write:all"}, false, "try --scope without read:all write:all"},
		{"", []string{"read:all"}, false, "add http://localhost:3000/auth/callback to Allowed Callback URLs"},
		{login.TLSHello, []string{"read:all"}, true, "put http://127.0.0.1:3000 in place of https://localhost:3000"},
		{login.OtherUser, nil, false, "a browser of your own user"},
		{login.OtherLogin, nil, true, "the tab that was opened last"},
		{"", nil, true, "several audiences at once: run loopkey login --one-audience; if it showed"},
		{"", []string{"read:all"}, true, "try --scope without read:all"},
	} {
		text := at.timedOut(c.saw, c.unlisted, c.several)
		if !strings.Contains(text, c.words) || strings.Contains(text, "{") {
			t.Errorf("%q, %v: %s", c.saw, c.unlisted, text)
		}
		if c.saw != "" && strings.Contains(text, "callback") {
			t.Errorf("%q blames the callback URL: %s", c.saw, text)
		}
	}
}

// The report of a logout that no browser came back to says what came in its place, and else what the provider may lack.
func TestLogoutTimedOut(t *testing.T) {
	t.Parallel()
	at := situation{config: &config.Config{}}
	at.config.BaseURL = "http://localhost:3000"
	for saw, words := range map[login.Hindrance]string{
		"":                ": otherwise",
		login.TLSHello:    ": a browser asked for https here, where only http is served: in the browser's address bar put",
		login.OtherUser:   ": another user of this machine came with the response: open the URL in a browser of your own",
		login.OtherLogout: ": a browser came back from another logout: run loopkey logout",
	} {
		err := fmt.Errorf("%w: %w", login.ErrNoVisit, &login.TimeoutError{Saw: saw})
		if text := at.came(err, ": otherwise"); !strings.HasPrefix(text, words) || strings.Contains(text, "{") {
			t.Errorf("%q: %s", saw, text)
		}
	}
}

// A port that may not be bound is told apart: whether Windows keeps it, or it is for administrators.
func TestPortDenied(t *testing.T) {
	t.Parallel()
	at := situation{config: &config.Config{}}
	reserved := at.advice(&localhost.PortDeniedError{Port: 3000, Reserved: true})
	low := at.advice(&localhost.PortDeniedError{Port: 80})
	if !strings.Contains(reserved, "excludedportrange") || !strings.Contains(low, "administrators") ||
		!strings.Contains(reserved, "--port 3001") || !strings.Contains(low, "--port 3001") {
		t.Errorf("%q, %q", reserved, low)
	}
}
