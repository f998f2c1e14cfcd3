package clients_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/test/clients"
	"github.com/loopkey/loopkey/internal/test/house"
)

const role = "arn:aws:iam::123456789012:role/dev"

// awsHome returns a service, and a home that lists it, with the lines of docs/tools/aws.md in ~/.aws/config.
func awsHome(t *testing.T) (*house.House, *clients.STS) {
	t.Helper()
	h := clients.LoggedIn(t)
	s := clients.ServeSTS(t, h)
	h = h.With("SSL_CERT_FILE="+s.CA, "AWS_REGION=", "AWS_PROFILE=")
	h.Configure(h.Tenant.Issuer(), clients.Block(t, "aws.md", "toml", "sts.acme.example", s.Host))
	dir := filepath.Join(h.Dir, ".aws")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config := clients.Block(t, "aws.md", "ini", role+"\n", role+" --sts-endpoint "+s.URL+"\n")
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return h, s
}

// process returns the command of the line credential_process in ~/.aws/config.
func process(t *testing.T, h *house.House) string {
	t.Helper()
	config, err := os.ReadFile(filepath.Join(h.Dir, ".aws", "config"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), "credential_process = ")
	command, _, found := strings.Cut(rest, "\n")
	if !found {
		t.Fatal("the configuration has no credential_process")
	}
	return command
}

// finish runs a program in the home, and returns what it prints.
func finish(h *house.House, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...) //nolint:noctx // it ends by itself
	cmd.Env, cmd.Dir = h.Env, h.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err //nolint:wrapcheck // a test
}

// Twenty runs of a tool that use the AWS SDK for Go at once cost one request, and later ones none until the credentials
// end. A login and a logout end them.
func TestAWSAtOnce(t *testing.T) {
	t.Parallel()
	sdk := clients.Build(t, "aws")
	h, s := awsHome(t)
	retrieve := func(times string) []string {
		t.Helper()
		out, err := finish(h, sdk, times, process(t, h))
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Split(strings.TrimSpace(out), "\n")
	}
	lines := retrieve("20")
	for _, line := range append(lines, retrieve("1")...) {
		if line != lines[0] {
			t.Errorf("one caller gets %s, another %s", lines[0], line)
		}
	}
	want := "ASIA1 secret1 session" + strings.Repeat("x", 1000) + " 123456789012 true "
	expiry, ok := strings.CutPrefix(lines[0], want)
	if at, err := time.Parse(time.RFC3339, expiry); !ok || err != nil || time.Until(at) > time.Hour-10*time.Second {
		t.Errorf("the SDK gets %s", lines[0])
	}
	requests := s.Requests()
	if len(lines) != 20 || len(requests) != 1 {
		t.Fatalf("%d callers cost %d requests", len(lines), len(requests))
	}
	if r := requests[0]; r.Get("RoleArn") != role || r.Get("RoleSessionName") != house.Email || r.Has("DurationSeconds") {
		t.Errorf("the request is %v, %v", r.Get("RoleArn"), r.Get("RoleSessionName"))
	}

	h.Must("login") // whoever that is
	if line := retrieve("1")[0]; !strings.HasPrefix(line, "ASIA2 ") {
		t.Errorf("after a login the credentials are %.20s", line)
	}
	h.Must("logout", "--local")
	if all := strings.Join(retrieve("1"), "\n"); !strings.Contains(all, "exit status 3") {
		t.Errorf("after the logout the SDK gets %s", all)
	}
	if len(s.Requests()) != 2 {
		t.Errorf("%d requests", len(s.Requests()))
	}
}

