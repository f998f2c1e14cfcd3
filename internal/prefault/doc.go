// Package prefault maps what every start of the program touches, in two calls in place of about a hundred page faults.
//
// A start runs the initialisation of two hundred packages, each on a page of code of its own that allocates on a page
// of heap that nobody used yet. The kernel maps each at its first use, by a fault. Where a hypervisor takes part in a
// fault (virtual machines, development containers, CI) one costs 10 to 25 µs, and these were a quarter of the time of
// `loopkey token`. Elsewhere a fault costs less than 1 µs, and the calls cost about what they save. A first start,
// with the program still on the disk, gains too: it is read in one piece (38 in place of 45 ms, measured on ext4).
//
// It works by being imported. It is the one package whose init does something, because later is too late: by main,
// the faults have happened. It imports syscall and unsafe alone, so that its turn comes before almost all others:
// packages are initialised when all that they import is, and then by their path.
package prefault
