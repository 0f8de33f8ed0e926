package output

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

func TestLines(t *testing.T) {
	mib := strings.Repeat("x", maxLine)
	big := strings.Repeat("y", 3*readSize)
	for _, tt := range []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", nil},
		{"one line", "a\n", []string{"a"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"a partial last line", "a\nb", []string{"a", "b"}},
		{"longer than a buffer", "a\n" + big + "\nb", []string{"a", big, "b"}},
		{"1 MiB", mib + "\nb\n", []string{mib, "b"}},
		{"1 MiB, not the first", "a\n" + mib + "\nb\n", []string{"a", mib, "b"}},
		{"1 MiB without newline", mib, []string{mib}},
		{"1 MiB and a byte", mib + "y\nb\n", []string{mib, "y", "b"}},
		{"2 MiB", mib + mib + "\n", []string{mib, mib}},
		{"2 MiB without newline", mib + mib, []string{mib, mib}},
	} {
		for how, size := range map[string]int{"at once": len(tt.input), "in thousands": 1000, "in odd parts": 70_001} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				var got []string
				var b lineBuffer
				emit := func(lines []byte) {
					for line := range strings.Lines(string(lines)) {
						whole, found := strings.CutSuffix(line, "\n")
						if !found {
							t.Errorf("%d bytes without a newline", len(line))
						}
						got = append(got, whole)
					}
				}
				for input := tt.input; len(input) > 0; {
					n := copy(b.space(), input[:min(size, len(input))])
					b.add(n, emit)
					input = input[n:]
				}
				b.end(emit)
				if !slices.Equal(got, tt.want) {
					t.Errorf("got lines of %v bytes, want %v", lengths(got), lengths(tt.want))
				}
				if b.bytes != nil {
					t.Errorf("a buffer of %d bytes is left", cap(b.bytes))
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

// A process that left the group may keep the pipe open forever.
func TestReadingEndsAtItsDeadline(t *testing.T) {
	l := newLines(nil)
	in, r := l.open(t, "a", false)
	defer in.Close()
	in.Write([]byte("one\ntwo"))
	r.ProcessEnded(time.Now().Add(time.Millisecond))
	r.Run()
	l.Close()
	if !slices.Equal(l.all, []string{"a one", "a two"}) {
		t.Errorf("got %q", l.all)
	}
}

func TestSilentReplicasTakeNoBuffers(t *testing.T) {
	l := newLines(nil)
	const n = 200
	before := heap()
	var ins []*os.File
	ended := make(chan struct{})
	for i := range n {
		in, r := l.open(t, fmt.Sprint(i), false)
		ins = append(ins, in)
		go func() { r.Run(); ended <- struct{}{} }()
		in.Write([]byte("hello\n"))
	}
	processtest.Eventually(t, "line of each", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.all) == n
	})
	processtest.Eventually(t, "memory of 8 KiB or less per replica", func() bool { return (heap()-before)/n <= 8<<10 })
	for _, in := range ins {
		in.Close()
		<-ended
	}
	l.Close()
}

// heap returns the size of the heap in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // the first one does not empty a sync.Pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// discard returns a pipe from which lines are read. For each empty line, it sends the number of
// lines since the one before.
func discard(t testing.TB, empty chan<- int) *os.File {
	n := 0
	h := NewHub(func(_ string, lines []byte) {
		for len(lines) > 0 {
			end := bytes.IndexByte(lines, '\n')
			if n++; end == 0 {
				empty <- n
				n = 0
			}
			lines = lines[end+1:]
		}
	}, func(string, string, uint64) { t.Error("lines are lost") }, patience)
	in, r, err := h.Open("a", "g", false)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { r.Run(); close(ended) }()
	t.Cleanup(func() { in.Close(); <-ended; h.Close() })
	return in
}

func TestLinesAreNotAllocated(t *testing.T) {
	lines := make(chan int)
	in := discard(t, lines)
	// The last line is empty. The text is short enough to be written, and read, in one call.
	text := append(numbered(0, 100, 20), '\n')
	if allocs := testing.AllocsPerRun(200, func() {
		in.Write(text)
		if n := <-lines; n != 101 {
			t.Errorf("%d lines came, want 101", n)
		}
	}); allocs > 3 { // the goroutine of the sink takes them
		t.Errorf("%v allocations per 100 lines", allocs)
	}
}

func BenchmarkOutput(b *testing.B) {
	lines := make(chan int, 1)
	in := discard(b, lines)
	text := append(numbered(0, 500, 90), '\n')
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		in.Write(text)
		<-lines
	}
}
