package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// similar returns the name among names that may have been meant by word, or "". Of two that are as near, it is the
// longer one: a letter is left out more often than it is typed without need.
func similar(word string, names []string) string {
	best, found := (len(word)+1)/3+1, "" // two letters of five may be wrong, one of three
	for _, name := range names {
		d := distance(strings.ToLower(word), strings.ToLower(name))
		if d > 0 && d < len(name) && (d < best || d == best && found != "" && len(name) > len(found)) {
			best, found = d, name
		}
	}
	return found
}

// distance returns how many letters have to be added, left out, replaced or exchanged with their neighbour to make one
// word of the other.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// commandNames returns the names and aliases of the commands that a person runs.
func commandNames(root *cobra.Command) []string {
	var names []string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			names = append(append(names, cmd.Name()), cmd.Aliases...)
		}
	}
	return names
}

// flagNames returns the names of the flags of a command.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { // cobra has added those of its parents
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}
