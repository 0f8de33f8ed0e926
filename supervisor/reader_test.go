package supervisor

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
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

// The last lines, however they arrive, are those that a plain split finds.
func TestLastWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var l lastWritten
		var all []string
		for range rng.IntN(30) {
			var part strings.Builder
			for range rng.IntN(30) {
				line := strings.Repeat("é", rng.IntN(3)*rng.IntN(400)) + strings.Repeat("x", rng.IntN(3))
				part.WriteString(line + "\n")
				all = append(all, line[:cutAt(line)])
			}
			l.add([]byte(part.String()))
		}
		want := all[max(0, len(all)-lastLinesKept):]
		if got := l.text(); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func cutAt(line string) int {
	n := min(len(line), lastLineSize)
	for !utf8.ValidString(line[:n]) {
		n--
	}
	return n
}

func TestLastWrittenIsText(t *testing.T) {
	var l lastWritten
	l.add([]byte("a\xffb\n" + strings.Repeat("\xff", 2*lastLineSize) + "\n" + strings.Repeat("\x80x", lastLineSize) + "\n"))
	for _, line := range l.text() {
		if !utf8.ValidString(line) || len(line) > lastLineSize || len(line) < 3 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}

// A process that left the group may keep the pipe open for ever.
func TestReadingEndsAtItsTime(t *testing.T) {
	s := newSink(&sink{})
	in, r, err := s.open("a", "g")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	in.Write([]byte("one\ntwo"))
	r.processEnded(time.Now().Add(ms))
	r.run()
	<-r.delivered
	s.close()
	if !slices.Equal(s.lines, []string{"a one", "a two"}) {
		t.Errorf("got %q", s.lines)
	}
}

func TestSilentReplicasTakeNoBuffers(t *testing.T) {
	s := newSink(&sink{})
	const n = 200
	before := heap()
	var ins []*os.File
	ended := make(chan struct{})
	for range n {
		in, r, err := s.open("a", "g")
		if err != nil {
			t.Fatal(err)
		}
		ins = append(ins, in)
		go func() { r.run(); ended <- struct{}{} }()
		in.Write([]byte("hello\n"))
	}
	eventually(t, "line of each", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.lines) == n
	})
	eventually(t, "rest in which a replica takes 8 KiB or less", func() bool { return (heap()-before)/n <= 8<<10 })
	for _, in := range ins {
		in.Close()
		<-ended
	}
	s.close()
}

// heap returns the bytes on it that are in use.
func heap() int {
	runtime.GC()
	runtime.GC() // a pool lasts for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// discard reads what is written to the returned pipe; its lines are counted.
func discard(t testing.TB, lines chan<- int) *os.File {
	n := 0
	o := newOutputs(func(_ string, line []byte) {
		if n++; len(line) == 0 {
			lines <- n
			n = 0
		}
	}, func(string, string, uint64) { t.Error("lines are lost") })
	in, r, err := o.open("a", "g")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { r.run(); close(ended) }()
	t.Cleanup(func() { in.Close(); <-ended; o.close(patience) })
	return in
}

func TestLinesAreNotAllocated(t *testing.T) {
	lines := make(chan int)
	in := discard(t, lines)
	// An empty line is the last. They are few enough to be written at once, and
	// so read at once.
	text := append(numbered(0, 100, 20), '\n')
	if allocs := testing.AllocsPerRun(200, func() {
		in.Write(text)
		if n := <-lines; n != 101 {
			t.Errorf("%d lines came, want 101", n)
		}
	}); allocs > 0 {
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
