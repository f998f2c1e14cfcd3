//go:build !linux

package session_test

import "testing"

// descriptors can't tell here.
func descriptors(*testing.T, string) int { return 0 }
