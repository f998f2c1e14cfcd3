package cli

import (
	"fmt"

	"github.com/loopkey/loopkey/internal/words"
)

// print prints a token, or what asJSON holds, in the form that --output names. Nothing else goes to stdout.
func (a *app) print(output, token string, asJSON any) error {
	var err error
	switch output {
	case "json":
		var text []byte
		if text, err = words.JSON(asJSON); err == nil {
			_, err = a.stdout.Write(text)
		}
	case "header":
		_, err = fmt.Fprintf(a.stdout, "Authorization: Bearer %s\n", token)
	default:
		_, err = fmt.Fprintln(a.stdout, token)
	}
	if err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}
