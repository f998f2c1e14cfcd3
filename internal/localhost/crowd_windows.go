package localhost

// mostStrangers is bounded by memory alone.
func mostStrangers() int { return 2000 }
