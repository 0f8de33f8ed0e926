package main

import (
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/spec"
	"github.com/hashicorp/go-hclog"
)

// testSignals returns signals that are not those of the process.
func testSignals() *signals {
	return &signals{
		received: make(chan os.Signal), log: hclog.NewNullLogger(),
		stopping: func() time.Duration { return time.Minute }, exit: func(int) {},
	}
}

// When a terminal ends, both the shell and the system send SIGHUP: that is not a second signal.
func TestSecondHangupDoesNotKill(t *testing.T) {
	s := testSignals()
	ended, result := make(chan struct{}), make(chan ending)
	stops, kills := 0, 0
	go func() { result <- s.obey(ended, func() { stops++ }, func() { kills++ }) }()
	for range 3 {
		s.received <- syscall.SIGHUP
	}
	close(ended)
	if how := <-result; how != endingBySignal || stops != 1 || kills != 0 {
		t.Errorf("ending %d, %d stops, %d kills: want a stop by signal", how, stops, kills)
	}
}

// Timeout(1) sends its signal twice: to its child and to its group.
func TestEchoOfTheFirstSignalDoesNotKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSignals()
		ended, result := make(chan struct{}), make(chan ending, 1)
		kills := 0
		go func() { result <- s.obey(ended, func() {}, func() { kills++ }) }()
		s.received <- syscall.SIGTERM
		s.received <- syscall.SIGTERM
		synctest.Wait()
		if kills != 0 {
			t.Fatal("the echo of the first signal counted as a second one")
		}
		time.Sleep(echo)
		s.received <- syscall.SIGTERM
		if how := <-result; how != endingByForce || kills != 1 {
			t.Errorf("ending %d, %d kills: want one at a second signal", how, kills)
		}
	})
}

// The process ends even if the log is stuck.
func TestStopThatTakesTooLong(t *testing.T) {
	type exit struct {
		code  int
		after time.Duration
	}
	for name, tt := range map[string]struct {
		ended bool // the replicas have ended
		kills int
		after time.Duration
	}{
		"before the end": {false, 1, time.Minute + stopPatience + killPatience},
		"at the end":     {true, 0, stopPatience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, kills := time.Now(), 0
				exits, ended := make(chan exit, 1), make(chan struct{})
				s := testSignals()
				s.exit = func(code int) { exits <- exit{code, time.Since(began)} }
				go s.obey(ended, func() {
					if tt.ended {
						close(ended)
					}
				}, func() { kills++ })
				s.received <- syscall.SIGTERM
				if got, want := <-exits, (exit{1, tt.after}); got != want || kills != tt.kills {
					t.Errorf("got %+v and %d kills, want %+v and %d", got, kills, want, tt.kills)
				}
			})
		})
	}
}

// Signals that arrive after the replicas have ended do not kill, but a supervisor that hangs then
// ends too.
func TestSignalAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exited := make(chan int, 1)
		s := testSignals()
		s.exit = func(code int) { exited <- code }
		ended := make(chan struct{})
		close(ended)
		if how := s.obey(ended, nil, nil); how != endingByItself {
			t.Errorf("ending %d", how)
		}
		time.Sleep(time.Hour)
		if len(exited) > 0 {
			t.Error("it was ended without a signal")
		}
		began := time.Now()
		s.received <- syscall.SIGTERM
		if code := <-exited; code != 1 || time.Since(began) != stopPatience {
			t.Errorf("exit code %d after %v", code, time.Since(began))
		}
	})
}

// A stop may take as long as the slowest replica of each step.
func TestLongestStop(t *testing.T) {
	group := func(name string, after []string, stops ...time.Duration) spec.Group {
		return spec.Group{Name: name, After: after, Count: len(stops), Replica: func(i int) spec.Replica {
			return spec.Replica{StopTimeout: stops[i]}
		}}
	}
	for _, tt := range []struct {
		name   string
		groups []spec.Group
		want   time.Duration
	}{
		{"at a time", []spec.Group{group("a", nil, 1, 3), group("b", nil), group("c", nil, 2)}, 3},
		{"one after another", []spec.Group{group("a", []string{"b"}, 1, 3), group("b", nil, 4), group("c", []string{"b"}, 2)}, 7},
		{"for ever", []spec.Group{group("a", []string{"b"}, math.MaxInt64), group("b", nil, math.MaxInt64)}, math.MaxInt64 - stopPatience},
	} {
		if got := longestStop(tt.groups); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestHangupReloads(t *testing.T) {
	reloads := 0
	s := testSignals()
	s.reload = func() { reloads++ }
	ended, result := make(chan struct{}), make(chan ending)
	go func() { result <- s.obey(ended, func() { t.Error("stopped") }, func() { t.Error("killed") }) }()
	for range 3 {
		s.received <- syscall.SIGHUP
	}
	close(ended)
	if how := <-result; how != endingByItself || reloads != 3 {
		t.Errorf("ending %d after %d reloads, want 3", how, reloads)
	}
}

// As under nohup.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	p := prepare(t, "serve")
	p.Cmd = exec.Command("sh", "-c", `trap "" HUP; exec "$0" --replicas=1 -- "$1"`, binary, os.Args[0])
	p.Env = append(os.Environ(), childMode+"=serve")
	p.launch()
	p.pids(1)
	p.Process.Signal(syscall.SIGHUP)
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if log := p.stderr.text(); !strings.Contains(log, "signal=SIGTERM") || strings.Contains(log, "SIGHUP") {
		t.Error("it did not stop at SIGTERM, but at SIGHUP")
	}
}

// A requested stop is a success, however the replicas end.
func TestRequestedStopAfterAFailureSucceeds(t *testing.T) {
	p := start(t, "", "--replicas=2", "--restart=never", "--", "sh", "-c", "[ {index} = 0 ] && exit 3; exec sleep 1000")
	p.until(&p.stderr, "the end of a", func(text string) bool { return strings.Contains(text, "finished: replica=a") })
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
