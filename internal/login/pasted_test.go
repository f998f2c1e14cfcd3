package login_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/login"
	"github.com/loopkey/loopkey/internal/tenant"
)

// respond has the person log in, and returns the URL that the browser ends up at.
func respond(t *testing.T, pending *login.Pending) string {
	t.Helper()
	person := tenant.Person{Email: "ada@example.com", Password: "x", StopAt: base}
	end, err := person.Visit(t.Context(), pending.URL)
	if err != nil {
		t.Fatal(err)
	}
	return end.URL
}

// A final URL is taken in whatever form a terminal, a chat or a mail leaves it.
func TestPaste(t *testing.T) {
	t.Parallel()
	wrap := func(columns int, between string) func(string) string {
		return func(text string) string {
			var lines []string
			for len(text) > columns {
				lines, text = append(lines, text[:columns]), text[columns:]
			}
			return strings.Join(append(lines, text), between)
		}
	}
	query := func(text string) string { return text[strings.Index(text, "?")+1:] }
	for name, form := range map[string]func(string) string{
		"as it is":                   func(text string) string { return text },
		"with an end of line":        func(text string) string { return text + "\r\n" },
		"between spaces":             func(text string) string { return "   " + text + "  " },
		"between quotes":             func(text string) string { return `"` + text + `"` },
		"between angle brackets":     func(text string) string { return "<" + text + ">" },
		"with a label":               func(text string) string { return "URL: " + text },
		"in a sentence":              func(text string) string { return "it ended up at " + text + " , I think" },
		"at the end of a sentence":   func(text string) string { return "It is " + text + "." },
		"as a link of HTML":          func(text string) string { return strings.ReplaceAll(text, "&", "&amp;") },
		"wrapped at 80 columns":      wrap(80, "\n"),
		"wrapped at 20 columns":      wrap(20, "\r\n"),
		"wrapped with an indent":     wrap(72, "\n    "),
		"with https":                 func(text string) string { return strings.Replace(text, "http:", "https:", 1) },
		"with the other host":        func(text string) string { return strings.Replace(text, "localhost", "127.0.0.1", 1) },
		"without a scheme":           func(text string) string { return strings.TrimPrefix(text, "http://") },
		"the query alone":            query,
		"the query with its mark":    func(text string) string { return "?" + query(text) },
		"with a fragment":            func(text string) string { return text + "#_=_" },
		"with other parameters":      func(text string) string { return text + "&session_state=1" },
		"the code alone":             func(text string) string { return parse(text).Get("code") },
		"the code alone, in a quote": func(text string) string { return "'" + parse(text).Get("code") + "'" },
		"the code alone, wrapped":    func(text string) string { return wrap(10, "\n")(parse(text).Get("code")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newScene(t).flow(t, login.Config{})
			pending, err := f.Begin(t.Context(), login.Request{CLI: true})
			if err != nil {
				t.Fatal(err)
			}
			text := form(respond(t, pending))
			if err := pending.Paste(t.Context(), text); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if tokens, err := pending.Wait(ctx); err != nil || tokens.Claims.Subject() != "ada" {
				t.Errorf("%q: %v, %v", text, tokens, err)
			}
		})
	}
}

func parse(text string) url.Values {
	u, err := url.Parse(text)
	if err != nil {
		return nil
	}
	return u.Query()
}

// What is no response to this login ends nothing, however often it comes, and the real one still works.
func TestPasteWrong(t *testing.T) {
	t.Parallel()
	f := newScene(t).flow(t, login.Config{})
	pending, err := f.Begin(t.Context(), login.Request{CLI: true})
	if err != nil {
		t.Fatal(err)
	}
	state := parse(pending.URL).Get("state")
	for text, words := range map[string]string{
		"":         "does not begin with",
		"nonsense": "does not begin with",
		"http://evil.example/auth/callback?code=c&state=" + state: "does not begin with",
		base + "/other?code=c&state=" + state:                     "does not begin with",
		base + login.CallbackPath + "?code=c&state=guessed":       "belongs to no login",
		base + login.CallbackPath + "?state=" + state:             "does not begin with",
		pending.URL:                   "the address to open",
		"a-word-that-might-be-a-code": "does not accept that code",
		strings.Repeat("x", 100_000):  "",
	} {
		if err := pending.Paste(t.Context(), text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.80q: %v", text, err)
		}
	}
	if err := pending.Paste(t.Context(), respond(t, pending)); err != nil {
		t.Error(err)
	}
	if tokens, err := pending.Wait(t.Context()); err != nil || tokens == nil {
		t.Errorf("%v, %v", tokens, err)
	}
}

// A code alone is for the login of the terminal that it was pasted into, whatever else waits, and never for a page's.
func TestPasteCodeOfOne(t *testing.T) {
	t.Parallel()
	f := newScene(t).flow(t, login.Config{})
	page, other := begin(t, f, login.Request{Browser: "cookie"}), begin(t, f, login.Request{CLI: true})
	mine := begin(t, f, login.Request{CLI: true})
	if err := page.Paste(t.Context(), parse(respond(t, page)).Get("code")); err == nil {
		t.Error("the login of a page is ended by a code alone")
	}
	code := parse(respond(t, mine)).Get("code")
	if err := other.Paste(t.Context(), code); err == nil { // the code verifier is another one
		t.Error("a code of another login is taken")
	}
	if err := mine.Paste(t.Context(), code); err != nil {
		t.Error(err)
	}
	if _, err := mine.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzPaste(f *testing.F) {
	for _, seed := range []string{"", "x", base + login.CallbackPath + "?code=c&state=s", "?error=x&state=y",
		"&amp;code=1\n2&state=3", "\xff?state=%zz"} {
		f.Add(seed)
	}
	s := newScene(f)
	flow := s.flow(f, login.Config{})
	pending, err := flow.Begin(f.Context(), login.Request{Browser: "cookie"})
	if err != nil {
		f.Fatal(err)
	}
	state := parse(pending.URL).Get("state")
	f.Fuzz(func(t *testing.T, text string) {
		if err := pending.Paste(t.Context(), text); err == nil && !strings.Contains(text, state) {
			t.Errorf("%q is a response", text)
		}
	})
}
