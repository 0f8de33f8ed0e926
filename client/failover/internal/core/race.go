package core

import "time"

// Race is the attempts of a call that are on their way at a time: a first one, and others that join
// it late. The first of them to end the call, by a success or a status that is not retried, wins,
// and the others are to be canceled.
type Race struct {
	call   Call   // with what the attempts have tried
	trial  bool   // the first attempt is the trial of a replica that was left out
	hedge  bool   // the next to join is a hedge that the policy asked for
	key    uint32 // of the replica of the attempt that was last to begin
	number int    // of that attempt
	over   bool   // it is too late to begin, or to win
	won    bool   // by one that joined
}

// Racer is an attempt of a Race after its end.
type Racer struct {
	Key     uint32 // of its replica
	Round   int
	Outcome Outcome
	Missed  bool // it was not made
	Winner  bool
	Result  Result
}

// JoinDelay is how long an attempt of the call is left alone before another one joins it, and
// whether that is a hedge of the policy's; zero where none may.
func (t *Terms) JoinDelay(d Decision) (delay time.Duration, hedge bool) {
	if !t.Rules.Idempotent {
		return 0, false
	}
	return t.Hedging.Delay(d, t.Method)
}

// NewRace returns the race that begins with an attempt of the call. hedge says that the first to
// join it is a hedge that the policy asked for.
func NewRace(c *Call, l *Lease, number int, hedge bool) Race {
	return Race{call: *c, trial: l.Ejected(), hedge: hedge, key: l.Key, number: number}
}

// Number is the number of the attempt that was last to begin.
func (r *Race) Number() int { return r.number }

// Join decides on another attempt, if it is not too late, and takes a place at a replica for it. It
// is to be paid for.
func (s *Shared) Join(t *Terms, race *Race, r *Roster, crowded bool, now time.Duration) (d Decision, ok bool) {
	if race.over || race.won || t.Rules.Wait && crowded { // those that wait come first
		return d, false
	}
	m := s.moment(t, &race.call, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != s.roster {
		return d, false
	}
	d, ok = race.call.Hedge(t.Rules, m, s.current(now).candidates, race.key)
	return d, ok && s.take(d.Index, t.Rules.Wait, now)
}

// PayJoin takes the attempt that Join has decided on from the share of hedges, or of attempts that
// join, and from the budget. Where it returns false, there is none, and its place is to be given
// back. The trial of a replica that was left out needs an attempt to be judged by; no share is
// asked for that, as trials are rare.
func (s *Shared) PayJoin(r *Race, d Decision, key uint32, now time.Duration) bool {
	share := s.joins
	if r.hedge {
		share = s.hedges
	}
	if !r.trial && !share.Take(0) {
		return false
	}
	if s.budget != nil && !s.budget.Take(now) {
		if !r.trial {
			share.Give()
		}
		return false
	}
	r.key = key
	r.number++
	if d.Join > 0 {
		r.hedge = false
	}
	return true
}

// Missed takes note that an attempt of that number, which joined, was not made.
func (r *Race) Missed(number int) {
	if r.number == number {
		r.number--
	}
}

// Joined takes note of the end of an attempt that joined, and was made. It reports whether it wins:
// then the others are to be canceled.
func (r *Race) Joined(o Outcome) (wins bool) {
	if o == OutcomeCanceled || !o.Ends() || r.over || r.won {
		return false
	}
	r.won = true
	return true
}

// First takes note of the end of the first attempt. It reports whether the others are to be
// canceled. Where the first has not ended the call, more may join those that are on their way,
// until Close.
func (r *Race) First(o Outcome, missed bool) (cancel bool) {
	if missed || !o.Ends() {
		return false
	}
	r.over = true
	return !r.won
}

// Close takes note that all attempts have ended.
func (r *Race) Close() { r.over = true }

// Finish is what comes of a race for its call.
type Finish struct {
	// Success is the racer whose success is the call's, and Last the one whose failure is the last
	// of the call: 0 for the first attempt, else from 1 the one that joined; -1 for none.
	Success, Last int
	// Canceled is true where the caller has ended the last attempt, Overtaken where the first was
	// canceled for one that has won.
	Canceled, Overtaken bool
}

// Finish takes note for the call of how the attempts of a race ended. ended says that the caller's
// time has.
func (c *Call) Finish(first Racer, others []Racer, ended bool) Finish {
	f := Finish{Success: -1, Last: -1}
	won := -1
	for i, x := range others {
		if x.Winner {
			won = i
		}
	}
	switch {
	case first.Missed:
		c.Miss(first.Key)
	case first.Outcome != OutcomeOK:
		c.Note(first.Result)
		f.Last = 0
		f.Overtaken = first.Outcome == OutcomeCanceled && won >= 0
		f.Canceled = first.Outcome == OutcomeCanceled && !f.Overtaken // else it was not the caller who ended the first
	case won < 0:
		f.Success = 0
		return f
	}
	if f.Success = succeeded(others, won); f.Success > 0 {
		return f
	}
	if !first.Missed && first.Outcome == OutcomeOK {
		f.Success = 0
		return f
	}
	for i := range others {
		if i != won {
			c.finishOther(&f, &first, others, i, ended)
		}
	}
	if won >= 0 { // the last word
		c.finishOther(&f, &first, others, won, ended)
	}
	return f
}

// succeeded returns which of those that joined has succeeded, from 1: the winner, if it has. -1:
// none.
func succeeded(others []Racer, won int) int {
	if won >= 0 && others[won].Outcome == OutcomeOK {
		return won + 1
	}
	for i, x := range others {
		if x.Outcome == OutcomeOK && !x.Missed {
			return i + 1
		}
	}
	return -1
}

// finishOther takes note of an attempt that failed beside the first.
func (c *Call) finishOther(f *Finish, first *Racer, others []Racer, i int, ended bool) {
	x := &others[i]
	if x.Missed || x.Outcome == OutcomeCanceled && !ended { // not made, or canceled for another that has ended the call
		return
	}
	c.NoteHedge(x.Key, x.Round, x.Result)
	if first.Missed || first.Outcome != OutcomeRejected { // else the first has ended the call
		f.Last, f.Canceled = i+1, f.Canceled || x.Outcome == OutcomeCanceled
	}
}
