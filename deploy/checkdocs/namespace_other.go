//go:build !linux

package main

// adoptOrphans does nothing: process 1 reaps orphans.
func adoptOrphans() {}

// rerunInNamespace does nothing: only Linux has network namespaces.
func rerunInNamespace() (code int, ok bool) { return 0, false }

func loopbackUp() error { return nil }
