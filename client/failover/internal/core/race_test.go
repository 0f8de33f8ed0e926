//go:build race

package core_test

// The race detector makes the simulations eight times as slow, and has nothing to find in their one
// goroutine.
func init() { share = 5 }