// A tool that knows web identity gets the role from the file that exec keeps. What would
// come before that file is taken out of its environment. The file is private, and gone with the command.
func TestAWSExec(t *testing.T) {
	t.Parallel()
	sdk := clients.Build(t, "aws")
	h, s := awsHome(t)
	h = h.With("AWS_CA_BUNDLE="+s.CA, "AWS_ENDPOINT_URL_STS="+s.URL, "AWS_REGION=eu-west-1", "AWS_PROFILE=dev",
		"AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=session")
	got := h.Must("exec", "--aws-role-arn", role, "--", sdk)
	// On a loaded machine the SDK gives its first request up, and makes another one.
	if r := s.Requests(); !regexp.MustCompile(`^ASIA(\d) secret\d sessionx`).MatchString(got) || len(r) == 0 ||
		r[0].Get("RoleArn") != role || r[0].Get("RoleSessionName") != house.Email {
		t.Errorf("the SDK gets %s by %d requests", got, len(r))
	}
	script := `env | grep ^AWS_ | cut -d= -f1 | sort
		ls -l "$AWS_WEB_IDENTITY_TOKEN_FILE"; echo "$AWS_WEB_IDENTITY_TOKEN_FILE"`
	lines := strings.Split(strings.TrimSpace(h.Must("exec", "--aws-role-arn", role, "--", "sh", "-c", script)), "\n")
	names := strings.Join(lines[:len(lines)-2], " ")
	if names != "AWS_CA_BUNDLE AWS_ENDPOINT_URL_STS AWS_REGION AWS_ROLE_ARN AWS_ROLE_SESSION_NAME "+
		"AWS_WEB_IDENTITY_TOKEN_FILE" {
		t.Errorf("the command has %s", names)
	}
	if !strings.HasPrefix(lines[len(lines)-2], "-rw------- ") {
		t.Errorf("the file: %s", lines[len(lines)-2])
	}
	if _, err := os.Stat(filepath.Dir(lines[len(lines)-1])); !os.IsNotExist(err) {
		t.Errorf("the file's folder after the command: %v", err)
	}
	r := h.Run("exec", "--aws-role-arn", "dev", "--", sdk)
	if r.Code != 2 || !strings.Contains(r.Stderr, "no ARN of a role") {
		t.Errorf("no role: exit %d, %s", r.Code, r.Stderr)
	}
}

