package live

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

const (
	keptCalls = 8192 // calls of each load that Fold.Call can return

	// maxDrawn is the greatest number of attempts in a frame's picture. Attempts that are ok get at
	// most half of it.
	maxDrawn = 400

	seconds = int(Recent/time.Second) + 1 // with the current one

	// Histograms have latencies in microseconds with two significant digits.
	longest = int64(time.Hour / time.Microsecond)
	digits  = 2
)

// loadFold has what the fold knows about a load beyond its public state.
type loadFold struct {
	began   Micros                          // when the load was started
	total   counts                          // since then
	all     *hdrhistogram.Histogram         // latencies of ok calls since then
	window  [seconds]counts                 // ring of the latest seconds
	recent  *hdrhistogram.WindowedHistogram // latencies of ok calls in the window
	second  int64                           // the current second of the session
	drawn   int                             // attempts in this frame's picture
	ejected map[string]bool                 // replicas, by name
	calls   []Call                          // ring of the latest calls, by number
}

// counts has the numbers of what ended in a time span.
type counts struct {
	ok, failed, attempts, sent int64
	outcomes                   [7]int64
}

func newLoadFold() *loadFold {
	l := &loadFold{ejected: map[string]bool{}, calls: make([]Call, keptCalls)}
	l.clear(0)
	return l
}

// clear resets all counts.
func (l *loadFold) clear(now Micros) {
	l.began, l.second = now, int64(time.Duration(now)/time.Second)
	l.total, l.window = counts{}, [seconds]counts{}
	l.all, l.recent = hdrhistogram.New(1, longest, digits), hdrhistogram.NewWindowed(seconds, 1, longest, digits)
}

func (c LoadChanged) apply(f *Fold, at time.Time) {
	i := f.index(c.Load)
	if i < 0 {
		return
	}
	f.state.Plans[i] = Plan{c.Load, c.On, c.Settings, c.Preset}
	if c.Began {
		f.loads[i].clear(f.micros(at))
	}
	if c.Swapped {
		clear(f.loads[i].ejected)
	}
}

func (a AttemptEnded) apply(f *Fold, _ time.Time) {
	s, l := f.load(a.Load)
	if s == nil {
		return
	}
	bar := f.bar(a.Load, a.Call, a.Attempt)
	r, lane := f.replica(bar.Replica)
	if r == nil || l.drawn >= maxDrawn || l.drawn >= maxDrawn/2 && a.Attempt.Outcome == failover.OutcomeOK {
		s.Skipped++
		return
	}
	l.drawn++
	bar.Incarnation = r.Incarnation
	bar.Row = lane.place(bar.Start, bar.End())
	f.state.Attempts.add(bar, maxAttempts)
}

// bar returns an attempt for the picture, without its incarnation and row.
func (f *Fold) bar(load string, call int, a failover.Attempt) Attempt {
	b := Attempt{
		Load: load, Call: call, Number: a.Number, Round: a.Round, Replica: f.name(a.Replica),
		Start: f.micros(a.Start), Took: Micros(a.Duration.Truncate(time.Microsecond)),
		Outcome: a.Outcome, Sent: a.Sent, Hedge: a.Hedge,
	}
	if c := a.Code(); c != codes.OK {
		b.Code = codeName(c)
	}
	return b
}

// place returns the first row that is free from start on, and occupies it until end. Since attempts
// come in order of their ends, a row is free if its last attempt ended by start.
func (l *lane) place(start, end Micros) int {
	row := slices.IndexFunc(l.rows, func(last Micros) bool { return last <= start })
	switch {
	case row >= 0:
	case len(l.rows) < maxRows:
		l.rows = append(l.rows, 0)
		row = len(l.rows) - 1
	default:
		row = maxRows - 1 // overlapping another attempt
	}
	l.rows[row] = max(l.rows[row], end)
	return row
}

func (c CallEnded) apply(f *Fold, _ time.Time) {
	s, l := f.load(c.Load)
	if s == nil {
		return
	}
	r := c.Record
	l.calls[r.Call%keptCalls] = f.ended(c.Load, r)
	if r.Interrupted {
		return
	}
	now := &l.window[l.second%int64(seconds)]
	for _, n := range []*counts{now, &l.total} {
		n.add(r)
	}
	if r.Err == nil {
		latency := min(max(r.Latency().Microseconds(), 1), longest)
		_, _ = l.all.RecordValue(latency), l.recent.Current.RecordValue(latency) // in range, so neither fails
	}
}

func (n *counts) add(r workload.Record) {
	if r.Err == nil {
		n.ok++
	} else {
		n.failed++
	}
	n.attempts += int64(len(r.Attempts))
	for _, a := range r.Attempts {
		n.outcomes[a.Outcome]++
		if a.Sent {
			n.sent++
		}
	}
}

func (n *counts) join(m counts) {
	n.ok, n.failed, n.attempts, n.sent = n.ok+m.ok, n.failed+m.failed, n.attempts+m.attempts, n.sent+m.sent
	for o := range n.outcomes {
		n.outcomes[o] += m.outcomes[o]
	}
}

