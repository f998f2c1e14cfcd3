package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/environ"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/private"
	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/words"
)

// setupFlags are the flags of setup.
type setupFlags struct {
	write, undo   bool
	file          string
	name, roleARN string

	from    string // without a tool, as all that follows
	profile profileFlags
}

func (a *app) setup() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup [TOOL [HOST]...]",
		Short: "Set up a profile, or a tool to ask loopkey for credentials",
		Long: `Without TOOL it sets up a profile: it asks for the domain or issuer and the client
ID, checks them, says which URLs belong where at the provider (or adds them there
with the auth0 program, or registers an application), writes the profile, and logs
in. Without a terminal it takes all of it from flags.

With TOOL it prints the lines that belong into the tool's own configuration, and makes the
link by which the tool finds loopkey. With --write it edits that configuration,
after showing what changes; a copy of the file as it was stays beside it. HOST is
a server that gets tokens: without one, those that the profile lists for the tool.
TOOL is one of ` + strings.Join(setup.Names(), ", ") + `.`,
		Example: `  loopkey setup
  loopkey setup --domain acme.eu.auth0.com --client-id s6BhdRkqt3 --no-login
  loopkey setup git git.example.com
  loopkey setup docker registry.example.com -p work --write
  loopkey setup docker --undo`,
		ValidArgs: setup.Names(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && setup.Find(args[0]) == nil {
				return noTool("setup", args, setup.Names())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setupFlagsFit(cmd.Flags(), len(args) > 0); err != nil {
				return err
			}
			if len(args) == 0 {
				f.profile.name = f.name
				if f.from != "" {
					return a.setUpFrom(cmd.Context(), f.from, f.profile)
				}
				return a.setUpProfile(cmd.Context(), f.profile)
			}
			return a.runSetup(cmd.Context(), setup.Find(args[0]), f, args[1:])
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.write, "write", false, "edit the tool's configuration")
	flags.BoolVar(&f.undo, "undo", false, "take loopkey out of the tool's configuration again")
	flags.StringVar(&f.file, "file", "", "the tool's configuration, where it is not in its usual place")
	flags.StringVar(&f.name, "name", "", "what the entry is called: aws's profile, kubectl's user, an MCP server, "+
		"the application at the provider")
	flags.StringVar(&f.roleARN, "role-arn", "", "the role at AWS")
	flags.StringVar(&f.from, "from", "", "a team's loopkey.toml, as a file or an https URL: shown before it is trusted")
	flags.BoolVar(&f.profile.register, "register", false, "make the application at the provider, or add the URLs to it")
	flags.BoolVar(&f.profile.yes, "yes", false, "ask nothing that a yes would do for")
	flags.BoolVar(&f.profile.noLogin, "no-login", false, "do not log in")
	flags.BoolVar(&f.profile.login.noBrowser, "no-browser", false, "print the URL of the login instead of opening it")
	flags.BoolVar(&f.profile.login.device, "device", false, "log in on another device with a code (RFC 8628)")
	return cmd
}

// setupFlagsFit refuses flags of a tool's setup without a tool, and those of a profile's with one.
func setupFlagsFit(flags *pflag.FlagSet, tool bool) error {
	wrong, what := []string{"write", "undo", "file", "role-arn"}, "is for a tool: name it"
	if tool {
		wrong, what = []string{"from", "register", "yes", "no-login", "no-browser", "device"}, "is for setup without a tool"
	}
	for _, name := range wrong {
		if flags.Changed(name) {
			return fmt.Errorf("%w: --%s %s", errUsage, name, what)
		}
	}
	return nil
}

func (a *app) runSetup(ctx context.Context, t *setup.Tool, f setupFlags, args []string) error {
	if f.write && f.undo {
		return fmt.Errorf("%w: --write and --undo contradict each other", errUsage)
	}
	a.isolated = true // what a folder's .env says is not for all folders
	cfg, err := a.configure()
	if err != nil {
		return err
	}
	o, unlisted, err := a.setupOptions(t, f, cfg, args)
	if err != nil {
		return err
	}
	if f.undo {
		return a.undoSetup(ctx, t, o, f.file)
	}
	if path := t.LinkPath(o); path != "" {
		a.makeLink(o.Path, path)
	}
	if len(unlisted) > 0 {
		if err := a.listHosts(cfg, unlisted, f.write); err != nil {
			return err
		}
	}
	return a.applySetup(ctx, t, o, f)
}

