package localhost

// mostStrangers returns 2000: memory alone limits the connections of a process.
func mostStrangers() int { return 2000 }

// MostStreams returns how many connections a server may keep that it has taken over from Serve, which no longer counts
// them.
func MostStreams() int { return 1500 }
