//go:build race

package hostile

// fewer leaves a fifth of what is done often: under the race detector each process takes five times as long.
func fewer(n int) int { return n / 5 }
