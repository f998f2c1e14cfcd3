package provider

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// TestLifetime reads expires_in in the forms that providers write.
func TestLifetime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0).UTC()
	for raw, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `3600.9`: time.Hour, `1e3`: 1000 * time.Second,
		`0`: 0, ``: 0, `null`: 0, `"soon"`: 0, `{}`: 0, `true`: 0, `"NaN"`: 0,
		`1e300`: 100 * 365 * 24 * time.Hour, `"Inf"`: 100 * 365 * 24 * time.Hour, `-1`: -1, `"-Inf"`: -1,
	} {
		got, err := lifetime(json.RawMessage(raw), now)
		switch {
		case want < 0:
			if !errors.Is(err, ErrExpired) {
				t.Errorf("%s: %v, %v", raw, got, err)
			}
		case want == 0:
			if err != nil || !got.IsZero() {
				t.Errorf("%s: %v, %v", raw, got, err)
			}
		case err != nil || got.Sub(now) != want:
			t.Errorf("%s: %v, %v", raw, got, err)
		}
	}
}

// TestScopeAsAList reads a scope that is a JSON list.
func TestScopeAsAList(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{`"a b"`: "a b", `["a","b"]`: "a b", `[]`: "", `""`: "", `null`: ""} {
		var s scopeText
		if err := json.Unmarshal([]byte(raw), &s); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", raw, s, err)
		}
	}
	var s scopeText
	if json.Unmarshal([]byte(`7`), &s) == nil {
		t.Error("a number is a scope")
	}
}
