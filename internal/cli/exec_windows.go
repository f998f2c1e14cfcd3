package cli

import "os"

var passedSignals = []os.Signal{os.Interrupt}

// passSignal does nothing: the console has sent Ctrl-C to the command as well, and Windows has no other signals.
func passSignal(*os.Process, os.Signal) {}

func exitCode(state *os.ProcessState) int { return state.ExitCode() }
