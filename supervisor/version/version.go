// Package version says which version a program is. The three programs share it.
package version

import (
	"fmt"
	"runtime/debug"
)

// Of returns the program's name, its version as the Go toolchain has recorded it, and the toolchain's own.
func Of(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program + " (unknown version)"
	}
	return fmt.Sprintf("%s %s %s", program, info.Main.Version, info.GoVersion)
}
