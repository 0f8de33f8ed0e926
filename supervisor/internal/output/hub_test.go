package output

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines collects what a hub delivers.
type lines struct {
	*Hub
	stuck chan struct{} // closed: delivery of a's lines no longer blocks; nil: it never does

	mu   sync.Mutex
	all  []string // each after the name of its replica
	lost uint64
}

func newLines(stuck chan struct{}) *lines {
	l := &lines{stuck: stuck}
	l.Hub = NewHub(func(replica string, text []byte) {
		if l.stuck != nil && replica == "a" {
			<-l.stuck
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for line := range strings.Lines(string(text)) {
			l.all = append(l.all, replica+" "+strings.TrimSuffix(line, "\n"))
		}
	}, func(_, _ string, n uint64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost += n
	}, patience)
	return l
}

func (l *lines) open(t testing.TB, replica string, drop bool) (*os.File, *Reader) {
	t.Helper()
	in, r, err := l.Open(replica, "g", drop)
	if err != nil {
		t.Fatal(err)
	}
	return in, r
}

// While delivery of one replica's lines is stuck, another's lines are delivered.
func TestStuckReplicaDelaysNoOther(t *testing.T) {
	l := newLines(make(chan struct{}))
	a, readA := l.open(t, "a", false)
	b, readB := l.open(t, "b", false)
	var reading, writing sync.WaitGroup
	reading.Go(readA.Run)
	reading.Go(readB.Run)
	const n, size = 50_000, 90
	writing.Go(func() { // blocks until delivery continues
		a.Write(numbered(0, n, size))
		a.Close()
	})
	b.Write(numbered(0, n, size))
	b.Close()
	<-readB.CaughtUp
	readB.Flush(patience)
	l.mu.Lock()
	if len(l.all) != n || l.all[n-1][:2] != "b " {
		t.Errorf("%d lines came, want all %d of b", len(l.all), n)
	}
	l.mu.Unlock()
	close(l.stuck)
	writing.Wait()
	reading.Wait()
	l.Close()
	if len(l.all) != 2*n || l.lost != 0 {
		t.Errorf("%d lines came, %d were lost, want %d", len(l.all), l.lost, 2*n)
	}
}

// While delivery is stuck, incarnations come and go, and leave only their output, which is bounded.
func TestStuckDeliveryLeaksNoDescriptor(t *testing.T) {
	l := newLines(make(chan struct{}))
	before := descriptors(t)
	for n := range 300 {
		in, r := l.open(t, "a", n%2 == 0)
		go func() { // a pipe may not hold all of it
			in.Write(numbered(100*n, 100, 90))
			in.Close()
		}()
		r.ProcessEnded(time.Now().Add(patience))
		r.Run()
		if last := r.LastLines(); len(last) != lastLines || !strings.HasPrefix(last[19], fmt.Sprint(100*n+99)) {
			t.Fatalf("the last lines are %q", last)
		}
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors are open, %d were before 300 incarnations", after, before)
	}
	close(l.stuck)
	l.Close()
	if got := len(l.all) + int(l.lost); got != 30_000 || l.lost == 0 {
		t.Errorf("%d lines came and %d were lost, want all 30,000", len(l.all), l.lost)
	}
	if len(l.streams) > 0 {
		t.Errorf("streams are left: %v", l.streams)
	}
}

// The history lasts as long as the replica, not only as long as an incarnation.
func TestHistoryOfAReplica(t *testing.T) {
	l := newLines(nil)
	for n := range 2 {
		in, r := l.open(t, "a", false)
		fmt.Fprintln(in, "incarnation", n)
		in.Close()
		r.Run()
		if last := r.LastLines(); !slices.Equal(last, []string{fmt.Sprint("incarnation ", n)}) {
			t.Errorf("the last lines are %q", last)
		}
	}
	h := l.History("a")
	if got, _, _, _ := h.Next(Cursor{}); string(got) != "incarnation 0\nincarnation 1\n" {
		t.Errorf("got %q", got)
	}
	l.Forget("a")
	if len(l.streams) > 0 {
		t.Error("it is not forgotten")
	}
	if _, _, _, changed := h.Next(h.End()); changed != nil {
		t.Error("readers that follow would wait forever")
	}
	l.Close()
	if len(l.all) != 2 {
		t.Errorf("got %q", l.all)
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
