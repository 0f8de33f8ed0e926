// Package version returns the version of a program, for --version. The three programs share it.
package version

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// stamped is set by the linker with -X. If it is empty, the version that the Go toolchain recorded
// is used.
var stamped string

// Of returns the name of the program, its version, and the version of the Go toolchain.
func Of(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program + " " + cmp.Or(stamped, "(unknown version)")
	}
	return fmt.Sprintf("%s %s %s", program, cmp.Or(stamped, info.Main.Version), info.GoVersion)
}
