package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// sink is an OnOutput that remembers, and blocks on demand.
type sink struct {
	*outputs
	stuck chan struct{} // closed: it blocks no more; nil: it never does
	slow  time.Duration // how long each line takes

	mu    sync.Mutex
	lines []string
	told  []uint64 // lost lines
}

func newSink(s *sink) *sink {
	s.outputs = newOutputs(func(replica string, line []byte) {
		if s.stuck != nil {
			<-s.stuck
		}
		time.Sleep(s.slow)
		s.mu.Lock()
		s.lines = append(s.lines, replica+" "+string(line))
		s.mu.Unlock()
		clear(line) // it is valid during the call only
	}, func(_, _ string, n uint64) {
		s.mu.Lock()
		s.told = append(s.told, n)
		s.mu.Unlock()
	})
	return s
}

// close waits for the sink however slow the machine is.
func (s *sink) close() { s.outputs.close(patience) }

func (s *sink) lostLines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum uint64
	for _, n := range s.told {
		sum += n
	}
	return int(sum)
}

// numbered is lines that each carry their number, of about a size.
func numbered(from, n, size int) []byte {
	xs := strings.Repeat("x", size+6)
	b := make([]byte, 0, n*(size+16))
	for i := from; i < from+n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), ' ')
		b = append(append(b, xs[:size+i%7]...), '\n')
	}
	return b
}

// checkNumbered fails unless lines are some of the numbered ones, whole and in
// order.
func checkNumbered(t *testing.T, lines []string, size int) {
	t.Helper()
	last := -1
	for _, l := range lines {
		number, text, _ := strings.Cut(strings.TrimPrefix(l, "a "), " ")
		n, err := strconv.Atoi(number)
		if err != nil || n <= last || len(text) != size+n%7 || strings.Trim(text, "x") != "" {
			t.Fatalf("after line %d came %d bytes: %.40q", last, len(l), l)
		}
		last = n
	}
}

func TestStuckSinkCostsAChildItsPatienceOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSink(&sink{stuck: make(chan struct{})})
		q := s.attach("a", "g")
		begin := time.Now()
		const n, size = 30_000, 90
		for i := 0; i < n; i += 100 {
			s.push(q, numbered(i, 100, size))
		}
		if waited := time.Since(begin); waited != outputPatience {
			t.Errorf("waited %v for the sink, want %v in all", waited, outputPatience)
		}
		if q.size() > maxQueued+200 {
			t.Errorf("%d bytes are queued, want at most %d and a line", q.size(), maxQueued)
		}
		close(s.stuck)
		synctest.Wait()
		s.detach(&reader{queue: q, delivered: make(chan struct{})})
		s.close()
		checkNumbered(t, s.lines, size)
		if got := len(s.lines) + s.lostLines(); got != n || len(s.lines) < maxQueued/(size+20) {
			t.Errorf("%d lines were delivered and %d lost, want all %d, and most of %d bytes delivered",
				len(s.lines), s.lostLines(), n, maxQueued)
		}
		if len(s.queues) > 0 {
			t.Errorf("queues are left: %v", s.queues)
		}
	})
}

func TestSlowSinkCostsLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSink(&sink{slow: 100 * time.Microsecond})
		q := s.attach("a", "g")
		begin := time.Now()
		const n, size = 40_000, 90 // a second of the sink's time for each MiB
		for i := 0; i < n; i += 100 {
			s.push(q, numbered(i, 100, size))
		}
		// Each time half the queue was delivered, about 5,000 lines.
		if waited := time.Since(begin); waited > 2*outputPatience {
			t.Errorf("waited %v for the sink, want at most %v", waited, 2*outputPatience)
		}
		time.Sleep(time.Minute)
		begin = time.Now()
		s.push(q, numbered(n, n, size)) // there is room again, and patience
		if waited := time.Since(begin); waited < outputPatience/2 || waited > 2*outputPatience {
			t.Errorf("waited %v for the sink when it was slow again, want about %v", waited, outputPatience)
		}
		time.Sleep(time.Minute)
		s.push(q, numbered(2*n, 1, size))
		s.detach(&reader{queue: q, delivered: make(chan struct{})})
		s.close()
		checkNumbered(t, s.lines, size)
		if got := len(s.lines) + s.lostLines(); got != 2*n+1 || !strings.HasPrefix(s.lines[len(s.lines)-1], "a 80000 ") {
			t.Errorf("%d lines were delivered and %d lost, want %d and the last delivered", len(s.lines), s.lostLines(), 2*n+1)
		}
	})
}

func TestLostLinesAreToldOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSink(&sink{stuck: make(chan struct{})})
		q := s.attach("a", "g")
		lines := numbered(0, 200, 100)
		for begin := time.Now(); time.Since(begin) < 6*time.Second; time.Sleep(10 * time.Millisecond) {
			s.push(q, lines)
		}
		synctest.Wait()
		if n := len(s.told); n != 5 {
			t.Errorf("told %d times in 6 s: want 5", n)
		}
		s.detach(&reader{queue: q, delivered: make(chan struct{})})
		if n := len(s.told); n != 6 {
			t.Errorf("told %d times at the end: want one more", n)
		}
		close(s.stuck)
		s.close()
	})
}

func TestEndDoesNotWaitForAStuckSink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSink(&sink{stuck: make(chan struct{})})
		for _, name := range []string{"a", "b"} {
			q := s.attach(name, "g")
			s.push(q, numbered(0, 100, 10))
			synctest.Wait()
			s.push(q, numbered(100, 100, 10)) // behind the batch in hand
			s.detach(&reader{queue: q, delivered: make(chan struct{})})
		}
		begin := time.Now()
		s.outputs.close(flushTime)
		if waited := time.Since(begin); waited != flushTime {
			t.Errorf("ended after %v, want %v", waited, flushTime)
		}
		// One is with the sink.
		if got := s.lostLines(); got != 399 {
			t.Errorf("%d lines are lost, want 399 of 400", got)
		}
		close(s.stuck)
		<-s.ended
		if len(s.lines) != 1 {
			t.Errorf("%d lines were delivered, want 1", len(s.lines))
		}
	})
}

func TestReplicasTakeTurns(t *testing.T) {
	for _, slow := range []time.Duration{0, 10 * time.Millisecond} {
		bubble(t, func(t *testing.T) {
			s := newSink(&sink{stuck: make(chan struct{}), slow: slow})
			a, b := s.attach("a", "g"), s.attach("b", "g")
			s.push(a, numbered(0, 10_000, 90))
			s.push(b, []byte("hello\n"))
			close(s.stuck)
			time.Sleep(time.Hour)
			synctest.Wait()
			before, most := 0, turnBytes
			for ; s.lines[before] != "b hello"; before++ {
				most -= len(s.lines[before])
			}
			if slow == 0 && most < -500 || slow > 0 && before > 1 {
				t.Errorf("with %v per line: %d other lines came first", slow, before)
			}
			for _, q := range []*queue{a, b} {
				s.detach(&reader{queue: q, delivered: make(chan struct{})})
			}
			s.close()
			if len(s.lines) != 10_001 {
				t.Errorf("%d lines came", len(s.lines))
			}
		})
	}
}

// One replica writes as fast as it can, and the others' lines all come.
func TestFloodLosesNothingOfOthers(t *testing.T) {
	s := newSink(&sink{})
	var reading sync.WaitGroup
	var ins []*os.File
	for i := range 10 {
		in, r, err := s.open(string(rune('a'+i)), "g")
		if err != nil {
			t.Fatal(err)
		}
		ins = append(ins, in)
		reading.Go(r.run)
	}
	for n := range 200 {
		ins[0].Write(numbered(250*n, 250, 90))
		for _, in := range ins[1:] {
			fmt.Fprintln(in, n)
		}
	}
	for _, in := range ins {
		in.Close()
	}
	reading.Wait()
	s.close()
	count := make(map[string]int)
	var flood []string
	for _, l := range s.lines {
		count[l[:1]]++
		if l[0] == 'a' {
			flood = append(flood, l)
		}
	}
	checkNumbered(t, flood, 90)
	for name, n := range count {
		if name == "a" && n+s.lostLines() != 50_000 || name != "a" && n != 200 {
			t.Errorf("%d lines of %s came, %d were lost", n, name, s.lostLines())
		}
	}
}

