package main

import (
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

const (
	// killPatience is how long the supervisor may take to end after a second signal.
	killPatience = 2 * time.Second
	// stopPatience is how much longer than its replicas the supervisor may take to end, after the
	// first signal or when all have ended by themselves: a file system may hang.
	stopPatience = 30 * time.Second
	// hangupPatience is how long after SIGHUP the loss of the terminal may take to show.
	hangupPatience = 100 * time.Millisecond
	// echo is how long after the first signal the same signal does not count as a second one:
	// timeout(1) sends its signal to its child and then to its group.
	echo = 100 * time.Millisecond
)

// ending is the reason why the supervisor ended.
type ending int

const (
	endingByItself ending = iota // nothing was left to run
	endingBySignal
	endingByForce // at a second signal, or because stopping took too long
)

// signals handles the signals that users send.
type signals struct {
	received chan os.Signal
	terminal bool   // there was a terminal at the start: its loss stops the supervisor
	reload   func() // called for SIGHUP; nil: SIGHUP stops the supervisor
	dump     func() // called for SIGQUIT, before it stops the supervisor; nil: not called
	log      hclog.Logger
	stopping func() time.Duration // how long the replicas may take to stop
	exit     func(code int)
}

// catchSignals catches signals from now until the process ends: a signal that arrives after the
// replicas have ended must not change the exit code.
func catchSignals(log hclog.Logger, reload func(), stopping func() time.Duration) *signals {
	s := &signals{received: make(chan os.Signal, 2), reload: reload, log: log, stopping: stopping, exit: os.Exit}
	// Under nohup(1), the loss of the terminal does not stop the supervisor.
	ignored := signal.Ignored(syscall.SIGHUP)
	s.terminal = !ignored && atTerminal()
	signal.Notify(s.received, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if !ignored || reload != nil {
		signal.Notify(s.received, syscall.SIGHUP)
	}
	// The reader of the output may end first, perhaps by the same Ctrl-C. That must not end the
	// supervisor before its replicas. SIGPIPE is caught, not ignored, because the replicas would
	// inherit that it is ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return s
}

// obey calls stop at the first signal and kill at the second. The third has the default action, in
// case kill hangs too. It returns when ended is closed, or after kill.
func (s *signals) obey(ended <-chan struct{}, stop, kill func()) ending {
	for {
		select {
		case sig := <-s.received:
			if sig == syscall.SIGHUP && s.reload != nil && !s.hungUp() {
				s.reload()
				continue
			}
			if sig == syscall.SIGQUIT && s.dump != nil {
				s.dump()
			}
			s.log.Info("stopping; a second signal kills at once", "signal", restart.SignalName(sig.(syscall.Signal)))
			stop()
			return s.obeySecond(ended, sig, kill)
		case <-ended:
			go func() {
				<-s.received
				s.exitSoon(stopPatience)
			}()
			return endingByItself
		}
	}
}

func (s *signals) obeySecond(ended <-chan struct{}, first os.Signal, kill func()) ending {
	echoed := time.Now().Add(echo)
	late := time.After(s.stopping() + stopPatience)
	for {
		select {
		case sig := <-s.received:
			if sig == syscall.SIGHUP { // both the shell and the kernel send one when a terminal is lost
				continue
			}
			if sig == first && time.Now().Before(echoed) {
				continue
			}
		case <-late:
		case <-ended:
			s.exitSoon(stopPatience)
			return endingBySignal
		}
		signal.Stop(s.received)
		kill()
		// If a file system hangs, the replicas die with the supervisor.
		s.exitSoon(killPatience)
		return endingByForce
	}
}

// exitSoon exits with code 1 if the process has not ended after that time.
func (s *signals) exitSoon(after time.Duration) { time.AfterFunc(after, func() { s.exit(1) }) }

// longestStop returns how long the replicas of groups may take to stop. A group is stopped only
// when the groups that come after it have ended.
func longestStop(groups []spec.Group) (longest time.Duration) {
	var names []string
	stops, after := make(map[string]time.Duration), make(map[string][]string)
	for _, g := range groups {
		names = append(names, g.Name)
		after[g.Name] = g.After
		for i := range g.Count {
			stops[g.Name] = max(stops[g.Name], g.Replica(i).StopTimeout)
		}
	}
	layers, _ := lifecycle.Layers(names, after)
	for _, layer := range layers {
		var slowest time.Duration
		for _, name := range layer {
			slowest = max(slowest, stops[name])
		}
		longest += min(slowest, math.MaxInt64-stopPatience-longest) // a stop timeout may be as good as infinite
	}
	return longest
}

// hungUp reports whether a SIGHUP was sent because the terminal is gone.
func (s *signals) hungUp() bool {
	if !s.terminal {
		return false
	}
	for wait := time.Now().Add(hangupPatience); atTerminal(); {
		if time.Now().After(wait) {
			return false
		}
		time.Sleep(hangupPatience / 10)
	}
	return true
}

// atTerminal reports whether this process has a controlling terminal.
func atTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
