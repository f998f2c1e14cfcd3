// Package part is for tests that need a part of the machine: a program, a privilege, a kind of system.
package part

import (
	"fmt"
	"os"
	"testing"
)

// Missing skips a test for lack of a part that CI has, and says which. With LOOPKEY_TEST_REAL=1 it fails the test.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if os.Getenv("LOOPKEY_TEST_REAL") == "1" {
		t.Fatalf("%s, and LOOPKEY_TEST_REAL=1 requires it", what)
	}
	t.Skip(what) // Also with LOOPKEY_TEST_REAL: never, it has failed above.
}
