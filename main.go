// Command loopkey logs a person in to an OpenID provider and keeps the session at hand for local tools.
package main

import (
	"context"
	"os"

	"github.com/loopkey/loopkey/internal/cli"
	_ "github.com/loopkey/loopkey/internal/prefault" // maps what a start touches
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.Arguments(os.Args), os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
