package supervisor

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadLines(t *testing.T) {
	mib := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", nil},
		{"one line", "a\n", []string{"a"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"a partial last line", "a\nb", []string{"a", "b"}},
		{"1 MiB", mib + "\nb\n", []string{mib, "b"}},
		{"1 MiB without newline", mib, []string{mib}},
		{"1 MiB and a byte", mib + "y\nb\n", []string{mib, "y", "b"}},
		{"2 MiB", mib + mib + "\n", []string{mib, mib}},
	} {
		for how, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r },
			"halves":  iotest.HalfReader,
			"failing": func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(io.ErrClosedPipe)) },
		} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				var got []string
				readLines(wrap(strings.NewReader(tt.input)), func(line []byte) {
					got = append(got, string(line))
					clear(line) // the buffer is the reader's, but never read again
				})
				if !slices.Equal(got, tt.want) {
					t.Errorf("got lines of %v bytes, want %v", lengths(got), lengths(tt.want))
				}
			})
		}
	}
}

func lengths(lines []string) []int {
	var n []int
	for _, l := range lines {
		n = append(n, len(l))
	}
	return n
}
