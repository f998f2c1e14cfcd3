package words_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/loopkey/loopkey/internal/words"
)

func TestName(t *testing.T) {
	t.Parallel()
	for want, claims := range map[string]map[string]any{
		"Ada Lovelace":                {"name": " Ada\n\tLovelace ", "email": "a@example.com"},
		"ada":                         {"preferred_username": "ada", "nickname": "the countess", "email": "a@example.com"},
		"the countess":                {"nickname": "the countess", "email": "a@example.com"},
		"a@example.com":               {"email": "a@example.com", "sub": "x"},
		"auth0|1":                     {"sub": "auth0|1", "name": 7, "nickname": "\u202e"},
		"somebody":                    {},
		strings.Repeat("é", 79) + "…": {"name": strings.Repeat("é", 200)},
	} {
		if got := words.Name(claims); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, claims := range map[string]map[string]any{
		"Ada Lovelace <a@example.com>": {"name": "Ada Lovelace", "email": "a@example.com"},
		"a@example.com":                {"name": "a@example.com", "email": "a@example.com"},
		"Ada":                          {"name": "Ada", "email": 7},
	} {
		if got := words.NameAndEmail(claims); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestInitials(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Ada Lovelace": "AL", "ada": "A", "ada.lovelace@example.com": "AL", "Émile de Zola": "ÉZ",
		"|||": "?", "": "?", "王 小明": "王小",
	} {
		if got := words.Initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		"an empty list":                      []any{},
		"“a”, “b”":                           []any{"a", "b"},
		"1, 2, 3, 4, 5, 6, 7, 8, and 2 more": []any{1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		"an object, true":                    []any{map[string]any{"a": "b"}, true},
		"“gnp”":                              "\u202egnp",
		"12345678901234567890":               json.Number("12345678901234567890"),
	} {
		if got := words.Claim(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", 59 * time.Second: "in 59s", 4*time.Minute + 10*time.Second: "in 4m 10s", 90 * time.Minute: "in 1h 30m",
		-74 * time.Hour: "3d 2h ago", -time.Second: "1s ago",
	} {
		if got := words.Distance(now.Add(d), now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Second: "1 second", 90 * time.Second: "90 seconds", time.Minute: "1 minute", 2 * time.Minute: "2 minutes",
		time.Hour: "1 hour", 25 * time.Hour: "1 day", 72 * time.Hour: "3 days",
	} {
		if got := words.Duration(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		90 * time.Second: "1m30s", 9 * time.Second: "9s", 89 * time.Second: "1m29s",
		12*time.Minute + time.Second: "12m", 5*time.Hour + 30*time.Minute: "5h30m", 48 * time.Hour: "48h0m",
	} {
		if got := words.Short(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := words.Moment(time.Time{}, now); got != "unknown" {
		t.Errorf("no time: %q", got)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{
		"plain", "\x1b[31mred", "a\u202Eb", "\xff\xfe", strings.Repeat("x", 10000), "line\nline", "\u009b2J",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{words.Printable(s), words.Name(map[string]any{"name": s}), words.Line(s, 600)} {
			if len([]rune(out)) > 700 {
				t.Errorf("%d runes", len([]rune(out)))
			}
			for _, r := range out {
				control := r < ' ' || r >= 0x7f && r < 0xa0
				direction := r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
				if control || direction {
					t.Errorf("%q lets %U through", s, r)
				}
			}
		}
	})
}

func TestUTC(t *testing.T) {
	t.Parallel()
	if words.UTC(time.Time{}) != nil {
		t.Error("the zero time is no time")
	}
	at := time.Date(2026, 5, 6, 14, 0, 0, 999, time.FixedZone("", 2*60*60))
	if got := words.UTC(at).Format(time.RFC3339Nano); got != "2026-05-06T12:00:00Z" {
		t.Error(got)
	}
}
