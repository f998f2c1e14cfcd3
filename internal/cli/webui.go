package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
	"github.com/loopkey/loopkey/internal/doctor"
	"github.com/loopkey/loopkey/internal/journal"
	"github.com/loopkey/loopkey/internal/keystores"
	"github.com/loopkey/loopkey/internal/known"
	"github.com/loopkey/loopkey/internal/localurl"
	"github.com/loopkey/loopkey/internal/setup"
	"github.com/loopkey/loopkey/internal/words"
	"github.com/loopkey/loopkey/webui"
)

// otherSessions returns what tells the web UI of an account of the user's other sessions, and of the profiles in which
// nobody is logged in. Its calls must not overlap. Nothing that it does asks for a passphrase: a server has nobody to
// ask.
func (a *app) otherSessions(acc *account) func(context.Context) []webui.Other {
	own := *a // what is opened here is not what advice is about
	own.passphrases = maps.Clone(a.passphrases)
	opened := map[string]webui.Other{} // by the whole note
	return func(ctx context.Context) []webui.Other {
		var all []webui.Other
		noted, _ := known.All(acc.config.StateDir) // a folder that can't be read has no notes
		loggedIn := map[string]bool{acc.config.Profile: true}
		for _, k := range noted {
			if k.Resource == "" {
				loggedIn[k.Profile] = true
			}
			if k.Name() == acc.config.Name() {
				continue
			}
			key := fmt.Sprintf("%#v", k)
			other, ok := opened[key]
			if !ok {
				other = own.otherOf(ctx, k, acc)
				opened[key] = other
			}
			all = append(all, other)
		}
		profiles, _ := config.Profiles(a.input())
		for _, name := range profiles {
			if !loggedIn[name] {
				all = append(all, webui.Other{
					Title: name, Command: "loopkey login -p " + quote(name), Note: "Nobody is logged in" + own.portNeeded(name, acc),
				})
			}
		}
		return all
	}
}

// portNeeded ends the sentence that nobody is logged in under a profile: it says whether a login in a terminal needs
// the port that the server of an account holds.
func (a *app) portNeeded(profile string, acc *account) string {
	b := *a
	b.flags = map[string]string{"profile": profile}
	cfg, err := b.configure()
	if err != nil {
		return "."
	}
	held := localurl.BasePort(acc.config.BaseURL)
	if slices.ContainsFunc(cfg.Ports(), func(port int) bool { return port != held }) {
		return "."
	}
	return ". A login needs the port of this server: end the server first, by Ctrl-C in its terminal:"
}

// otherOf returns the session of a client that is noted.
func (a *app) otherOf(ctx context.Context, k known.Client, acc *account) webui.Other {
	other := webui.Other{Title: sessionOf(k), Command: "loopkey status -p " + quote(k.Profile)}
	kind, _, _ := keystores.Find(k.Keystore)
	if kind.WantsPassphrase && k.Keystore != acc.config.Keystore {
		other.Note = "The session is in an encrypted file, for which a passphrase may be asked in a terminal:"
		return other
	}
	cfg, err := a.configOf(k, acc.config)
	var opened *account
	if err == nil {
		opened, err = a.openKnown(ctx, cfg, keychainLimitScript)
	}
	if err != nil {
		other.Note = words.Whole(words.Printable(err.Error()))
		return other
	}
	return webui.Other{Session: opened.session, Title: other.Title, BaseURL: cfg.BaseURL}
}

// shownEvents is how many entries of the log the start page shows.
const shownEvents = 8

// lastEvents returns what reads the last entries of the log for the web UI of an account, the newest first. Its calls
// must not overlap.
func (a *app) lastEvents(acc *account) func(context.Context) []webui.Event {
	reader := journal.Reader{StateDir: acc.config.StateDir}
	var entries []journal.Entry
	return func(context.Context) []webui.Event {
		more, _ := reader.Next() // what can't be read has nothing to tell
		entries = slices.Clone(journal.Last(append(entries, more...), shownEvents))
		var events []webui.Event
		for _, e := range slices.Backward(entries) {
			events = append(events, webui.Event{Time: e.Time, Text: words.Sentence(sentenceOf(e))})
		}
		return events
	}
}

// checksOnPage makes the checks of doctor for the web UI. What would ask for a passphrase is left to a terminal.
func (a *app) checksOnPage(ctx context.Context) []webui.Finding {
	own := *a // what is opened here is not what advice elsewhere is about
	own.passphrases = maps.Clone(a.passphrases)
	subject := own.subject()
	if own.mayAsk(subject.Config) {
		return []webui.Finding{{
			Name: "Keychain", State: string(doctor.Skipped), Message: "the encrypted file asks for its passphrase in a terminal",
			Fix: "Run " + own.situation(own.opened).line("doctor") + ".",
		}}
	}
	var all []webui.Finding
	doctor.Run(ctx, subject, doctor.Checks(), func(f doctor.Finding) {
		all = append(all, webui.Finding{Name: f.Name, State: string(f.State), Message: f.Message, Fix: own.fix(f)})
	})
	return all
}

// webCommands returns the lines that the start page of an account offers to copy: for the terminal, and for the tools
// that its profile lists servers for. program is what loopkey is called there.
func webCommands(acc *account, program string) []webui.Commands {
	run := program
	if acc.config.ProfileNamed() {
		run += " -p " + quote(acc.config.Profile)
	}
	request := `curl -H "$(` + run + ` token -o header)" ` + exampleAPI(acc.config.Audience)
	terminal := webui.Commands{Title: "In your terminal", Lines: []webui.Command{
		{What: "A fresh access token", Code: run + " token"},
		{What: "A program with the token in its environment", Code: run + " exec -- ./program"},
		{What: "A request with the token", Code: request},
		{What: "Who is logged in, and until when", Code: run + " status"},
	}}
	all := []webui.Commands{terminal}
	var tools []webui.Command
	for _, name := range setup.Names() {
		tool := setup.Find(name)
		if slices.ContainsFunc(tool.Needs, func(need string) bool { return need != "hosts" }) {
			continue
		}
		var servers []string
		for i := range acc.config.Hosts {
			if h := &acc.config.Hosts[i]; h.IsFor(name) {
				servers = append(servers, h.String())
			}
		}
		if servers != nil {
			tools = append(tools, webui.Command{
				What: name + ", for " + words.Line(strings.Join(servers, ", "), 200), Code: run + " setup " + name + " --write",
			})
		}
	}
	if tools != nil {
		all = append(all, webui.Commands{Title: "In your tools", Lines: tools})
	}
	return all
}

// exampleAPI returns a URL for a request with a token for an audience.
func exampleAPI(audience string) string {
	if strings.HasPrefix(audience, "https://") {
		return quote(audience)
	}
	return "https://api.example.com/"
}
