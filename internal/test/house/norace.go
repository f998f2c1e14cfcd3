//go:build !race

package house

const underRace = false
