// Package setup configures tools to ask loopkey for credentials. It knows which lines belong into a tool's own
// configuration, where that is, and how to take them out again.
package setup

import (
	"cmp"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Options say what a tool is set up for.
type Options struct {
	Program string                   // how the tool starts loopkey: a name that is in PATH, or Path
	Path    string                   // of loopkey
	Links   string                   // the folder of the links by which tools find loopkey
	Profile string                   // whose tokens the tool gets; "": the default profile
	Hosts   []string                 // the servers that get tokens, as config.toml lists them
	RoleARN string                   // of the role at AWS
	Name    string                   // of the profile at AWS, the user of kubectl or the MCP server; "": loopkey
	URL     string                   // of the MCP server
	Lookup  func(name string) string // a variable of the environment
	Home    string                   // the user's home folder
}

// A Tool is what loopkey knows of a tool's configuration.
type Tool struct {
	Name string
	// Link is the name under which the tool runs loopkey; "": by the lines alone.
	Link string
	// Needs are the options that have to be given: hosts, role-arn or url.
	Needs []string
	// Note is what else there is to do for who pastes the lines, and After for whom they were written; "": nothing.
	Note, After string

	links func(o Options) string                          // the folder of the link; nil: that of the others
	file  func(o Options) string                          // the tool's own configuration; nil: a person pastes the lines
	lines func(o Options) string                          // what belongs there
	edit  func(content string, o Options) (string, error) // nil: the lines in a block between two comments
	undo  func(content string, o Options) string          // nil: the block is cut out
	run   func(o Options, undo bool) []string             // the tool's command that edits the file; nil: loopkey edits it
}

// tools is the table of the tools.
func tools() []Tool {
	return []Tool{
		{
			Name: "aws", Needs: []string{"role-arn"}, lines: awsLines,
			file: func(o Options) string { return cmp.Or(o.Lookup("AWS_CONFIG_FILE"), o.home(".aws", "config")) },
		},
		{
			Name: "bazel", Link: "bazel-credential-loopkey", Needs: []string{"hosts"}, lines: bazelLines,
			file: func(o Options) string { return o.home(".bazelrc") },
		},
		{
			Name: "cargo", lines: cargoLines, edit: cargoEdit,
			file: func(o Options) string {
				return filepath.Join(cmp.Or(o.Lookup("CARGO_HOME"), o.home(".cargo")), "config.toml")
			},
		},
		{
			Name: "docker", Link: "docker-credential-loopkey", Needs: []string{"hosts"},
			lines: dockerLines, edit: dockerEdit, undo: dockerUndo,
			file: func(o Options) string {
				return filepath.Join(cmp.Or(o.Lookup("DOCKER_CONFIG"), o.home(".docker")), "config.json")
			},
		},
		{Name: "git", Needs: []string{"hosts"}, lines: gitLines, file: gitFile},
		{Name: "go", lines: goLines, edit: goEdit, undo: goUndo, file: goFile},
		{
			Name: "google", lines: googleLines, edit: googleEdit, undo: googleUndo,
			file: func(o Options) string { return o.Lookup(googleVariable) },
			Note: "Save this as a file, name it in " + googleVariable + ", and set " +
				"GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1. POOL and PROVIDER are yours at Google.",
			After: "Name the file in " + googleVariable + ", and set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1. " +
				"Where it says POOL and PROVIDER, put yours at Google.",
		},
		{
			Name: "kubernetes", lines: kubernetesLines, run: kubernetesRun, file: kubernetesFile,
			After: "A context uses it with `kubectl config set-context --current --user=` and its name.",
		},
		{
			Name: "mcp", Needs: []string{"url"}, lines: mcpLines, edit: mcpEdit, undo: mcpUndo,
			Note: "Each program with an assistant has a file of its own for this. Where yours has it, --file FILE --write " +
				"edits it.",
		},
		{
			Name: "python", Link: "keyring", lines: pythonLines, run: pythonRun, file: pythonFile,
			links: func(o Options) string { return o.home(".loopkey-bin") }, // other programs may want the real keyring
			Note:  pythonNote, After: pythonNote,
		},
		{
			Name: "terraform", Link: "terraform-credentials-loopkey", links: terraformPlugins, lines: terraformLines,
			file: terraformFile,
		},
	}
}

// Find returns a tool, or nil.
func Find(name string) *Tool {
	all := tools()
	if i := slices.IndexFunc(all, func(t Tool) bool { return t.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// Names returns the names of the tools, sorted.
func Names() []string {
	var names []string
	for _, t := range tools() {
		names = append(names, t.Name)
	}
	return names
}

// Lines returns what to paste into the tool's configuration, or to run in a shell.
func (t *Tool) Lines(o Options) string { return t.lines(o) }

// File returns the tool's own configuration, or "" where there is no one place for it.
func (t *Tool) File(o Options) string {
	if t.file == nil {
		return ""
	}
	return t.file(o)
}

// Command returns the command of the tool that edits its configuration, or that takes loopkey out of it. It is nil if
// loopkey edits the file.
func (t *Tool) Command(o Options, undo bool) []string {
	if t.run == nil {
		return nil
	}
	return t.run(o, undo)
}

// LinkPath returns where the link belongs by which the tool runs loopkey, or "".
func (t *Tool) LinkPath(o Options) string {
	if t.Link == "" {
		return ""
	}
	dir, name := o.Links, t.Link
	if t.links != nil {
		dir = t.links(o)
	}
	if o.Profile != "" && t.Name == "docker" { // docker can give a helper nothing but its name
		name += "-" + o.Profile
	}
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}

// ErrCannotEdit says that a configuration is such that a person has to change it. An error that wraps it says why.
var ErrCannotEdit = errors.New("it can't be changed here")

// changed returns the configuration of the tool with loopkey in it, or without.
func (t *Tool) changed(content string, o Options, undo bool) (string, error) {
	switch {
	case undo && t.undo != nil:
		return t.undo(content, o), nil
	case undo:
		return cut(content, t.mark(o)), nil
	case t.edit != nil:
		return t.edit(content, o)
	}
	return put(content, t.mark(o), t.Lines(o)), nil
}

// home returns a path below the home folder.
func (o Options) home(parts ...string) string {
	return filepath.Join(append([]string{o.Home}, parts...)...)
}

// words returns loopkey's command line for a protocol.
func (o Options) words(protocol ...string) []string {
	line := append([]string{o.Program}, protocol...)
	if o.Profile != "" {
		line = append(line, "--profile", o.Profile)
	}
	return line
}

// names returns the hosts without their ports.
func (o Options) names() []string {
	var names []string
	for _, host := range o.Hosts {
		if i := strings.LastIndexByte(host, ':'); i > 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		if !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}
