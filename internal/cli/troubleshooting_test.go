package cli

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/handoff"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/localhost"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/mcp"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/upstream"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/loopback"
	"github.com/loopkey/loopkey/provider"
	"github.com/loopkey/loopkey/session"
)

var update = flag.Bool("update", false, "write docs/troubleshooting.md again")

// docs/troubleshooting.md has all rows of the table of advice, each with what the library's own words say happened.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("some rows say something else here")
	}
	const path = "../../docs/troubleshooting.md"
	want := troubleshooting(t)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table says: go test ./internal/cli -run TestTroubleshooting -update", path)
	}
}

// troubleshooting writes the page: a heading for each section of the table, and a line for each row.
func troubleshooting(t *testing.T) string {
	t.Helper()
	at := situation{config: &config.Config{File: "config.toml"}}
	at.config.Profile, at.session = "NAME", true
	at.config.BaseURL, at.config.ClientID, at.config.Issuer = localurl.Default, "CLIENT-ID", "ISSUER"
	sample := provider.Diagnosis{Audience: "AUDIENCE", Issuer: "ISSUER", Proxy: "HOST:PORT", Skew: time.Hour}
	text := func(row advice) string {
		at := at
		if row.about == config.ReasonNoIssuer || row.about == doctor.ReasonIncomplete {
			without := *at.config
			without.Issuer, at.config = "", &without
		}
		if slices.Contains([]any{mcp.ErrLoginNeeded, mcp.ErrTokenRefused, mcp.ErrScopeRefused}, row.about) {
			at.server = "URL"
		}
		subject := "PATH"
		if strings.Contains(row.text, "{setting}") {
			subject = "SETTING"
		}
		if strings.Contains(row.text, "{entry}") {
			subject = "HOST"
		}
		filled := strings.ReplaceAll(at.fill(row.about, sample, subject), "{scopes}", "SCOPES")
		if strings.ContainsAny(filled, "{}") {
			t.Errorf("a part of %q is not filled in", filled)
		}
		filled = strings.ReplaceAll(filled, "\n ", "") // lines of config.toml
		return markdown.Replace(sentence(strings.TrimSuffix(filled, ".")))
	}
	comments := reasonComments(t)
	var page strings.Builder
	page.WriteString("# Troubleshooting\n\nWhat failed, and what to do next, as loopkey says it after the colon. " +
		"loopkey fills in what it knows: the line to run has\nthe flags that you gave. " +
		"`loopkey doctor` looks for all of it at once. " +
		"A test writes this page from the table in `internal/cli/advice.go`.\n")
	for _, row := range advices() {
		if title, ok := row.about.(section); ok {
			page.WriteString("\n## " + string(title) + "\n\n")
			continue
		}
		happened := cause(row.about, comments)
		if happened == "" {
			t.Errorf("no comment says what %v is", row.about)
		}
		line := "- **" + markdown.Replace(sentence(happened)) + ".** " + text(row) + "."
		if row.auth0 != "" {
			at.auth0 = true
			line += " At Auth0: " + text(row) + "."
			at.auth0 = false
		}
		page.WriteString(strings.ReplaceAll(line, "?.", "?") + "\n")
	}
	return page.String()
}

// sentence returns text with a capital at its beginning, but where the name of the command is there.
func sentence(text string) string {
	if strings.HasPrefix(text, "loopkey ") {
		return text
	}
	return words.Sentence(text)
}

var markdown = strings.NewReplacer("*", `\*`, "_", `\_`, "[", `\[`, "<", `\<`)

// cause returns what happened, by the error's own words or by the comment at the reason's declaration.
func cause(about any, comments map[string]string) string {
	err, ok := about.(error)
	if !ok {
		return comments[fmt.Sprintf("%T %v", about, about)]
	}
	for _, sample := range []error{
		&session.AudienceError{Audience: "AUDIENCE"}, &session.ScopeError{Missing: "SCOPE", Granted: "SCOPES"},
		&session.StepUpError{Request: session.Request{Need: provider.Requirement{ACR: "ACR"}}},
		&loopback.PortTakenError{Port: localurl.BasePort(localurl.Default)},
		&loopback.WindowError{Browser: "BROWSER"},
		&loopback.PortsTakenError{Errs: []error{&loopback.PortTakenError{Port: 3000}, &loopback.PortTakenError{Port: 3001}}},
		&handoff.SetupError{Name: "keystore", There: "file"},
		&credential.UnlistedError{Server: hosts.Origin{Scheme: "https", Name: "HOST", Port: 443}},
		&otherServeError{flags: []string{"--pages DIR"}},
	} {
		if reflect.TypeOf(sample) == reflect.TypeOf(about) {
			return sample.Error()
		}
	}
	text := words.Printable(err.Error())
	if errors.Is(err, session.ErrLockFolder) {
		return text + " FOLDER"
	}
	if subject := subjects[err]; subject != "" {
		return subject + ": " + text
	}
	return text
}

// subjects are what errors are about that begin with "it".
var subjects = map[error]string{
	upstream.ErrRemote: "--upstream", upstream.ErrForeign: "--upstream", upstream.ErrCertificate: "--upstream",
	upstream.ErrUnencrypted: "--upstream", upstream.ErrOwnServer: "--upstream", upstream.ErrQuery: "--upstream",
	upstream.ErrURL:  "--upstream",
	upstream.ErrDown: "--upstream", upstream.ErrNoToken: "--upstream",
	localhost.ErrSocketAnswered: "--socket", localhost.ErrNoSocket: "--socket", localhost.ErrSocketPlace: "--socket",
	private.ErrHomeOfAnother: "a folder of loopkey", private.ErrLinkOfAnother: "a folder of loopkey",
	private.ErrFolderOfAnother: "a folder of loopkey", private.ErrWritableByOthers: "a folder of loopkey",
	errRevokedTogether: "with --device",
}

// reasonComments returns the comments at the declarations of all reasons, by their type and value.
func reasonComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	for _, folder := range []string{
		"provider", "keystore", "session", "internal/agent", "internal/sharedstore", "internal/login", "internal/config",
		"internal/cli", "internal/doctor", "internal/clientkey",
	} {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range file.Decls {
				group, ok := decl.(*ast.GenDecl)
				if !ok || group.Tok != token.CONST {
					continue
				}
				for _, spec := range group.Specs {
					s := spec.(*ast.ValueSpec)
					if s.Type == nil || len(s.Values) == 0 {
						continue
					}
					kind := file.Name.Name + "." + types.ExprString(s.Type)
					if strings.Contains(types.ExprString(s.Type), ".") {
						kind = types.ExprString(s.Type)
					}
					literal, ok := s.Values[0].(*ast.BasicLit)
					if !ok {
						continue
					}
					value, _ := strconv.Unquote(literal.Value)
					comments[kind+" "+value] = about(cmp.Or(s.Comment.Text(), s.Doc.Text(), group.Doc.Text()))
				}
			}
		}
	}
	return comments
}

// about returns the first sentence of a comment, without names of Go's.
func about(comment string) string {
	text, _, _ := strings.Cut(strings.Join(strings.Fields(comment), " "), ". ")
	text = regexp.MustCompile(`^\w+ says that `).ReplaceAllString(text, "")
	text = regexp.MustCompile(`([,:] by|[,:])? Diagnosis\.\w+| \([A-Z]\w+\.\w+\)`).ReplaceAllString(text, "")
	return strings.TrimSuffix(text, ".")
}
