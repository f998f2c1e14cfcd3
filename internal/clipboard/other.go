//go:build !windows

package clipboard

import "context"

func copyToWindows(context.Context, string) error { return ErrNone }

func clearWindows(context.Context, string) (bool, error) { return false, ErrNone }
