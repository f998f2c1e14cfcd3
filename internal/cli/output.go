package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/loopkey/loopkey/internal/words"
)

// checkOutput refuses a value of --output that is none of forms.
func checkOutput(output string, forms ...string) error {
	if slices.Contains(forms, output) {
		return nil
	}
	last := len(forms) - 1
	return fmt.Errorf("%w: --output is %q: it is %s or %s",
		errUsage, output, strings.Join(forms[:last], ", "), forms[last])
}

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
