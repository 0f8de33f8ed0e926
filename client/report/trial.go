package report

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// trialData is the page's data of a trial, except for the columns. Times are in microseconds.
type trialData struct {
	Number   int   `json:"number"`
	End      int64 `json:"end"`      // of the load
	Warmup   int64 `json:"warmup"`   // 0 for none
	Deadline int64 `json:"deadline"` // of a call; 0 for none
	Timeout  int64 `json:"timeout"`  // of an attempt; 0 for none
	Open     bool  `json:"open"`     // the load is an open loop

	Replicas []replicaData `json:"replicas"`
	Bands    [][4]int64    `json:"bands"`   // replica, state, from, to
	Crashes  [][3]int64    `json:"crashes"` // replica, incarnation, at
	Reasons  []string      `json:"reasons"` // why calls failed, by number
	Codes    []string      `json:"codes"`   // of attempts, by number
	Counted  bool          `json:"counted"` // the Sums of the replicas are known
}

type replicaData struct {
	Name string                    `json:"name"`
	Rows int                       `json:"rows"` // in which its attempts are drawn
	Sums experiment.ReplicaSummary `json:"sums"`
}

// trialJSON returns the records of a trial as one JSON object. Calls and attempts have a column for
// each field, so that even 50,000 calls are small and fast to parse. The text is safe inside a
// script element.
func trialJSON(t record.TrialRecords, s design.Settings, sums experiment.TrialSummary) []byte {
	c := trialTableOf(t)
	d := trialData{
		Number: t.Number, End: c.end.Microseconds(), Open: s.Rate > 0, Warmup: s.Warmup.Microseconds(),
		Deadline: s.Deadline.Microseconds(), Timeout: s.Timeout.Microseconds(),
		Bands: [][4]int64{}, Crashes: [][3]int64{}, Replicas: []replicaData{},
		Reasons: c.reasons.names, Codes: c.codes.names, Counted: sums.Replicas != nil,
	}
	bands, crashes := replicaStates(t.Events, c.end)
	for _, b := range bands {
		d.Bands = append(d.Bands, [4]int64{int64(c.replicas[b.replica]), int64(b.state), b.from.Microseconds(), b.to.Microseconds()})
	}
	for _, x := range crashes {
		d.Crashes = append(d.Crashes, [3]int64{int64(c.replicas[x.replica]), int64(x.incarnation), x.at.Microseconds()})
	}
	for i, name := range c.names {
		d.Replicas = append(d.Replicas, replicaData{name, c.rows[i], sums.Replicas[name]})
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // numbers and strings
	}
	text = append(text[:len(text)-1], `,"calls":`...)
	text = append(c.appendCalls(text), `,"attempts":`...)
	return append(c.appendAttempts(text), '}')
}

// trialTable has the calls of a trial in the order of their intended starts, and their attempts in
// the order of their starts.
type trialTable struct {
	calls    []record.Call
	attempts []attemptRow
	end      time.Duration
	names    []string       // of the replicas
	replicas map[string]int // indexes into names
	rows     []int          // the number of rows of each replica
	reasons  numbering
	codes    numbering
}

type attemptRow struct {
	*record.Attempt
	call int // index into trialTable.calls
	row  int // in which it is drawn, so that it covers no other attempt at its replica
}

// numbering assigns numbers to texts, in the order of their first occurrence.
type numbering struct {
	names   []string
	numbers map[string]int
}

func (n *numbering) of(text string) int64 {
	i, ok := n.numbers[text]
	if !ok {
		i = len(n.names)
		n.numbers[text] = i
		n.names = append(n.names, text)
	}
	return int64(i)
}

func trialTableOf(t record.TrialRecords) *trialTable {
	c := &trialTable{calls: slices.Clone(t.Calls), end: t.Took}
	slices.SortStableFunc(c.calls, func(a, b record.Call) int {
		return cmp.Or(cmp.Compare(a.Intended, b.Intended), cmp.Compare(a.Number, b.Number))
	})
	c.reasons = numbering{numbers: map[string]int{}}
	c.codes = numbering{numbers: map[string]int{}}
	names := maps.Clone(t.Addrs)
	if names == nil {
		names = map[string]string{}
	}
	for i := range c.calls {
		call := &c.calls[i]
		c.end = max(c.end, call.End())
		c.reasons.of(call.Reason)
		for k := range call.Attempts {
			c.attempts = append(c.attempts, attemptRow{Attempt: &call.Attempts[k], call: i})
			names[call.Attempts[k].Replica] = ""
			c.codes.of(codeName(call.Attempts[k].Code))
		}
	}
	for _, e := range byTime(t.Events) {
		names[e.Process.Replica] = ""
	}
	c.names = slices.Sorted(maps.Keys(names))
	c.replicas = map[string]int{}
	for i, name := range c.names {
		c.replicas[name] = i
	}
	c.stack()
	return c
}

