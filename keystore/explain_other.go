//go:build !(dragonfly || freebsd || linux || netbsd || openbsd)

package keystore

// look finds the keychain; here it is part of the system.
func look() error { return nil }

// abandon would end a call that was left behind; here nothing can.
func abandon() {}
