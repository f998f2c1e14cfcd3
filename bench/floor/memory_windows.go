package main

import "os"

// memory is not told by Windows in this way.
func memory(*os.ProcessState) int64 { return 0 }
