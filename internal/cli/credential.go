package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/clock"
	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/credential"
)

// A protocol is a row of the table of the protocols that `loopkey credential` speaks.
type protocol struct {
	name  string // of the tool
	use   string
	short string
	run   func(context.Context, credential.Call) error
	more  func(*cobra.Command) // adds flags and commands that only this protocol has; nil: none
	late  bool                 // each request brings arguments of loopkey: the configuration is read then
}

// protocols returns the table.
func (a *app) protocols() []protocol {
	var k credential.Kubernetes
	var aws credential.AWS
	var python credential.Python
	return []protocol{
		{"git", "git OPERATION", "Be a credential helper of git", credential.Git, nil, false},
		{"docker", "docker OPERATION", "Be a credential helper of docker", credential.Docker, nil, false},
		{"go", "go [URL]", "Be a GOAUTH command of go", credential.Go, nil, false},
		{"bazel", "bazel get", "Be a credential helper of Bazel", credential.Bazel, nil, false},
		{
			"terraform", "terraform OPERATION HOST", "Be a credentials helper of Terraform and OpenTofu",
			credential.Terraform, nil, false,
		},
		{"cargo", "cargo", "Be a credential provider of cargo", credential.Cargo, nil, true},
		{"kubernetes", "kubernetes", "Be a credential plugin of kubectl", k.Run, func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&k.AccessToken, "access-token", false, "hand out the access token, not the ID token")
			cmd.AddCommand(a.kubelogin())
		}, false},
		{"aws", "aws --role-arn ARN", "Be a credential_process of the AWS SDKs", aws.Run, awsFlags(&aws), false},
		{"google", "google", "Be the executable of a Google external account", credential.Google, nil, false},
		{"python", "python get URL [USERNAME]", "Be the keyring of pip and uv", python.Run, func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&python.Mode, "mode", "password", "password, or creds: the username on a line before it")
		}, false},
	}
}

// Arguments returns the arguments for Main that a command line stands for. Some tools run a program of a certain name
// and give it no arguments, so loopkey has to be told by its own name what it is.
func Arguments(argv []string) []string { return credential.Arguments(argv) }

func (a *app) credential() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential TOOL",
		Short: "Hand a tool a credential, in the tool's own protocol",
		Long: `Tools run this, not people: each names a helper in its own configuration, which
loopkey setup TOOL shows. A tool gets a token only for a host that the profile
lists under [[profile.NAME.hosts]].`,
		Example: `  git config --global credential.https://git.example.com.helper '!loopkey credential git'`,
		Args: func(_ *cobra.Command, args []string) error {
			var names []string
			for _, p := range a.protocols() {
				names = append(names, p.name)
			}
			return noTool("credential", args, names)
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	minLifetime := cmd.PersistentFlags().Duration("min-ttl", time.Minute, "renew a token that has less left")
	for _, p := range a.protocols() {
		tool := &cobra.Command{
			Use:   p.use,
			Short: p.short,
			Args:  cobra.ArbitraryArgs,
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.runCredential(cmd.Context(), toolCall{
					tool: p.name, run: p.run, args: args, configure: a.configure,
					late: p.late, minLifetime: *minLifetime, login: loginFlags{timeout: toolLoginLimit},
				})
			},
		}
		if p.more != nil {
			p.more(tool)
		}
		cmd.AddCommand(tool)
	}
	return cmd
}

// noTool is the error of a command line that names no tool, or one that there is not.
func noTool(command string, args, names []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: %s needs a tool: there are %s", errUsage, command, strings.Join(names, ", "))
	}
	if meant := similar(args[0], names); meant != "" {
		return fmt.Errorf("%w: there is no tool %q: did you mean loopkey %s %s?", errUsage, args[0], command, meant)
	}
	return fmt.Errorf("%w: there is no tool %q: there are %s", errUsage, args[0], strings.Join(names, ", "))
}

// A toolCall is one run of a helper.
type toolCall struct {
	tool        string
	run         func(context.Context, credential.Call) error
	args        []string
	configure   func() (*config.Config, error)
	minLifetime time.Duration
	late        bool       // the configuration is read for each request, not by configure
	login       loginFlags // of a login that the protocol allows
}

