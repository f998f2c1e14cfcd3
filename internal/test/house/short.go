package house

import (
	"maps"
	"os"
	"slices"
	"testing"
)

// Shorter returns how often a test repeats what it repeats n times: a tenth of that with -short.
func Shorter(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// Often returns how often a test repeats what may fail once in many times: n with LOOPKEY_TEST_LONG=1, else an eighth
// of that, and less with -short or the race detector, which makes each process take five times as long.
func Often(n int) int {
	switch {
	case testing.Short():
		return Shorter(n)
	case underRace:
		return n / 5
	case os.Getenv("LOOPKEY_TEST_LONG") != "1":
		return max(1, n/8)
	}
	return n
}

// Some returns a table, with -short only its first two cases by name.
func Some[Case any](table map[string]Case) map[string]Case {
	if !testing.Short() {
		return table
	}
	result := map[string]Case{}
	for _, name := range Few(slices.Sorted(maps.Keys(table))) {
		result[name] = table[name]
	}
	return result
}

// Few returns a list, with -short only its first two elements.
func Few[Element any](list []Element) []Element {
	if testing.Short() {
		return list[:min(2, len(list))]
	}
	return list
}
