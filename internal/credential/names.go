package credential

import (
	"path/filepath"
	"strings"
)

// names are the names under which loopkey is run by tools that run a bare program: a prefix before "loopkey", and the
// protocol. The linker makes the table, so it costs nothing when loopkey starts.
var names = [...]struct{ prefix, protocol string }{
	{"git-credential-", "git"},
	{"docker-credential-", "docker"},
	{"terraform-credentials-", "terraform"},
	{"bazel-credential-", "bazel"},
	{"cargo-credential-", "cargo"},
}

const (
	cargoFlag    = "--cargo-plugin" // cargo gives a helper nothing else
	kubeloginArg = "oidc-login"     // kubectl's name for kubelogin
)

// Arguments returns the arguments that the words of a command line stand for; the first of them is the program's name.
// A name like docker-credential-loopkey is a protocol, and docker-credential-loopkey-work is that protocol for the
// profile work.
func Arguments(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	program, args := programName(argv[0]), argv[1:]
	for _, n := range names {
		after, ok := strings.CutPrefix(program, n.prefix+"loopkey")
		if !ok {
			continue
		}
		switch {
		case n.protocol == "cargo":
			args = withoutFirst(args, cargoFlag)
		case n.protocol == "docker" && len(args) == 1 && args[0] == "--version":
			args = []string{"version"}
		}
		if after == "" {
			return append([]string{"credential", n.protocol}, args...)
		}
		if profile, ok := strings.CutPrefix(after, "-"); ok && profile != "" {
			return append([]string{"--profile", profile, "credential", n.protocol}, args...)
		}
	}
	switch {
	case program == "kubectl-oidc_login":
		return append([]string{"credential", "kubernetes"}, args...)
	case program == "keyring":
		return append([]string{"credential", "python"}, args...)
	case len(args) > 0 && args[0] == cargoFlag:
		return append([]string{"credential", "cargo"}, args[1:]...)
	case len(args) > 0 && args[0] == kubeloginArg:
		return append([]string{"credential", "kubernetes"}, args[1:]...)
	}
	return args
}

// programName returns the name of a program without its folder, and on Windows without .exe.
func programName(path string) string {
	name := filepath.Base(path)
	if base, ok := strings.CutSuffix(strings.ToLower(name), ".exe"); ok {
		return base
	}
	return name
}

func withoutFirst(args []string, word string) []string {
	if len(args) > 0 && args[0] == word {
		return args[1:]
	}
	return args
}
