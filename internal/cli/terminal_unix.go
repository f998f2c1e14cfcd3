//go:build unix

package cli

// ttyPath is the person's terminal, whatever stdin is.
const ttyPath = "/dev/tty"
