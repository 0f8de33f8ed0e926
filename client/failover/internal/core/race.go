package core

import "time"

// Race is a set of concurrent attempts of a call: a first one, and others that join it later. The
// first to end the call, by a success or a status that is not retried, wins, and the others are
// canceled.
type Race struct {
	call   Call   // with what the attempts have tried
	trial  bool   // the first attempt is the trial of an ejected replica
	hedge  bool   // the next to join is a hedge that the policy asked for
	key    uint32 // of the replica of the attempt that began last
	number int    // of that attempt
	over   bool   // it is too late to join, or to win
	won    bool   // an attempt that joined has won
}

// Racer is an attempt of a Race that has ended.
type Racer struct {
	Key     uint32 // of its replica
	Round   int
	Outcome Outcome
	Missed  bool // it was not made
	Winner  bool
	Result  Result
}

// JoinDelay returns after how long another attempt may join this one, and whether that is a hedge
// that the policy asked for. Zero means never.
func (t *Terms) JoinDelay(d Decision) (delay time.Duration, hedge bool) {
	if !t.Rules.Idempotent {
		return 0, false
	}
	return t.Hedging.Delay(d, t.Method)
}

// NewRace returns a race that begins with the given attempt. hedge says that the first to join it
// is a hedge that the policy asked for.
func NewRace(c *Call, l *Lease, number int, hedge bool) Race {
	return Race{call: *c, trial: l.Ejected(), hedge: hedge, key: l.Key, number: number}
}

// Number returns the number of the attempt that began last.
func (r *Race) Number() int { return r.number }

// Join decides on another attempt, if it is not too late, and takes a place at a replica for it.
// The caller must pay for it with PayJoin.
func (s *Shared) Join(t *Terms, race *Race, r *Roster, crowded bool, now time.Duration) (d Decision, ok bool) {
	if race.over || race.won || t.Rules.Wait && crowded { // waiting calls come first
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

// PayJoin charges the attempt that Join has decided on to the share of hedges, or of attempts that
// join, and to the budget. If it returns false, the attempt must not be made and its place must be
// given back. The trial of an ejected replica needs another attempt for comparison; it is not
// charged to a share, as trials are rare.
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

// Missed records that the attempt of that number, which joined, was not made.
func (r *Race) Missed(number int) {
	if r.number == number {
		r.number--
	}
}

// Joined records the outcome of an attempt that joined. It reports whether the attempt wins, so
// that the others must be canceled.
func (r *Race) Joined(o Outcome) (wins bool) {
	if o == OutcomeCanceled || !o.Ends() || r.over || r.won {
		return false
	}
	r.won = true
	return true
}

// First records the end of the first attempt. It reports whether the others must be canceled. If
// the first attempt has not ended the call, more may join those in flight until Close.
func (r *Race) First(o Outcome, missed bool) (cancel bool) {
	if missed || !o.Ends() {
		return false
	}
	r.over = true
	return !r.won
}

// Close records that all attempts have ended.
func (r *Race) Close() { r.over = true }

// Finish is the result of a race for its call.
type Finish struct {
	// Success is the attempt with which the call succeeds, Last the one whose failure is the latest
	// of the call: 0 for the first attempt, from 1 for those that joined, -1 for none.
	Success, Last int
	// Canceled reports that the caller ended the last attempt, Overtaken that the first was
	// canceled because another won.
	Canceled, Overtaken bool
}

// Finish records how the attempts of a race ended. ended reports whether the caller's context has
// ended.
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
		f.Canceled = first.Outcome == OutcomeCanceled && !f.Overtaken // otherwise the caller ended it
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
	if won >= 0 { // the winner decides, so it comes last
		c.finishOther(&f, &first, others, won, ended)
	}
	return f
}

// succeeded returns which of the attempts that joined has succeeded, from 1, preferring the winner;
// -1 if none has.
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

// finishOther records an attempt that joined the first and failed.
func (c *Call) finishOther(f *Finish, first *Racer, others []Racer, i int, ended bool) {
	x := &others[i]
	if x.Missed || x.Outcome == OutcomeCanceled && !ended { // not made, or canceled because another won
		return
	}
	c.NoteHedge(x.Key, x.Round, x.Result)
	if first.Missed || first.Outcome != OutcomeRejected { // otherwise the first has ended the call
		f.Last, f.Canceled = i+1, f.Canceled || x.Outcome == OutcomeCanceled
	}
}