// A session policy goes with the request, from a flag or a file, and credentials are kept for each.
func TestAWSPolicy(t *testing.T) {
	t.Parallel()
	h, s := awsHome(t)
	const policy = `{"Version":"2012-10-17","Statement":[]}`
	path := filepath.Join(h.Dir, "policy.json")
	if err := os.WriteFile(path, []byte(policy+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := strings.Fields(process(t, h))[1:]
	for _, given := range []string{"file://" + path, policy, ""} {
		h.Must(append(slices.Clone(command), "--policy", given)...)
	}
	if r := s.Requests(); len(r) != 2 || r[0].Get("Policy") != policy || r[1].Has("Policy") {
		t.Errorf("the service was asked %d times", len(r))
	}
}

// The aws command line, by the lines of docs/tools/aws.md.
func TestAWSCommandLine(t *testing.T) {
	t.Parallel()
	aws := clients.Need(t, "aws", false)
	if out, err := exec.Command(aws, "--version").CombinedOutput(); err != nil { //nolint:noctx // it ends by itself
		t.Skipf("aws does not run: %s", out) // Also with LOOPKEY_TEST_REAL: CI does not install it.
	}
	h, s := awsHome(t)
	h = h.With("AWS_CA_BUNDLE="+s.CA, "AWS_ENDPOINT_URL_STS="+s.URL, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_DEFAULT_REGION=eu-west-1")
	var got struct{ Arn string }
	out, err := finish(h, aws, "sts", "get-caller-identity", "--profile", "dev")
	want := "ASIA1 session" + strings.Repeat("x", 1000)
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || got.Arn != want || len(s.Requests()) != 1 {
		t.Fatalf("aws prints %s (%v), after %d requests", out, err, len(s.Requests()))
	}
}

// Where the request goes: to AWS's own endpoint for the role's partition and the region, through the proxy.
func TestAWSEndpoints(t *testing.T) {
	t.Parallel()
	h, s := awsHome(t)
	h = h.With("HTTPS_PROXY="+s.Proxy, "NO_PROXY=")
	const gov, fips = "arn:aws-us-gov:iam::123456789012:role/dev", "sts-fips.us-gov-west-1.amazonaws.com"
	for i, c := range []struct {
		args string
		env  string
		want string
	}{
		{"--role-arn " + role, "", "sts.amazonaws.com:443"},
		{"--role-arn " + role + " --role-session-name ada", "AWS_REGION=eu-west-1", "sts.eu-west-1.amazonaws.com:443"},
		{"--role-arn " + role + " --region eu-west-1", "AWS_REGION=us-gov-west-1", "sts.eu-west-1.amazonaws.com:443"},
		{"--role-arn arn:aws-cn:iam::123456789012:role/a/dev", "", "sts.cn-north-1.amazonaws.com.cn:443"},
		{"--role-arn " + gov, "AWS_REGION=us-gov-east-1", "sts.us-gov-east-1.amazonaws.com:443"},
		{"--role-arn " + gov, "", "sts.us-gov-west-1.amazonaws.com:443"},
		{"--role-arn " + gov + " --sts-endpoint https://" + fips, "", fips + ":443"},
	} {
		r := h.With(c.env).Run(append([]string{"credential", "aws"}, strings.Fields(c.args)...)...)
		if names := s.Names(); r.Code != 0 || r.Stderr != "" || len(names) != i+1 || names[i] != c.want {
			t.Fatalf("%s: exit %d, %s; the requests go to %v", c.args, r.Code, r.Stderr, names)
		}
	}
}

// What the service says, and what the user and the tool learn of it.
func TestAWSRefusals(t *testing.T) {
	t.Parallel()
	h, s := awsHome(t)
	command := strings.Fields(process(t, h))[1:]
	for _, c := range []struct {
		name      string
		intercept func(request int, form url.Values, w http.ResponseWriter)
		code      int
		stderr    string
		requests  int
	}{
		{"access denied", func(_ int, form url.Values, w http.ResponseWriter) {
			token := form.Get("WebIdentityToken")
			s.Refuse(w, 403, "AccessDenied", "Not authorized \u202e with "+token+" and "+strings.Split(token, ".")[2])
		}, 4, "refused: AccessDenied: Not authorized \uFFFD with [secret].[secret].[secret] and [secret]", 1},
		{"throttled", func(_ int, _ url.Values, w http.ResponseWriter) {
			s.Refuse(w, 400, "Throttling", "Rate exceeded")
		}, 1, "can't be asked now: Throttling: Rate exceeded: try again later", 1},
		{"out of order", func(_ int, _ url.Values, w http.ResponseWriter) { w.WriteHeader(503) },
			1, "can't be asked now: HTTP 503", 1},
		{"the provider unreachable for it", func(_ int, _ url.Values, w http.ResponseWriter) {
			s.Refuse(w, 400, "IDPCommunicationError", "could not be reached")
		}, 1, "IDPCommunicationError", 1},
		{"a redirect", func(_ int, _ url.Values, w http.ResponseWriter) {
			w.Header().Set("Location", s.URL+"/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, 4, "HTTP 307: a redirect, which is not followed", 1},
		{"no reply", func(_ int, _ url.Values, w http.ResponseWriter) { _, _ = w.Write([]byte("<html>Sign in</html>")) },
			4, "its response holds no credentials", 1},
		{"a long reply", func(_ int, _ url.Values, w http.ResponseWriter) {
			_, _ = w.Write([]byte(strings.Repeat("<a>", 1<<20)))
		}, 4, "more than 1024 KiB", 1},
		{"always expired", func(_ int, _ url.Values, w http.ResponseWriter) {
			s.Refuse(w, 400, "ExpiredTokenException", "Token expired")
		}, 4, "ExpiredTokenException", 2},
	} {
		before := len(s.Requests())
		s.Intercept(func(request int, form url.Values, w http.ResponseWriter) bool {
			c.intercept(request, form, w)
			return true
		})
		r := h.Run(command...)
		if r.Code != c.code || r.Stdout != "" || !strings.Contains(r.Stderr, c.stderr) || strings.Contains(r.Stderr, "eyJ") {
			t.Errorf("%s: exit %d, stdout %q, stderr %s", c.name, r.Code, r.Stdout, r.Stderr)
		}
		if got := len(s.Requests()) - before; got != c.requests {
			t.Errorf("%s: %d requests, not %d", c.name, got, c.requests)
		}
	}
	sent := s.Requests()[len(s.Requests())-2:]
	if sent[0].Get("WebIdentityToken") == sent[1].Get("WebIdentityToken") {
		t.Error("after ExpiredTokenException the same token was sent again")
	}
	// An ID token that has expired by the service's clock is renewed once.
	before := len(s.Requests())
	s.Intercept(func(request int, _ url.Values, w http.ResponseWriter) bool {
		if request == before+1 {
			s.Refuse(w, 400, "ExpiredTokenException", "Token expired")
		}
		return request == before+1
	})
	if r := h.Run(command...); r.Code != 0 || r.Stderr != "" || len(s.Requests()) != before+2 {
		t.Errorf("a renewed token: exit %d, %s, %d requests", r.Code, r.Stderr, len(s.Requests())-before)
	}
	// Credentials that end soon are not handed out again.
	s.Intercept(nil)
	s.SetLifetime(50 * time.Second)
	other := append(command, "--role-session-name", "other") //nolint:gocritic // another command
	for i := range 2 {
		if r := h.Run(other...); r.Code != 0 || len(s.Requests()) != before+3+i {
			t.Errorf("exit %d after %d requests: %s", r.Code, len(s.Requests()), r.Stderr)
		}
	}
}

// What is wrong with a role or an endpoint is said before anything is asked.
func TestAWSUsage(t *testing.T) {
	t.Parallel()
	h, s := awsHome(t)
	h.Tenant.Reset()
	h.Must("logout", "--local") // so that any other order would exit 3
	for args, want := range map[string]string{
		"":                                                                  "aws needs --role-arn",
		"--role-arn arn:aws:iam::1:role/dev":                                "no number of 12 digits",
		"--role-arn arn:aws:iam::1:user/dev":                                "names no role",
		"--role-arn dev":                                                    "no ARN of a role",
		"--role-arn " + role + "/":                                          "names no role",
		"--role-arn arn:aws-x:iam::1:role/a":                                "no endpoint is known for the partition",
		"--role-arn " + role + " --region a/b":                              "is no region",
		"--role-arn " + role + " --region cn-north-1":                       "in the partition aws-cn",
		"--role-arn " + role + " --role-session-name a":                     "no name of a role session",
		"--role-arn " + role + " --duration-seconds 60":                     "from 900 to 43200",
		"--role-arn " + role + " --policy x":                                "no JSON object",
		"--role-arn " + role + " extra":                                     "takes no argument",
		"--role-arn " + role + " --sts-endpoint https://evil.example":       "the host is not listed",
		"--role-arn " + role + " --sts-endpoint https://b.s3.amazonaws.com": "the host is not listed",
		"--role-arn " + role + " --sts-endpoint http://sts.amazonaws.com":   "the host is not listed",
		"--role-arn " + role + " --sts-endpoint " + s.URL + "?a=b":          "no plain URL",
		"--role-arn " + role + " --sts-endpoint https://u@" + s.Host:        "the endpoint",
	} {
		r := h.Run(append([]string{"credential", "aws"}, strings.Fields(args)...)...)
		if r.Code != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d, stdout %q, stderr %s", args, r.Code, r.Stdout, r.Stderr)
		}
	}
	if r := h.Run("credential", "aws", "--role-arn", role); r.Code != 3 || !strings.Contains(r.Stderr, "loopkey login") {
		t.Errorf("nobody is logged in: exit %d, %s", r.Code, r.Stderr)
	}
	h.Configure(h.Tenant.Issuer(), "[[profile.default.hosts]]\nhost = \""+s.Host+"\"")
	if r := h.Run(strings.Fields(process(t, h))[1:]...); r.Code != 2 || !strings.Contains(r.Stderr, `token = "id"`) {
		t.Errorf("a host for access tokens: exit %d, %s", r.Code, r.Stderr)
	}
	if len(s.Requests()) > 0 || h.Tenant.Requests("token") > 0 {
		t.Error("something was asked")
	}
}
