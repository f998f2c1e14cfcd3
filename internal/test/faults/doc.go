// Package faults tests the real loopkey where disks, keychains and folders fail, and where processes are killed.
// docs/security.md lists the cases.
package faults
