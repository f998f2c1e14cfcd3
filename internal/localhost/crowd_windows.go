package localhost

// mostStrangers returns 2000: memory alone limits the connections of a process.
func mostStrangers() int { return 2000 }
