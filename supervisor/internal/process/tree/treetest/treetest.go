// Package treetest has helpers for tests of process trees with and without control groups.
package treetest

import (
	"testing"

	"example.com/crashlab/supervisor/internal/process/tree"
)

// Each runs a test with control groups, where they can be created, and without.
func Each(t *testing.T, test func(t *testing.T, noCgroup bool)) {
	t.Run("control group", func(t *testing.T) {
		NeedsCgroup(t)
		test(t, false)
	})
	t.Run("marks", func(t *testing.T) { test(t, true) })
}

// NeedsCgroup skips the test where no control group can be created.
func NeedsCgroup(t *testing.T) {
	t.Helper()
	tree := tree.New(true)
	defer tree.Close()
	if tree.Handle().Cgroup == "" {
		t.Skip("no control group of version 2 that can be made")
	}
}
