//go:build !linux

package main

// adopt does nothing: process 1 reaps orphans.
func adopt() {}

// private does nothing: only Linux has network namespaces.
func private() (code int, ok bool) { return 0, false }

func loopbackUp() error { return nil }
