package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/loopkey/loopkey/internal/terminal"
	"github.com/loopkey/loopkey/internal/words"
)

// printTable prints a table: heading and rows of columns that tabs separate. Where it is wider than the terminal, a
// person could not read it: then each row is printed by narrow, over several lines. What follows a row's first line is
// in no column.
func (a *app) printTable(heading string, rows []string, narrow func(i int) string) error {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	if heading != "" {
		_, _ = fmt.Fprintln(w, heading)
	}
	below := map[int]string{}
	for i, row := range rows {
		row, below[i], _ = strings.Cut(row, "\n")
		_, _ = fmt.Fprintln(w, row)
	}
	_ = w.Flush() // a Builder takes everything
	lines := strings.SplitAfter(table.String(), "\n")
	for i, more := range below {
		if at := len(lines) - 1 - len(rows) + i; more != "" { // the last one is empty
			lines[at] += more + "\n"
		}
	}
	text := strings.Join(lines, "")
	if width := terminal.Width(a.stdout); width > 0 && widest(text) > width {
		text = ""
		for i := range rows {
			text += narrow(i) + "\n"
		}
	}
	_, err := io.WriteString(a.stdout, text)
	return notWritten(err)
}

// notWritten is the error of a write to the standard output, or nil.
func notWritten(err error) error {
	if err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// widest returns the length of the longest line of a text, in characters.
func widest(text string) int {
	most := 0
	for line := range strings.Lines(text) {
		most = max(most, utf8.RuneCountInString(strings.TrimRight(line, " \n")))
	}
	return most
}

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
	return notWritten(err)
}
