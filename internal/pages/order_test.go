package pages

import (
	"slices"
	"testing"
)

func TestByNumbers(t *testing.T) {
	t.Parallel()
	want := []string{
		"", "1 a", "2", "2 a", "10", "a", "a 01", "a 1", "a 2", "a 2 b 9", "a 2 b 10", "a 10", "a 99999999999999999998",
		"a 99999999999999999999", "a b", "ä",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	if slices.SortFunc(got, byNumbers); !slices.Equal(got, want) {
		t.Errorf("sorted: %q", got)
	}
	for i, a := range want {
		for j, b := range want {
			if c := byNumbers(a, b); (c < 0) != (i < j) || (c > 0) != (i > j) {
				t.Errorf("%q, %q: %d", a, b, c)
			}
		}
	}
}
