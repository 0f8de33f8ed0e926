//go:build !linux

package tree

// UsageOf returns false: what processes use is known on Linux alone.
func UsageOf(int) (Usage, bool) { return Usage{}, false }
