package provider

import "testing"

// TestObject decodes one JSON object and nothing else.
func TestObject(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{}`: true, " {\"a\":1}\n": true,
		`null`: false, `[]`: false, `7`: false, `"x"`: false, ``: false, `{}{}`: false, `{} x`: false, `{`: false,
	} {
		var into struct{ A int }
		if (object([]byte(body), &into) == nil) != ok {
			t.Errorf("%q", body)
		}
	}
}
