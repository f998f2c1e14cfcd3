//go:build !race

package hostile

func fewer(n int) int { return n }