// setupOptions returns what the tool is set up for, and the hosts among that which the profile does not list yet.
func (a *app) setupOptions(
	t *setup.Tool, f setupFlags, cfg *config.Config, args []string,
) (o setup.Options, unlisted []string, err error) {
	o = setup.Options{Name: f.name, RoleARN: f.roleARN, Lookup: a.lookup}
	if cfg.ProfileNamed() || cfg.Profile != defaultProfile { // a later `loopkey switch` changes nothing for the tool
		o.Profile = cfg.Profile
	}
	if o.Home = a.lookup(private.HomeVariable()); o.Home == "" {
		return o, nil, fmt.Errorf("%w: there is no folder for the tool's files: set %s", errUsage, private.HomeVariable())
	}
	if o.Program, o.Path, err = ownProgram(); err != nil {
		return o, nil, err
	}
	o.Links = filepath.Dir(o.Path)
	if f.undo {
		return o, nil, nil
	}
	if slices.Contains(t.Needs, "url") {
		if len(args) != 1 {
			return o, nil, fmt.Errorf("%w: setup %s needs the server's URL", errUsage, t.Name)
		}
		o.URL = args[0]
		return o, nil, nil
	}
	if slices.Contains(t.Needs, "role-arn") && f.roleARN == "" {
		return o, nil, fmt.Errorf("%w: setup %s needs --role-arn", errUsage, t.Name)
	}
	for _, arg := range args {
		h, err := hosts.Parse([]any{map[string]any{"host": arg}})
		if err != nil {
			return o, nil, usageError(err)
		}
		o.Hosts = append(o.Hosts, h[0].String())
		listed := func(l hosts.Host) bool { return l.String() == h[0].String() && l.IsFor(t.Name) }
		if !slices.ContainsFunc(cfg.Hosts, listed) {
			unlisted = append(unlisted, h[0].String())
		}
	}
	if len(args) == 0 {
		for i := range cfg.Hosts {
			if cfg.Hosts[i].IsFor(t.Name) {
				o.Hosts = append(o.Hosts, cfg.Hosts[i].String())
			}
		}
	}
	if slices.Contains(t.Needs, "hosts") && len(o.Hosts) == 0 {
		return o, nil, fmt.Errorf("%w: the profile lists no server for %s: run %s %[2]s HOST",
			errUsage, t.Name, a.situation(nil).line("setup"))
	}
	return o, unlisted, nil
}

// ownProgram returns how a tool starts loopkey, and its path: that of the loopkey in PATH, which an upgrade replaces,
// if that is this very program.
func ownProgram() (program, path string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("the path of loopkey: %w", err)
	}
	ours, err := os.Stat(self)
	if err != nil {
		return "", "", fmt.Errorf("the path of loopkey: %w", err)
	}
	found, err := exec.LookPath(appName)
	if err != nil || !filepath.IsAbs(found) {
		return self, self, nil //nolint:nilerr // it is in no folder of PATH
	}
	if theirs, err := os.Stat(found); err != nil || !os.SameFile(ours, theirs) {
		return self, self, nil //nolint:nilerr // another loopkey is in PATH
	}
	return appName, found, nil
}

// makeLink makes the link by which a tool runs loopkey. Where it can't, the person gets the line that does.
func (a *app) makeLink(program, path string) {
	made, err := setup.Link(program, path)
	switch {
	case errors.Is(err, setup.ErrInTheWay):
		a.say("%s is something else than loopkey: move it away, and run this again.", words.Printable(path))
	case err != nil:
		a.say("The link can't be made (%s). Run this:\n  sudo %s", words.Printable(err.Error()),
			words.Shell("ln", "-s", program, path))
	case made:
		a.say("Made the link %s.", words.Printable(path))
	}
}

