// Package hostile holds the proof that loopkey holds: an OpenID provider that
// lies in every way that one can think of, networks and disks that fail, and
// neighbours on the same machine. Its tests run the real loopkey against them.
package hostile
