package main

import (
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

const (
	// killPatience is how long the end after a second signal may take.
	killPatience = 2 * time.Second
	// stopPatience is how much longer than the replicas the end after the first
	// signal may take, and what comes after the last replica's end: a file
	// system may hang.
	stopPatience = 30 * time.Second
	// hangupPatience is how much later than its signal the end of a terminal
	// may show.
	hangupPatience = 100 * time.Millisecond
	// echo is how soon the same signal may come again without being a second
	// one: timeout(1) sends it to its child, and then to all in its group.
	echo = 100 * time.Millisecond
)

// ending is what made the supervisor end.
type ending int

const (
	byItself ending = iota // nothing was left to run
	bySignal
	byForce // at a second signal, or as the stop took too long
)

// signals are those that the user may send.
type signals struct {
	received chan os.Signal
	terminal bool   // there was one at the start, whose end means ours
	reload   func() // what SIGHUP does; nil: it stops us
	dump     func() // what SIGQUIT does first; nil: nothing
	log      hclog.Logger
	stopping func() time.Duration // how long the replicas may take to stop
	exit     func(code int)
}

// catchSignals begins to. They are never given back: one that comes as all has
// ended must not turn a good end into a bad one.
func catchSignals(log hclog.Logger, reload func(), stopping func() time.Duration) *signals {
	s := &signals{received: make(chan os.Signal, 2), reload: reload, log: log, stopping: stopping, exit: os.Exit}
	// As nohup has it: the end of the terminal is no reason to stop then.
	deaf := signal.Ignored(syscall.SIGHUP)
	s.terminal = !deaf && atTerminal()
	signal.Notify(s.received, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if !deaf || reload != nil {
		signal.Notify(s.received, syscall.SIGHUP)
	}
	// Whoever reads our output may end before us, at the same Ctrl-C even: that must not end us before the replicas.
	// Caught and left alone, not ignored, for the replicas would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return s
}

// obey turns the first signal into a stop and the second into a kill. The
// third is the system's, should even that hang. It returns at ended.
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
			return byItself
		}
	}
}

func (s *signals) obeySecond(ended <-chan struct{}, first os.Signal, kill func()) ending {
	echoed := time.Now().Add(echo)
	late := time.After(s.stopping() + stopPatience)
	for {
		select {
		case sig := <-s.received:
			if sig == syscall.SIGHUP { // the shell and the system both send one when a terminal ends
				continue
			}
			if sig == first && time.Now().Before(echoed) {
				continue
			}
		case <-late:
		case <-ended:
			s.exitSoon(stopPatience)
			return bySignal
		}
		signal.Stop(s.received)
		kill()
		// The replicas die with us, should a file system hang.
		s.exitSoon(killPatience)
		return byForce
	}
}

// exitSoon ends the process if it has not ended by itself until then.
func (s *signals) exitSoon(after time.Duration) { time.AfterFunc(after, func() { s.exit(1) }) }

// longestStop is how long the replicas of groups may take to stop: groups that
// others come after are stopped when those have ended.
func longestStop(groups []supervisor.Group) (longest time.Duration) {
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
		longest += min(slowest, math.MaxInt64-stopPatience-longest) // which some may have, as good as for ever
	}
	return longest
}

// hungUp reports whether a SIGHUP means that our terminal is gone.
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