// ended returns a call that has ended.
func (f *Fold) ended(load string, r workload.Record) Call {
	c := Call{
		Load: load, Number: r.Call, Result: ResultOK, Intended: f.micros(r.Intended), Start: f.micros(r.Start),
		Took: Micros(r.Duration.Truncate(time.Microsecond)), Replica: r.Replica, Value: r.Value,
		Attempts: make([]Attempt, len(r.Attempts)),
	}
	for i, a := range r.Attempts {
		c.Attempts[i] = f.bar(load, r.Call, a)
	}
	switch {
	case r.Interrupted:
		c.Result = ResultInterrupted
	case r.Err != nil:
		c.Result, c.Reason, c.Error = ResultFailed, reason(r.Err), r.Err.Error()
	}
	return c
}

// reason returns why a call failed, in the words of package failover.
func reason(err error) string {
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		return failed.Reason.String()
	}
	return codeName(status.Code(err))
}

func codeName(c codes.Code) string { return rpccode.Code(c).String() }

// Call returns a call with its attempts. It returns false if the call is not kept any more, or if
// it is under way and none of its attempts has ended.
func (f *Fold) Call(load string, number int) (Call, bool) {
	s, l := f.load(load)
	if s == nil || number < 1 {
		return Call{}, false
	}
	if c := l.calls[number%keptCalls]; c.Number == number {
		return c, true
	}
	under := Call{Load: load, Number: number, Result: ResultUnderWay}
	for _, a := range f.state.Attempts.Items {
		if a.Load == load && a.Call == number {
			under.Attempts = append(under.Attempts, a)
		}
	}
	if len(under.Attempts) == 0 {
		return Call{}, false
	}
	slices.SortFunc(under.Attempts, func(a, b Attempt) int { return cmp.Compare(a.Number, b.Number) })
	first := under.Attempts[0].Start
	under.Intended, under.Start, under.Took = first, first, f.state.Now-first
	return under, true
}

func (c LinkChanged) apply(f *Fold, at time.Time) {
	s, l := f.load(c.Load)
	if s == nil {
		return
	}
	name := f.name(c.Event.Replica)
	ejected := c.Event.State == failover.ReplicaEjected
	if ejected == l.ejected[name] {
		return
	}
	text := name + " is back"
	if ejected {
		text = name + " is ejected"
		l.ejected[name] = true
	} else {
		delete(l.ejected, name)
	}
	Marked{Kind: MarkEjection, Text: text, Replicas: []string{name}, Load: c.Load}.apply(f, at)
}

// tick ends a frame of the load. Sample is nil if the load is off.
func (l *loadFold) tick(f *Fold, s *Load, on bool, sample *Sample) {
	l.drawn = 0
	s.UnderWay, s.Waiting, s.Late, s.Budget, s.Links = 0, 0, false, nil, []Link{}
	if sample != nil {
		l.read(f, s, sample)
	}
	now := f.state.Now
	for over := int64(time.Duration(now) / time.Second); l.second < over; {
		if over-l.second > int64(seconds) {
			l.second = over - int64(seconds) // the machine slept: the whole window is outdated
		}
		if on {
			f.state.Points.add(l.point(s), int(History/time.Second)*len(f.loads))
		}
		l.second++
		l.window[l.second%int64(seconds)] = counts{}
		l.recent.Rotate()
	}
	var recent counts
	for _, n := range l.window {
		recent.join(n)
	}
	counting := time.Duration(now - l.began)
	inWindow := time.Duration(now) - time.Duration(l.second-int64(seconds)+1)*time.Second
	if on || s.Total.Outcomes == nil || recent != (counts{}) { // otherwise it keeps its last values
		s.Total = numbers(l.total, l.all, counting)
	}
	s.Recent = numbers(recent, l.recent.Merge(), min(counting, inWindow))
}

// read sets the values of a sample.
func (l *loadFold) read(f *Fold, s *Load, sample *Sample) {
	s.UnderWay, s.Late = sample.UnderWay, sample.Late
	s.Waiting, s.Limit, s.CrashRate = sample.Waiting, sample.Limit, sample.CrashRate
	s.Denied, s.Ejections = sample.Denied, sample.Ejections
	if !math.IsInf(sample.Budget, 1) {
		left := sample.Budget
		s.Budget = &left
	}
	for _, r := range sample.Replicas {
		s.Links = append(s.Links, Link{f.name(r.Replica), r.Ready, r.Ejected, r.InFlight, r.Attempts[failover.OutcomeOK]})
	}
}

// point returns the point of the current second.
func (l *loadFold) point(s *Load) Point {
	n, latencies := l.window[l.second%int64(seconds)], l.recent.Current
	return Point{
		Load: s.ID, At: Micros(time.Duration(l.second+1) * time.Second), OK: int(n.ok), Failed: int(n.failed), Attempts: int(n.attempts),
		P50: quantile(latencies, 50), P99: quantile(latencies, 99), Waiting: s.Waiting, Limit: s.Limit,
	}
}

func numbers(n counts, latencies *hdrhistogram.Histogram, in time.Duration) Numbers {
	s := Numbers{
		OK: n.ok, Failed: n.failed, Attempts: n.attempts, Sent: n.sent,
		P50: quantile(latencies, 50), P99: quantile(latencies, 99), Outcomes: map[failover.Outcome]int64{},
	}
	for _, o := range failover.Outcomes() {
		s.Outcomes[o] = n.outcomes[o]
	}
	if in > 0 {
		s.Rate = float64(int64(float64(n.ok+n.failed)/in.Seconds()*100)) / 100
	}
	return s
}

func quantile(h *hdrhistogram.Histogram, percent float64) Micros {
	if h.TotalCount() == 0 {
		return 0
	}
	return Micros(time.Duration(h.ValueAtPercentile(percent)) * time.Microsecond)
}
