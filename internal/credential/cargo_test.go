package credential_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/credential"
)

// cargo runs the helper with what cargo writes, and returns what it replies after its hello.
func cargo(t *testing.T, input string) (replies string, handed bool, err error) {
	t.Helper()
	var s source
	var out bytes.Buffer
	call := s.call(&out, input)
	call.With = func([]string) (credential.Call, error) { return s.call(&out, ""), nil }
	err = credential.Cargo(t.Context(), call)
	replies, ok := strings.CutPrefix(out.String(), "{\"v\":[1]}\n")
	if !ok {
		t.Fatalf("the hello is missing: %q", out.String())
	}
	return replies, s.handed, err
}

// cargo never gets a token for another registry than a listed one, whatever is in its requests.
func FuzzCargo(f *testing.F) {
	for _, seed := range []string{
		`"sparse+https://git.acme.example/index/"`, `"https://git.acme.example/index"`, `"sparse+http://git.acme.example/"`,
		`"sparse+https://a@git.acme.example/"`, `"x","index-url":"sparse+https://git.acme.example/"`, `null`, `"sparse+"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, index string) {
		request := `{"v":1,"kind":"get","operation":"read","registry":{"index-url":` + index + `},"args":[]}`
		replies, handed, err := cargo(t, request)
		if handed != strings.Contains(replies, secret) {
			t.Fatalf("error %v, a token: %t, replies %q", err, handed, replies)
		}
		for line := range strings.Lines(replies) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %q", line)
			}
		}
		if !handed {
			return
		}
		var asked struct {
			Registry map[string]any `json:"registry"`
		}
		if err := json.Unmarshal([]byte(request), &asked); err != nil {
			t.Skip() // Also with LOOPKEY_TEST_REAL: the fuzzer finds inputs, and this is none.
		}
		url, ok := strings.CutPrefix(asked.Registry["index-url"].(string), "sparse+")
		if !ok || !leadsToListed(url, "https") {
			t.Errorf("a token for %q", request)
		}
	})
}

// Each request has its reply, in cargo's words.
func TestCargoReplies(t *testing.T) {
	t.Parallel()
	const registry = `{"index-url":"sparse+https://` + listed + `/"}`
	const good = `{"v":1,"kind":"get","operation":"read","registry":` + registry + `,"args":[]}`
	for request, want := range map[string]string{
		good:                                    `{"Ok":{"kind":"get","token":"Bearer ` + secret + `","cache":"expires",`,
		good + "\n" + good:                      `"operation_independent":true}}` + "\n" + `{"Ok":`,
		strings.Replace(good, "sparse+", "", 1): `{"Err":{"kind":"url-not-supported"}}`,
		strings.Replace(good, listed, "evil.example", 1):   `{"Err":{"kind":"url-not-supported"}}`,
		strings.Replace(good, "https", "http", 1):          `{"Err":{"kind":"url-not-supported"}}`,
		strings.Replace(good, `"get"`, `"login"`, 1):       `{"Err":{"kind":"operation-not-supported",`,
		strings.Replace(good, `"get"`, `"logout"`, 1):      `{"Err":{"kind":"operation-not-supported",`,
		strings.Replace(good, `"v":1`, `"v":2`, 1):         `{"Err":{"kind":"other","message":"loopkey: `,
		strings.Replace(good, `"v":1`, `"v":1,"v":1`, 1):   `comes twice","caused-by":[]}}`,
		strings.Replace(good, `"args":[]`, `"args":{}`, 1): `{"Err":{"kind":"other",`,
		`}`:                    `{"Err":{"kind":"other",`,
		"{\n" + good:           "\n" + `{"Ok":`, // after a request that can't be read comes the next one
		`{"v":1,"kind":"get"}`: `{"Err":{"kind":"other",`,
	} {
		replies, _, err := cargo(t, request)
		if err != nil || !strings.Contains(replies, want) {
			t.Errorf("%s\n%v: the reply is\n%s", request, err, replies)
		}
	}
	if replies, handed, err := cargo(t, good[:40]+strings.Repeat(" ", 1<<20)+good[40:]); err == nil || handed {
		t.Errorf("a request that is too long: %v, %q", err, replies)
	}
}
