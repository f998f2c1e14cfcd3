package setup

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// name is what the entry in the tool's configuration is called.
func (o Options) name() string { return cmp.Or(o.Name, o.Profile, "loopkey") }

func awsLines(o Options) string {
	line := append(o.words("credential", "aws"), "--role-arn", o.RoleARN)
	return fmt.Sprintf("[profile %s]\ncredential_process = %s\n", o.name(), doubleQuoted(line...))
}

// bazelLines names the link, for Bazel gives its helper no arguments. Bazel knows no ports here.
func bazelLines(o Options) string {
	link := Find("bazel").LinkPath(o)
	var b strings.Builder
	for _, host := range o.names() {
		line := "common --credential_helper=" + host + "=" + link
		if strings.Contains(link, " ") {
			line = `common "--credential_helper=` + host + "=" + link + `"`
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// gitLines names the helper after an empty one, which takes away those that would store the token.
func gitLines(o Options) string {
	program := o.Program
	if runtime.GOOS == "windows" {
		program = filepath.ToSlash(program) // git has a shell of its own there
	}
	o.Program = program
	helper := "!" + words.Shell(o.words("credential", "git")...)
	if strings.ContainsAny(helper, `"\;#`) {
		helper = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(helper) + `"`
	}
	var b strings.Builder
	for _, host := range o.Hosts {
		fmt.Fprintf(&b, "[credential \"https://%s\"]\n\thelper =\n\thelper = %s\n", host, helper)
	}
	return b.String()
}

func gitFile(o Options) string {
	if path := o.Lookup("GIT_CONFIG_GLOBAL"); path != "" {
		return path
	}
	usual := o.home(".gitconfig")
	if _, err := os.Stat(usual); err == nil {
		return usual
	}
	xdg := filepath.Join(cmp.Or(o.Lookup("XDG_CONFIG_HOME"), o.home(".config")), "git", "config")
	if _, err := os.Stat(xdg); err == nil {
		return xdg
	}
	return usual
}

func googleLines(o Options) string {
	return fmt.Sprintf(`{
  "type": "external_account",
  "audience": "//iam.googleapis.com/locations/global/workforcePools/POOL/providers/PROVIDER",
  "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
  "token_url": "https://sts.googleapis.com/v1/token",
  "credential_source": %s
}
`, googleSource(o))
}

// googleVariable names the credential configuration that Google's libraries read.
const googleVariable = "GOOGLE_APPLICATION_CREDENTIALS"

func kubernetesLines(o Options) string {
	command := kubernetesRun(o, false)
	name := command[3]
	var exec, arguments, how []string
	for _, word := range command[4:] {
		switch {
		case strings.HasPrefix(word, "--exec-arg="), strings.HasPrefix(word, "--exec-command="):
			arguments = append(arguments, word)
		case strings.HasPrefix(word, "--exec-api-version="):
			exec = append(exec, word)
		default:
			how = append(how, word)
		}
	}
	return words.Shell(append([]string{"kubectl", "config", "set-credentials", name}, exec...)...) + " \\\n  " +
		words.Shell(arguments...) + " \\\n  " + words.Shell(how...) + "\n" +
		words.Shell("kubectl", "config", "set-context", "--current", "--user="+name) + "\n"
}

// kubernetesRun returns the command that adds loopkey to the kubeconfig as a user, or removes it. It has the full path,
// because an allowlist of kubectl compares that.
func kubernetesRun(o Options, undo bool) []string {
	if undo {
		return []string{"kubectl", "config", "delete-user", o.name()}
	}
	line := []string{
		"kubectl", "config", "set-credentials", o.name(),
		"--exec-api-version=client.authentication.k8s.io/v1", "--exec-command=" + o.Path,
		"--exec-interactive-mode=IfAvailable", "--exec-provide-cluster-info=true",
	}
	for _, word := range o.words("credential", "kubernetes")[1:] {
		line = append(line, "--exec-arg="+word)
	}
	return line
}

func kubernetesFile(o Options) string {
	if first, _, _ := strings.Cut(o.Lookup("KUBECONFIG"), string(os.PathListSeparator)); first != "" {
		return first
	}
	return o.home(".kube", "config")
}

const pythonNote = "Put ~/.loopkey-bin before the others in PATH. The index URL must carry the user: " +
	"https://oauth2@HOST/simple/."

func pythonLines(Options) string { return "pip config set global.keyring-provider subprocess\n" }

// pythonRun returns pip's command that makes it ask the keyring, or not any more.
func pythonRun(_ Options, undo bool) []string {
	if undo {
		return []string{"pip", "config", "unset", "--user", "global.keyring-provider"}
	}
	return []string{"pip", "config", "set", "--user", "global.keyring-provider", "subprocess"}
}

// pythonFile returns the file that pip changes: the user's, of which there is an old place, too.
func pythonFile(o Options) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(o.Lookup("APPDATA"), "pip", "pip.ini")
	}
	usual := filepath.Join(cmp.Or(o.Lookup("XDG_CONFIG_HOME"), o.home(".config")), "pip", "pip.conf")
	places := []string{o.home(".pip", "pip.conf")}
	if runtime.GOOS == "darwin" {
		places = append(places, o.home("Library", "Application Support", "pip", "pip.conf"))
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	return usual
}

func terraformLines(o Options) string {
	args := o.words()[1:]
	return "credentials_helper \"loopkey\" {\n  args = " + list(args) + "\n}\n"
}

func terraformFile(o Options) string {
	if path := cmp.Or(o.Lookup("TF_CLI_CONFIG_FILE"), o.Lookup("TERRAFORM_CONFIG")); path != "" {
		return path
	}
	if runtime.GOOS == "windows" {
		return filepath.Join(o.Lookup("APPDATA"), "terraform.rc")
	}
	return o.home(".terraformrc")
}

// terraformPlugins returns the folder where Terraform and OpenTofu look for helpers.
func terraformPlugins(o Options) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(o.Lookup("APPDATA"), "terraform.d", "plugins")
	}
	return o.home(".terraform.d", "plugins")
}
