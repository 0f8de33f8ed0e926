package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

const patience = processtest.Patience

// end is a writer that keeps what is written, and blocks and fails on demand.
type end struct {
	stuck chan struct{} // closed: writes no longer block; nil: they never do

	mu     sync.Mutex
	text   []byte
	fails  error // the error of further writes
	writes int
	room   int // number of bytes that further writes take before they fail
}

func (e *end) Write(lines []byte) (int, error) {
	if e.stuck != nil {
		<-e.stuck
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes++
	if e.fails == nil {
		e.text = append(e.text, lines...)
		return len(lines), nil
	}
	n := min(e.room, len(lines))
	e.room -= n
	e.text = append(e.text, lines[:n]...)
	return n, e.fails
}

func (e *end) fail(err error, room int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fails, e.room = err, room
}

func (e *end) got() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.text)
}

func count(text string) uint64 { return uint64(strings.Count(text, "\n")) }

func lostBy(l *Losses) uint64 {
	n, _ := l.Lost()
	return n
}

// numbered returns lines with consecutive numbers, each of about size bytes.
func numbered(from, n, size int) []byte {
	xs := strings.Repeat("x", size+6)
	b := make([]byte, 0, n*(size+16))
	for i := from; i < from+n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), ' ')
		b = append(append(b, xs[:size+i%7]...), '\n')
	}
	return b
}

func TestStuckSinkLosesLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &end{stuck: make(chan struct{})}
		s := &Sink{To: e}
		begin := time.Now()
		const n, size = 30_000, 90
		for i := 0; i < n; i += 100 {
			s.Put("a", numbered(i, 100, size))
		}
		s.Put("b", []byte("hello\n"))
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("waited %v", waited)
		}
		close(e.stuck)
		s.Close(time.Second)
		got := e.got()
		if count(got)+lostBy(&s.Losses) != n+1 || len(got) < maxQueued/2 || len(got) > 2*maxQueued+200 {
			t.Errorf("%d lines of %d bytes came and %d were lost, want all %d, and about %d bytes", count(got), len(got), lostBy(&s.Losses), n+1, maxQueued)
		}
		if !strings.HasSuffix(got, "hello\n") {
			t.Error("many lines of one source displaced that of another")
		}
	})
}

func TestPutAllWaitsForSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &end{stuck: make(chan struct{})}
		s := &Sink{To: e}
		const n, size = 100_000, 90
		written := make(chan struct{})
		go func() {
			defer close(written)
			for i := 0; i < n; i += 100 {
				s.PutAll("a", numbered(i, 100, size), nil)
			}
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Fatal("it did not wait")
		default:
		}
		close(e.stuck)
		<-written
		s.Close(time.Second)
		if got := e.got(); got != string(numbered(0, n, size)) || lostBy(&s.Losses) != 0 {
			t.Errorf("%d lines came and %d were lost, want all %d", count(got), lostBy(&s.Losses), n)
		}
		if e.writes > n/1000 {
			t.Errorf("%d writes: want batches", e.writes)
		}
	})
}

// When the process has ended, what its pipe still held is queued, within bounds.
func TestPutAllAfterTheProcessEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &end{stuck: make(chan struct{})}
		s := &Sink{To: e}
		s.Put("a", []byte("first\n"))
		synctest.Wait()
		ended := make(chan struct{})
		big := numbered(0, 9000, 100)
		s.PutAll("a", big, ended)
		go func() {
			time.Sleep(time.Hour)
			close(ended)
		}()
		begin := time.Now()
		for range 10 {
			s.PutAll("a", big, ended)
		}
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("waited %v", waited)
		}
		if len(s.queue) > 3*maxQueued || len(s.queue) < 2*maxQueued {
			t.Errorf("%d bytes are queued", len(s.queue))
		}
		close(e.stuck)
		s.Close(time.Second)
		if got := count(e.got()) + lostBy(&s.Losses); got != 11*9000+1 {
			t.Errorf("%d lines in all", got)
		}
	})
}

func TestLostLinesAreReportedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &end{stuck: make(chan struct{})}
		reports := 0
		s := &Sink{To: e, Losses: Losses{Tell: func(source string, n uint64, err error) {
			if reports++; source != "a" || n == 0 || err != nil {
				t.Errorf("reported %q, %d, %v", source, n, err)
			}
		}}}
		lines := numbered(0, 200, 100)
		for begin := time.Now(); time.Since(begin) < 6*time.Second; time.Sleep(10 * time.Millisecond) {
			s.Put("a", lines)
		}
		synctest.Wait()
		if reports != 5 {
			t.Errorf("reported %d times in 6 s, want 5", reports)
		}
		s.Losses.Flush()
		if reports != 6 {
			t.Errorf("reported %d times at the end, want 6", reports)
		}
		close(e.stuck)
		s.Close(time.Second)
	})
}

func TestCloseDoesNotWaitForAStuckEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &end{stuck: make(chan struct{})}
		s := &Sink{To: e}
		s.Put("a", []byte("1\n"))
		synctest.Wait()
		s.Put("a", []byte("2\n3\n")) // they queue while the first write is stuck
		begin := time.Now()
		s.Close(time.Second)
		if waited := time.Since(begin); waited != time.Second {
			t.Errorf("ended after %v, want 1 s", waited)
		}
		s.Put("a", []byte("4\n"))
		s.PutAll("a", []byte("5\n"), nil)
		if got := lostBy(&s.Losses); got != 4 {
			t.Errorf("%d lines are lost, want 4", got)
		}
		close(e.stuck)
		synctest.Wait()
		if e.got() != "1\n" {
			t.Errorf("got %q", e.got())
		}
	})
}

// Close waits longer if the writer makes progress.
func TestCloseWaitsForASlowEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		s := &Sink{To: writer(func(lines []byte) {
			time.Sleep(900 * time.Millisecond)
			got = append(got, lines...)
		})}
		s.Put("a", []byte("1\n"))
		synctest.Wait()
		s.Put("a", []byte("2\n"))
		s.Close(time.Second)
		if string(got) != "1\n2\n" || lostBy(&s.Losses) != 0 {
			t.Errorf("got %q, lost %d", got, lostBy(&s.Losses))
		}
	})
}

// As after a full disk.
func TestLineAfterAFailedWriteIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, full := new(end), errors.New("disk full")
		s := &Sink{To: e}
		put := func(line string) {
			s.Put("", []byte(line))
			synctest.Wait()
		}
		put(`{"seq":1}` + "\n")
		e.fail(full, 4)
		put(`{"seq":2}` + "\n")
		put(`{"seq":3}` + "\n")
		if n, err := s.Losses.Lost(); n != 2 || err != full {
			t.Errorf("%d lines are lost, %v; want 2, %v", n, err, full)
		}
		e.fail(nil, 0)
		put(`{"seq":4}` + "\n")
		put(`{"seq":5}` + "\n")
		if n, err := s.Losses.Lost(); n != 2 || err != nil {
			t.Errorf("%d lines are lost, %v; want 2 and no error", n, err)
		}
		if want := `{"seq":1}` + "\n" + `{"se` + "\n" + `{"seq":4}` + "\n" + `{"seq":5}` + "\n"; e.got() != want {
			t.Errorf("got\n%swant\n%s", e.got(), want)
		}
		s.Close(time.Second)
	})
}

// An idle sink has no goroutine and no buffer.
func TestIdleSinkHoldsNothing(t *testing.T) {
	s := &Sink{To: io.Discard}
	for range 3 {
		s.Put("", []byte("hello\n"))
		if !s.Flush(patience) {
			t.Fatal("it hangs")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue != nil {
		t.Error("a buffer is left")
	}
}

// However the writer behaves, each line either arrives whole and in order, or is counted as lost.
func TestSinkAccountsForEveryLine(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var got bytes.Buffer
			s := &Sink{Limit: 500, To: writerFunc(func(lines []byte) (int, error) {
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				if rng.IntN(4) > 0 {
					return got.Write(lines)
				}
				n := rng.IntN(len(lines))
				got.Write(lines[:n])
				return n, io.ErrShortWrite
			})}
			var putting sync.WaitGroup
			const n = 300
			for _, source := range []string{"a", "b", "c"} {
				pauses := rand.New(rand.NewPCG(seed, uint64(source[0])))
				putting.Go(func() {
					for i := range n {
						line := fmt.Appendf(nil, "<%s %d>\n", source, i)
						if source == "c" {
							s.PutAll(source, line, nil)
						} else {
							s.Put(source, line)
						}
						time.Sleep(time.Duration(pauses.IntN(3)) * time.Millisecond)
					}
				})
			}
			putting.Wait()
			s.Close(time.Second)
			last, whole := map[string]int{"a": -1, "b": -1, "c": -1}, uint64(0)
			for line := range strings.Lines(got.String() + "\n") { // the next write would begin with a newline
				var source string
				var i int
				if k, _ := fmt.Sscanf(line, "<%1s %d>\n", &source, &i); k < 2 || line != fmt.Sprintf("<%s %d>\n", source, i) {
					continue // part of a line, or a newline after one
				}
				if whole++; i <= last[source] {
					t.Fatalf("seed %d: line %d of %s after %d", seed, i, source, last[source])
				}
				last[source] = i
			}
			if lost := lostBy(&s.Losses); whole+lost != 3*n || whole == 0 || lost == 0 {
				t.Errorf("seed %d: %d lines came and %d are lost of %d", seed, whole, lost, 3*n)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }
