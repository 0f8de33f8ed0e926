package trials

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Event is an event of a record whose offset is not known yet, as the load has not begun.
type Event struct {
	Time time.Time
	record.Event
}

// history returns the events in the order of their times, as offsets from the beginning of the
// load. An exit has the last lines of the replica's output where these are all that tells of it.
func (l *Load) history(events []Event) []record.Event {
	type life struct {
		replica     string
		incarnation int
	}
	told := map[life]bool{}
	for _, e := range events {
		if n := e.Count; n != nil {
			told[life{n.Replica, n.Incarnation}] = true
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	all := make([]record.Event, len(events))
	for i, e := range events {
		all[i] = e.Event
		all[i].Trial, all[i].At = l.trial.Number, e.Time.Sub(l.trial.Began)
		if p := e.Process; p != nil && told[life{p.Replica, p.Incarnation}] {
			p.Output = nil
		}
	}
	return all
}

// counts is what a line of a replica's log may have of a record.Count.
type counts struct {
	Incarnation int     `json:"incarnation"`
	Arrived     *uint64 `json:"arrived"`
	Counted     uint64  `json:"counted"`
	InFlight    uint64  `json:"in_flight"`
	Request     uint64  `json:"request"`
}

// ReadCount returns what a line of a replica's log, of JSON or of KEY=VALUE, says that it has
// counted; nil: nothing.
func ReadCount(replica string, line []byte) *record.Count {
	var l counts
	if json.Unmarshal(line, &l) != nil {
		l = readText(line)
	}
	if l.Arrived == nil {
		return nil
	}
	return &record.Count{
		Replica: replica, Incarnation: l.Incarnation,
		Arrived: *l.Arrived, Counted: l.Counted, InFlight: l.InFlight, Crash: l.Request,
	}
}

func readText(line []byte) counts {
	var l counts
	for field := range bytes.FieldsSeq(line) {
		key, value, _ := bytes.Cut(field, []byte("="))
		n, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			continue
		}
		switch string(key) {
		case "incarnation":
			l.Incarnation = int(n)
		case "arrived":
			l.Arrived = &n
		case "counted":
			l.Counted = n
		case "in_flight":
			l.InFlight = n
		case "request":
			l.Request = n
		}
	}
	return l
}