// listHosts adds hosts to the profile, or shows the lines that do.
func (a *app) listHosts(cfg *config.Config, names []string, write bool) error {
	var lines strings.Builder
	for _, name := range names {
		fmt.Fprintf(&lines, "[[%s.hosts]]\nhost = %q\n", config.TableOf(cfg.Profile), name)
	}
	if !write {
		return a.show(cfg.File, lines.String())
	}
	change, err := setup.PlanText(cfg.File, func(content string) (string, error) {
		return addHosts(content, lines.String(), cfg.Profile)
	})
	if err != nil {
		return fmt.Errorf("%w: add these lines by hand:\n%s", err, lines.String())
	}
	return a.write(change)
}

// addHosts adds lines that list servers to the content of a config.toml, and checks the profile's list.
func addHosts(content, lines, profile string) (string, error) {
	if content != "" {
		content = strings.TrimSuffix(content, "\n") + "\n\n"
	}
	content += lines
	return content, config.CheckHosts([]byte(content), profile)
}

// show shows lines and where they belong: the lines alone go to stdout.
func (a *app) show(path, lines string) error {
	if path != "" {
		a.say("In %s:", words.Printable(path))
	}
	_, err := io.WriteString(a.stdout, lines)
	return notWritten(err)
}

// applySetup shows the tool's lines, or puts them into its configuration.
func (a *app) applySetup(ctx context.Context, t *setup.Tool, o setup.Options, f setupFlags) error {
	path := f.file
	if path == "" {
		path = t.File(o)
	}
	if !f.write {
		if t.Command(o, false) != nil {
			path = ""
		}
		if err := a.show(path, t.Lines(o)); err != nil {
			return err
		}
		if t.Note != "" {
			a.say("%s", t.Note)
		}
		return nil
	}
	if path == "" {
		return fmt.Errorf("%w: loopkey does not know where %s has its configuration: give it with --file, "+
			"or leave --write out and paste the lines", errUsage, t.Name)
	}
	if command := t.Command(o, false); command != nil {
		if err := a.runSetupCommand(ctx, command, path); err != nil {
			return err
		}
		a.say("%s", t.After)
		return nil
	}
	change, err := t.Plan(o, path, false)
	if errors.Is(err, setup.ErrCannotEdit) {
		return fmt.Errorf("%w: run %s %s without --write for the lines, and paste them",
			err, a.situation(nil).line("setup"), t.Name)
	}
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	if err := a.write(change); err != nil {
		return err
	}
	if t.After != "" {
		a.say("%s", t.After)
	}
	return nil
}

// write shows a change and makes it.
func (a *app) write(change setup.Change) error {
	if change.IsEmpty() {
		a.say("%s is as it should be.", words.Printable(change.Path))
		return nil
	}
	a.say("In %s:", words.Printable(change.Path))
	for _, line := range change.Lines() {
		a.say("%s", words.Printable(line))
	}
	backup, err := change.Write()
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	if backup != "" {
		a.say("Written. The file as it was is %s.", words.Printable(backup))
	} else {
		a.say("Written.")
	}
	return nil
}

// undoSetup takes loopkey out of the tool's configuration, and removes the link.
func (a *app) undoSetup(ctx context.Context, t *setup.Tool, o setup.Options, file string) error {
	path := file
	if path == "" {
		path = t.File(o)
	}
	if command := t.Command(o, true); command != nil {
		if err := a.runSetupCommand(ctx, command, path); err != nil {
			return err
		}
	} else if path != "" {
		change, err := t.Plan(o, path, true)
		if err != nil {
			return err //nolint:wrapcheck // it names the file
		}
		if err := a.write(change); err != nil {
			return err
		}
	}
	link := t.LinkPath(o)
	if link == "" {
		return nil
	}
	removed, err := setup.Unlink(o.Path, link)
	if removed {
		a.say("Removed the link %s.", words.Printable(link))
	}
	return err //nolint:wrapcheck // it names the link
}

// runSetupCommand shows a command that edits the tool's configuration, and runs it.
func (a *app) runSetupCommand(ctx context.Context, command []string, path string) error {
	a.say("In %s, by this command:\n%s", words.Printable(path), words.Printable(words.Shell(command...)))
	backup, err := setup.Backup(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err //nolint:wrapcheck // it names the file
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the tool's own
	cmd.Env, cmd.Stdout, cmd.Stderr = environ.WithoutSecrets(a.env), a.stderr, a.stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	if backup != "" {
		a.say("The file as it was is %s.", words.Printable(backup))
	}
	return nil
}
