package newprofile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/hosts"
	"github.com/loopkey/loopkey/internal/words"
)

// A Team is what a team's loopkey.toml proposes for a profile. Nothing of it is trusted before the person has seen it.
type Team struct {
	Profile string // the name that the file proposes; "": none
	Values  []config.Assignment
	Hosts   []TeamHost
}

// A TeamHost is a server that the file wants to get tokens.
type TeamHost struct {
	Name  string   // as hosts writes it
	Lines []string // of config.toml, below [[profile.NAME.hosts]]
}

// Value returns what the file says for a key of a profile, or "".
func (t Team) Value(key string) string {
	for _, v := range t.Values {
		if v.Key == key {
			return v.Value
		}
	}
	return ""
}

// Shown returns the line by which the entry is shown: it fits whole into what words.Printable lets through.
func (h TeamHost) Shown() string { return strings.Join(h.Lines, ", ") }

// Shown returns the lines by which the values are shown, likewise.
func (t Team) Shown() []string {
	lines := make([]string, len(t.Values))
	for i, v := range t.Values {
		lines[i] = fmt.Sprintf("%s = %q", v.Key, v.Value)
	}
	return lines
}

// errTooLong says that a person could not see all of what they would trust.
var errTooLong = errors.New("it is too long to be shown")

// isWhole reports whether a line is shown as it is, to its end.
func isWhole(line string) bool { return words.Printable(line) == line }

// ErrTeam says that a loopkey.toml can't be used. The errors that wrap it name the key, and quote no value.
var ErrTeam = errors.New("loopkey.toml")

const (
	mostTeamFile  = 64 << 10
	mostTeamValue = 2 << 10
	mostTeamHosts = 100
)

// teamKeys are the keys that a loopkey.toml may set, in the order in which they are shown.
func teamKeys() []string {
	return []string{
		"domain", "issuer", "client_id", "audience", "scope", "base_url", "callback_ports", "audience_parameter",
	}
}

// refusals are the keys that a loopkey.toml may never set, and why. Every other key of a profile is refused too.
func refusals() map[string]string {
	const secret, own = "a secret has no place in a file that others read", "it says where your own sessions and files are"
	const program, others = "no file of others picks a program", "it is about other profiles than the new one"
	const key = "it says which of your keys sign, and for whom"
	const check, login = "it says who vouches for the provider's keys", "it says how you log in"
	return map[string]string{
		"client_secret": secret, "client_secret_file": secret, "passphrase": secret, "token": secret, "refresh_token": secret,
		"client_key": key, "client_key_id": key, "client_key_alg": key, "client_certificate": key,
		"client_certificate_key": key, "assertion_audience": key, "client_auth": key, "par": login, "sign_requests": login,
		"keystore": own, "state_dir": own, "cache_dir": own, "browser": program, "program": program, "command": program,
		"browser_profile": own, "private_window": own,
		"exec": program, "upstream": program, "pages": program, "profiles": others, "default_profile": others,
		"discovery_url": check, "jwks_uri": check, "keys": check, "insecure": check, "skip_verify": check,
		"params": login, "refresh_audiences": "it may cost you the session", "env": program,
	}
}

// ParseTeam reads a loopkey.toml. It is strict: a key that is not known, or that such a file may never set, is an error
// that names it.
func ParseTeam(content []byte) (Team, error) {
	var team Team
	if len(content) > mostTeamFile {
		return team, fmt.Errorf("%w is larger than %d KiB", ErrTeam, mostTeamFile>>10)
	}
	if start := bytes.TrimSpace(content); len(start) > 0 && start[0] == '<' {
		return team, fmt.Errorf("%w is a web page: give the address of the file itself, such as that behind Raw", ErrTeam)
	}
	var file map[string]any
	if err := toml.Unmarshal(content, &file); err != nil {
		if decode := new(toml.DecodeError); errors.As(err, &decode) {
			row, column := decode.Position()
			return team, fmt.Errorf("%w is no TOML: line %d, column %d", ErrTeam, row, column)
		}
		return team, fmt.Errorf("%w is no TOML", ErrTeam)
	}
	for _, written := range slices.Sorted(maps.Keys(file)) {
		if err := team.set(strings.ReplaceAll(written, "-", "_"), file[written]); err != nil {
			return Team{}, fmt.Errorf("%w: %s: %w", ErrTeam, words.Line(words.Printable(written), 40), err)
		}
	}
	return team.checked()
}