// runCredential runs the helper of a protocol. What the folder's .env says does not count: tools run helpers wherever
// they are at work, also in a repository of somebody else.
func (a *app) runCredential(ctx context.Context, t toolCall) error {
	a.isolated = true
	err := tokenFlags{minLifetime: t.minLifetime}.check()
	if err == nil {
		err = a.speak(ctx, t)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	reply := credential.ReplyTo(t.tool, err)
	if errors.Is(err, config.ErrInvalid) || errors.Is(err, errUsage) { // then it is not known which hosts are listed
		reply = credential.ReplyTo(t.tool, credential.ErrMisconfigured)
	}
	sentence, code := a.explain(err)
	if reply.Stdout != "" {
		said := "loopkey: " + sentence
		quoted, _ := json.Marshal(said) // a string can always be marshalled
		words := strings.NewReplacer("{sentence}", said, "{quoted}", string(quoted))
		_, _ = words.WriteString(a.stdout, reply.Stdout)
	}
	if !reply.Silent {
		a.say("loopkey: %s", sentence)
	}
	if reply.Exit != credential.UsualExit {
		code = reply.Exit
	}
	return &exitError{code: code}
}

func (a *app) speak(ctx context.Context, t toolCall) error {
	if t.late {
		return t.run(ctx, credential.Call{
			Args: t.args, Stdin: a.stdin, Stdout: a.stdout,
			With:    func(args []string) (credential.Call, error) { return a.callWith(t, args) },
			Explain: func(err error) string { sentence, _ := a.explain(err); return sentence },
		})
	}
	call, err := a.call(t)
	if err != nil {
		return err
	}
	return t.run(ctx, call)
}

// call returns what a helper works with. After an error it can still explain.
func (a *app) call(t toolCall) (credential.Call, error) {
	began := clock.Now()
	cfg, err := t.configure()
	call := credential.Call{
		Args: t.args, Lookup: a.lookup, Stdin: a.stdin, Stdout: a.stdout, Version: version(),
		Tokens:      func() (credential.Tokens, error) { return a.tokensOf(cfg, "credential "+t.tool) },
		MinLifetime: t.minLifetime,
		Now:         clock.Now,
		Explain:     func(err error) string { sentence, _ := a.explain(err); return sentence },
		LogIn: func(ctx context.Context, why error) error {
			return a.logInForTool(ctx, cfg, t.login, began, why)
		},
	}
	if err == nil {
		call.Hosts = cfg.Hosts
	}
	return call, err
}

// callWith returns what a helper works with for a request that brings arguments of loopkey.
func (a *app) callWith(t toolCall, args []string) (credential.Call, error) {
	b := *a // each request has arguments of its own
	b.flags = maps.Clone(a.flags)
	flags := pflag.NewFlagSet(t.tool, pflag.ContinueOnError)
	b.configFlags(flags)
	flags.DurationVar(&t.minLifetime, "min-ttl", t.minLifetime, "")
	wrong := flags.Parse(args)
	if wrong == nil && flags.NArg() > 0 {
		wrong = fmt.Errorf("loopkey takes no argument %q from %s", flags.Arg(0), t.tool)
	}
	if wrong == nil {
		wrong = tokenFlags{minLifetime: t.minLifetime}.check()
	}
	t.configure = func() (*config.Config, error) {
		if wrong != nil {
			return nil, usageError(wrong)
		}
		return b.configure()
	}
	return b.call(t)
}

// tokensOf opens the session that tools get tokens of, or the way to the agent that has it.
func (a *app) tokensOf(cfg *config.Config, tool string) (credential.Tokens, error) {
	source, cfg, err := a.sourceOf(cfg)
	if err != nil {
		return nil, err
	}
	if err := cfg.Needs("audience"); err != nil {
		return nil, err
	}
	return credential.Session{Source: source, Audience: cfg.Audience, Note: a.recorder(cfg, tool, "").noteFor}, nil
}
