//go:build race

package core_test

// The simulations are shorter with the race detector, which makes them eight times as slow and has
// nothing to find in a single goroutine.
func init() { share = 5 }
