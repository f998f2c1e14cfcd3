package mcp_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/loopkey/loopkey/internal/mcp"
)

// With BRIDGE_TO, this program is a bridge: what a host runs.
func TestMain(m *testing.M) {
	url := os.Getenv("BRIDGE_TO")
	if url == "" {
		os.Exit(m.Run()) //nolint:forbidigo // as TestMain does
	}
	err := mcp.Run(context.Background(), mcp.Config{
		URL: url, In: os.Stdin, Out: os.Stdout, Log: func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a program for one test
	}
}
