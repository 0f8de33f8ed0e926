//go:build !linux

package supervisor

// Usage returns false: what processes use is known on Linux alone.
func (s Status) Usage() (Usage, bool) { return Usage{}, false }
