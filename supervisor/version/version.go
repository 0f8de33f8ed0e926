// Package version says which version a program is. The three programs share it.
package version

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// stamped is the version that the linker was given with -X; empty: the one that the Go toolchain
// has recorded counts.
var stamped string

// Of returns the program's name, its version, and that of the Go toolchain.
func Of(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program + " " + cmp.Or(stamped, "(unknown version)")
	}
	return fmt.Sprintf("%s %s %s", program, cmp.Or(stamped, info.Main.Version), info.GoVersion)
}
