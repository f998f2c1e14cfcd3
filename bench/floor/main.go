// Command floor does what any program has to do that reads a secret from the keychain: one Get. The bench compares
// loopkey with it. With set it stores what it reads from stdin, with delete it removes that, both under a name that may
// follow; with memory it runs a program and says how much memory that had, and without arguments it does nothing but
// start.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/zalando/go-keyring"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func run(args []string) error {
	const service = "loopkey-bench"
	if len(args) == 0 {
		return nil
	}
	user := "floor"
	if len(args) == 2 {
		user = args[1]
	}
	switch args[0] {
	case "get":
		secret, err := keyring.Get(service, user)
		fmt.Println(secret) //nolint:forbidigo // this is a main
		return err
	case "set":
		secret, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		return keyring.Set(service, user, string(secret))
	case "delete":
		return keyring.Delete(service, user)
	case "memory":
		cmd := exec.Command(args[1], args[2:]...) //nolint:gosec,noctx // the bench chooses the program, and ends it
		cmd.Stderr = os.Stderr
		err := cmd.Run()
		fmt.Println(memory(cmd.ProcessState)) //nolint:forbidigo // this is a main
		return err
	default:
		return fmt.Errorf("unknown argument %q", args[0])
	}
}