// stack assigns each attempt to the first row of its replica that is free at its start.
func (c *trialTable) stack() {
	slices.SortStableFunc(c.attempts, func(a, b attemptRow) int { return cmp.Compare(a.Start, b.Start) })
	busy := make([][]time.Duration, len(c.names)) // the end of the last attempt in each row
	for i := range c.attempts {
		a := &c.attempts[i]
		rows := &busy[c.replicas[a.Replica]]
		a.row = slices.IndexFunc(*rows, func(end time.Duration) bool { return end <= a.Start })
		if a.row < 0 {
			a.row = len(*rows)
			*rows = append(*rows, 0)
		}
		(*rows)[a.row] = a.End()
	}
	c.rows = make([]int, len(c.names))
	for i, rows := range busy {
		c.rows[i] = len(rows)
	}
}

func (c *trialTable) appendCalls(b []byte) []byte {
	n := len(c.calls)
	before := time.Duration(0)
	b = appendColumn(b, '{', "number", n, func(i int) int64 { return int64(c.calls[i].Number) })
	b = appendColumn(b, ',', "intended", n, func(i int) int64 { // from the one before
		d := c.calls[i].Intended.Microseconds() - before.Microseconds()
		before = c.calls[i].Intended
		return d
	})
	b = appendColumn(b, ',', "late", n, func(i int) int64 { return (c.calls[i].Start - c.calls[i].Intended).Microseconds() })
	b = appendColumn(b, ',', "duration", n, func(i int) int64 { return c.calls[i].Duration.Microseconds() })
	b = appendColumn(b, ',', "result", n, func(i int) int64 { return int64(c.calls[i].Result) })
	b = appendColumn(b, ',', "reason", n, func(i int) int64 { return c.reasons.of(c.calls[i].Reason) })
	b = appendColumn(b, ',', "warmup", n, func(i int) int64 { return bit(c.calls[i].Warmup) })
	return append(b, '}')
}

func (c *trialTable) appendAttempts(b []byte) []byte {
	n := len(c.attempts)
	before := time.Duration(0)
	b = appendColumn(b, '{', "call", n, func(i int) int64 { return int64(c.attempts[i].call) })
	b = appendColumn(b, ',', "number", n, func(i int) int64 { return int64(c.attempts[i].Number) })
	b = appendColumn(b, ',', "round", n, func(i int) int64 { return int64(c.attempts[i].Round) })
	b = appendColumn(b, ',', "replica", n, func(i int) int64 { return int64(c.replicas[c.attempts[i].Replica]) })
	b = appendColumn(b, ',', "incarnation", n, func(i int) int64 { return int64(c.attempts[i].Incarnation) })
	b = appendColumn(b, ',', "row", n, func(i int) int64 { return int64(c.attempts[i].row) })
	b = appendColumn(b, ',', "start", n, func(i int) int64 { // from the one before
		d := c.attempts[i].Start.Microseconds() - before.Microseconds()
		before = c.attempts[i].Start
		return d
	})
	b = appendColumn(b, ',', "duration", n, func(i int) int64 { return c.attempts[i].Duration.Microseconds() })
	b = appendColumn(b, ',', "outcome", n, func(i int) int64 { return int64(c.attempts[i].Outcome) })
	b = appendColumn(b, ',', "sent", n, func(i int) int64 { return bit(c.attempts[i].Sent) })
	b = appendColumn(b, ',', "hedge", n, func(i int) int64 { return bit(c.attempts[i].Hedge) })
	b = appendColumn(b, ',', "code", n, func(i int) int64 { return c.codes.of(codeName(c.attempts[i].Code)) })
	return append(b, '}')
}

// appendColumn appends a member of an object: a list of the values. If all are digits, it is a
// string, which is half as long and faster to parse; if all are 0, it is 0.
func appendColumn(b []byte, before byte, name string, n int, value func(i int) int64) []byte {
	b = append(append(append(b, before, '"'), name...), `":`...)
	values := make([]int64, n)
	for i := range values {
		values[i] = value(i)
	}
	switch least, most := extremes(values); {
	case least == 0 && most == 0:
		return append(b, '0')
	case least >= 0 && most <= 9:
		b = append(b, '"')
		for _, v := range values {
			b = append(b, '0'+byte(v))
		}
		return append(b, '"')
	}
	separator := byte('[')
	for _, v := range values {
		b = strconv.AppendInt(append(b, separator), v, 10)
		separator = ','
	}
	return append(b, ']')
}

// extremes returns the least and the greatest of zero and the values.
func extremes(values []int64) (least, most int64) {
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	return least, most
}

func bit(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

func codeName(c codes.Code) string { return rpccode.Code(c).String() }
