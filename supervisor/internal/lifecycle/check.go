package lifecycle

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/status"
)

const (
	// firstPause is the time from the first answer of a replica that is not ready to the second
	// question.
	firstPause = 2 * time.Millisecond

	// lateBy is how late a timer or an answer may be. If it is later, the supervisor's process was
	// suspended or starved, and the result does not count against the replica.
	lateBy = 250 * time.Millisecond

	// lateGrace is added to a start timeout that expired late.
	lateGrace = time.Second

	// slowStart is the time after which an incarnation that is not ready is reported, with the
	// reason, unless half of its start timeout is less.
	slowStart = 10 * time.Second
)

// check is the state of a question that is asked repeatedly.
type check struct {
	question int       // in flight; zero: none
	asked    time.Time // when question was asked
	pause    time.Duration
	next     time.Time
	failed   int // consecutive bad answers
}

func (c Check) timer() Timer { return TimerReady + Timer(c) }

// probe returns the settings by which a replica that has been ready is checked.
func (s *step) probe(c Check) Probe {
	if c == CheckAlive {
		return s.settings.Alive
	}
	p := s.settings.Ready
	p.Period = p.Watch
	return p
}

// timer handles an expired timer.
func (s *step) timer(t Timer) {
	switch {
	case t == TimerSlot:
		s.freeSlot()
	case t == TimerReady || t == TimerAlive:
		c := Check(t - TimerReady)
		if s.asks(c) && s.life.checks[c].question == 0 {
			s.ask(c)
		}
	case s.due.IsZero() || s.now.Before(s.due): // it was stopped or set again
	default:
		late := s.now.Sub(s.due) > lateBy
		s.due = time.Time{}
		s.expired(late)
	}
}

// asks reports whether a check is active.
func (s *step) asks(c Check) bool {
	switch s.state {
	case status.StateStarting:
		return c == CheckReady && s.settings.Ready.Kind == ProbePolled
	case status.StateReady, status.StateUnready:
		return c == CheckAlive && s.settings.Alive.Kind == ProbePolled || c == CheckReady && s.settings.Ready.Watch > 0
	}
	return false
}

// expired handles the end of the restart delay, the stop timeout or the start timeout.
func (s *step) expired(late bool) {
	switch s.state {
	case status.StateWaiting:
		s.queue(false)
	case status.StateStopping:
		s.kill(fmt.Sprintf("it did not end within %v", s.settings.StopTimeout))
	case status.StateStarting:
		if late && !s.life.extended {
			s.life.extended = true
			s.set(TimerDue, s.now.Add(lateGrace))
			s.timer(TimerReady)
			return
		}
		err := fmt.Errorf("not ready within %v", s.settings.StartTimeout)
		if s.life.answer != nil {
			err = fmt.Errorf("%w: %w", err, s.life.answer)
		}
		s.unhealthy(err, false)
	}
}

// awaitReady starts to check whether the incarnation is ready.
func (s *step) awaitReady() {
	s.endChecks()
	s.stopDue()
	s.life.answer = nil
	if s.settings.StartTimeout > 0 {
		s.set(TimerDue, s.life.launched.Add(s.settings.StartTimeout))
	}
	switch s.settings.Ready.Kind {
	case ProbeNone:
		s.becomeReady()
	case ProbePolled:
		s.life.checks[CheckReady].pause = firstPause
		s.ask(CheckReady)
	}
}

func (s *step) becomeReady() {
	s.stopDue()
	s.freeSlot()
	s.state, s.life.ready, s.life.answer = status.StateReady, s.now, nil
	s.emit(event.Event{Kind: event.KindReady, After: s.now.Sub(s.life.launched)})
	s.watch()
}

// watch starts to check whether an incarnation that was ready still is, and is alive. Replicas with
// the same period are asked at the same times, because separate wake-ups for many replicas cost
// several times as much as the questions.
func (s *step) watch() {
	s.endChecks()
	for c := range checks {
		if s.asks(c) {
			p := s.probe(c)
			next := s.now.Add(p.Period - time.Duration(s.now.UnixNano())%p.Period)
			s.life.checks[c].next = next
			s.set(c.timer(), next)
		}
	}
}

func (s *step) ask(c Check) {
	check := &s.life.checks[c]
	s.question++
	check.question, check.asked = s.question, s.now
	if s.state != status.StateStarting { // skip the questions that a pause of the supervisor's process has missed
		p := s.probe(c)
		check.next = check.next.Add(p.Period + s.now.Sub(check.next).Truncate(p.Period))
	}
	s.do(Effect{Kind: EffectAsk, Check: c, Question: check.question})
}

func (s *step) endChecks() {
	asking := false
	for c := range checks {
		asking = asking || s.life.checks[c] != check{}
		if s.life.checks[c] != (check{}) {
			s.set(c.timer(), time.Time{})
		}
		s.life.checks[c] = check{}
	}
	if asking {
		s.do(Effect{Kind: EffectCancelQuestions})
	}
}

func (s *step) answered(in Input) {
	check := &s.life.checks[in.Check]
	if check.question == 0 || in.Question != check.question || !s.asks(in.Check) {
		return
	}
	check.question = 0
	s.life.answer = in.Err
	if s.state == status.StateStarting {
		if in.Err == nil {
			s.becomeReady()
			return
		}
		s.notReady(in.Err)
		s.set(TimerReady, s.now.Add(check.pause))
		check.pause = min(check.pause*3/2, s.settings.Ready.Period)
		return
	}
	p := s.probe(in.Check)
	late := s.now.Sub(check.asked) > p.Timeout+lateBy
	if in.Err == nil || in.NotServing {
		check.failed = 0
		if in.Check == CheckReady || !s.asks(CheckReady) {
			s.serves(in.Err)
		}
	} else if in.Check == CheckAlive && !in.LocalFault && !late {
		check.failed++
	}
	if in.Check == CheckAlive && check.failed == p.Threshold {
		s.unhealthy(fmt.Errorf("not alive, asked %d times in %v: %w", check.failed, time.Duration(check.failed)*p.Period, in.Err), p.Terminate)
		return
	}
	s.set(in.Check.timer(), check.next)
}

// notReady reports, once for each incarnation, why it is still not ready.
func (s *step) notReady(err error) {
	long := slowStart
	if s.settings.StartTimeout > 0 {
		long = min(long, s.settings.StartTimeout/2)
	}
	if s.life.slowReported || s.now.Sub(s.life.launched) < long {
		return
	}
	s.life.slowReported = true
	s.emit(event.Event{Kind: event.KindStillStarting, Err: fmt.Errorf("not ready within %v: %w", long, err)})
}

// serves handles an answer of an incarnation that was ready. The error is nil if it serves.
func (s *step) serves(err error) {
	switch {
	case err != nil && s.state == status.StateReady:
		s.state = status.StateUnready
		s.emit(event.Event{Kind: event.KindUnready, Err: err})
	case err == nil && s.state == status.StateUnready:
		s.state = status.StateReady
		s.emit(event.Event{Kind: event.KindReady, After: s.now.Sub(s.life.launched)})
	}
}

// unhealthy ends an incarnation that does not work.
func (s *step) unhealthy(err error, terminate bool) {
	s.emit(event.Event{Kind: event.KindUnhealthy, Err: err})
	if terminate {
		s.terminate("it is unhealthy")
	} else {
		s.kill("it is unhealthy")
	}
}
