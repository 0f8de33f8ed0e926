//go:build race

package integration

// raced: the tests, and thus the programs, are built with -race.
const raced = true
