package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// TestMain makes the test binary also the browser of those that log in.
func TestMain(m *testing.M) {
	if os.Getenv(visitor) != "" {
		main()
		return
	}
	m.Run()
}

// Each row has loopkey in it, and processes that find an expired token at once make one request.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds loopkey anew")
	}
	t.Chdir("..") // it builds ./bench/floor
	var out strings.Builder
	if err := run(t.Context(), &out, io.Discard, measurement{runs: 1, together: []int{4}, keystore: "file"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"loopkey version", "a Go program that does nothing", "cached token  loopkey token",
		"renewal       loopkey token", "loopkey login",
		"loopkey, expired (1 request)", "size          loopkey",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing about %q in\n%s", want, out.String())
		}
	}
}
