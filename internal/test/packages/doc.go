// Package packages tests what a release is made of: .goreleaser.yaml, the packages for Linux, the Homebrew cask, and
// that two builds of one commit are the same bytes.
package packages
