package hostile

import (
	"maps"
	"slices"
	"testing"
)

// shorter returns how often a test repeats what it repeats n times: a tenth of that with -short.
func shorter(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// fewer is shorter, and a fifth with the race detector, which makes each process take five times as long.
func fewer(n int) int {
	if underRace && !testing.Short() {
		return n / 5
	}
	return shorter(n)
}

// some returns a table, with -short only its first two cases by name.
func some[Case any](table map[string]Case) map[string]Case {
	if !testing.Short() {
		return table
	}
	result := map[string]Case{}
	for _, name := range few(slices.Sorted(maps.Keys(table))) {
		result[name] = table[name]
	}
	return result
}

// few returns a list, with -short only its first two elements.
func few[Element any](list []Element) []Element {
	if testing.Short() {
		return list[:min(2, len(list))]
	}
	return list
}
