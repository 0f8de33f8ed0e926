//go:build !linux

package tree

// UsageOf returns false, because it is implemented on Linux only.
func UsageOf(int) (Usage, bool) { return Usage{}, false }
