//go:build race

package integration

// raced: the tests were built with -race, so the binaries are too.
const raced = true