// set sets one key.
func (t *Team) set(key string, written any) error {
	if key == "hosts" {
		return t.setHosts(written)
	}
	if _, isTable := written.(map[string]any); key == "profile" && isTable {
		return fmt.Errorf("it may not be set: %s", refusals()["profiles"])
	}
	if why := refusals()[key]; why != "" {
		return fmt.Errorf("it may not be set: %s", why)
	}
	if key != "profile" && !slices.Contains(teamKeys(), key) {
		return fmt.Errorf("it is not known: there are profile, %s and hosts", strings.Join(teamKeys(), ", "))
	}
	text, ok := written.(string)
	if key == "callback_ports" {
		var err error
		if text, err = config.PortsText(written); err != nil {
			return fmt.Errorf("it %w", err)
		}
		ok = true
	}
	switch {
	case !ok:
		return errors.New("it must be text in quotes")
	case text == "":
		return errors.New("it is empty")
	case len(text) > mostTeamValue:
		return fmt.Errorf("it is longer than %d characters", mostTeamValue)
	case words.Printable(text) != text:
		return errors.New("it holds a character that can't be shown")
	case t.Value(key) != "" || key == "profile" && t.Profile != "":
		return errors.New("it is given twice")
	case key == "profile":
		t.Profile = text
		return nil
	}
	t.Values = append(t.Values, config.Assignment{Key: key, Value: text})
	return nil
}

// setHosts reads the servers that are to get tokens.
func (t *Team) setHosts(written any) error {
	entries, _ := written.([]any)
	if len(entries) > mostTeamHosts {
		return fmt.Errorf("there are more than %d", mostTeamHosts)
	}
	list, err := hosts.Parse(written)
	if err != nil {
		return err //nolint:wrapcheck // it names the entry
	}
	for i := range list {
		table := entries[i].(map[string]any) // Parse has checked that
		h := TeamHost{Name: list[i].String()}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			value, err := literal(table[key])
			if err != nil {
				return fmt.Errorf("entry %d: %s: %w", i+1, key, err)
			}
			h.Lines = append(h.Lines, key+" = "+value)
		}
		if !isWhole(h.Shown()) { // what comes first could hide the rest
			return fmt.Errorf("entry %d: %w", i+1, errTooLong)
		}
		t.Hosts = append(t.Hosts, h)
	}
	return nil
}

// literal returns text, or a list of it, as TOML writes it.
func literal(value any) (string, error) {
	switch value := value.(type) {
	case string:
		if len(value) > mostTeamValue || words.Printable(value) != value {
			return "", errors.New("it is too long, or holds a character that can't be shown")
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`, nil
	case []any:
		all := make([]string, len(value))
		for i := range value {
			var err error
			if all[i], err = literal(value[i]); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(all, ", ") + "]", nil
	}
	return "", errors.New("it must be text in quotes")
}

// checked returns the proposal, if a config.toml can have it.
func (t Team) checked() (Team, error) {
	switch {
	case (t.Value("domain") == "") == (t.Value("issuer") == ""):
		return Team{}, fmt.Errorf("%w has to name the provider, by domain or by issuer", ErrTeam)
	case t.Value("client_id") == "":
		return Team{}, fmt.Errorf("%w has to name the client_id", ErrTeam)
	case !IsClientID(t.Value("client_id")):
		return Team{}, fmt.Errorf("%w: client_id: that is none", ErrTeam)
	}
	name := t.Profile
	if name == "" {
		name = "team"
	}
	slices.SortFunc(t.Values, func(a, b config.Assignment) int {
		return slices.Index(teamKeys(), a.Key) - slices.Index(teamKeys(), b.Key)
	})
	for i, line := range t.Shown() {
		if !isWhole(line) {
			return Team{}, fmt.Errorf("%w: %s: %w", ErrTeam, t.Values[i].Key, errTooLong)
		}
	}
	if _, err := config.Edit(nil, name, t.Values...); err != nil {
		return Team{}, fmt.Errorf("%w: %w", ErrTeam, err)
	}
	return t, nil
}
