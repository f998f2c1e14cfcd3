//go:build !linux && !darwin && !windows

package journal

import "os"

// Parent returns the ID of the program that started this process. Its name is not told here.
func Parent() (name string, pid int) { return "", os.Getppid() }