// Incarnations come and go while the sink is stuck: what is left of each is
// only what it wrote, within bounds.
func TestStuckSinkLeaksNoDescriptor(t *testing.T) {
	s := newSink(&sink{stuck: make(chan struct{})})
	before := descriptors(t)
	var last *reader
	for n := range 300 {
		in, r, err := s.open("a", "g")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // as a pipe need not hold all that
			in.Write(numbered(100*n, 100, 90))
			in.Close()
		}()
		r.run()
		if last := r.lastWritten(); len(last) != lastLinesKept || !strings.HasPrefix(last[19], fmt.Sprint(100*n+99)) {
			t.Fatalf("the last lines are %q", last)
		}
		if last != nil {
			<-last.delivered // nobody waits any more for the one before
		}
		last = r
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors are open, %d were before 300 incarnations", after, before)
	}
	close(s.stuck)
	s.close()
	checkNumbered(t, s.lines, 90)
	if got := len(s.lines) + s.lostLines(); got != 30_000 {
		t.Errorf("%d lines were delivered and %d lost, want all 30,000", len(s.lines), s.lostLines())
	}
}

// The whole of it, with a process that writes more than anyone takes.
func TestStuckOutputHoldsUpNothing(t *testing.T) {
	needs(t, "seq")
	const n = 500_000
	stuck := make(chan struct{})
	var delivered int
	var lost uint64
	var exit Event
	s := &Config{
		waits: &patient,
		Groups: []Group{{
			Count: 1, Policy: Policy{Restart: RestartNever},
			Replica: func(int) Replica { return Replica{Name: "a", Args: []string{"seq", fmt.Sprint(n)}} },
		}},
		OnOutput: func(string, []byte) {
			<-stuck
			delivered++
		},
		OnEvent: func(e Event) {
			lost += e.Lost
			if e.Kind == EventExited {
				exit = e
				close(stuck) // only now
			}
		},
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if delivered+int(lost) != n || lost == 0 {
		t.Errorf("%d lines were delivered and %d lost, want %d in all", delivered, lost, n)
	}
	if len(exit.Output) != lastLinesKept || exit.Output[lastLinesKept-1] != fmt.Sprint(n) {
		t.Errorf("the last lines are %q", exit.Output)
	}
	if !exit.Exit.Success() {
		t.Errorf("exit: %v", exit.Exit)
	}
}

// What the end cuts off is told last, and whose it was.
func TestOutputLostAtTheEnd(t *testing.T) {
	needs(t, "seq")
	stuck, given, exited := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var last Event
	w := patient
	w.flush = time.Millisecond
	s := &Config{
		waits: &w,
		Groups: []Group{{
			Name: "g", Count: 1, Policy: later,
			Replica: func(int) Replica { return Replica{Name: "a", Args: []string{"seq", "10"}} },
		}},
		OnOutput: func(string, []byte) {
			close(given) // there is but one call
			<-stuck
		},
		OnEvent: func(e Event) {
			if last = e; e.Kind == EventExited {
				close(exited)
			}
		},
	}
	defer close(stuck)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-given
		<-exited
		stop()
	}()
	if err := run(ctx, s); err != nil {
		t.Fatal(err)
	}
	if last.Kind != EventOutputLost || last.Replica != "a" || last.Group != "g" || last.Lost != 9 {
		t.Errorf("got %+v, want the loss of 9 lines of a in g", last)
	}
}

// A process that left the group keeps the pipe open.
func TestOutputOfARunawayHoldsUpNothing(t *testing.T) {
	needs(t, "setsid")
	script := `
		setsid sh -c 'echo $$; touch "$0"; exec sleep 300' "$0" &
		until [ -e "$0" ]; do sleep 0.01; done`
	gone := filepath.Join(t.TempDir(), "gone")
	r := start(t, one(Replica{Args: []string{"sh", "-c", script, gone}}, Policy{Restart: RestartNever}))
	r.ends()
	var pid int
	r.line("a %d", &pid)
	if runtime.GOOS == "linux" {
		waitDead(t, pid)
	} else {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(all)
}
