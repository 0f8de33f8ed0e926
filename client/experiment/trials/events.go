package trials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/supervisor/event"
)

// Event is an event at an absolute time, which becomes an offset once the start of the load is
// known.
type Event struct {
	Time time.Time
	record.Event
}

// history returns the events in order of time, as offsets from the start of the load. It drops the
// output from an exit of an incarnation that has reported its counts.
func (l *Load) history(events []Event) []record.Event {
	type incarnation struct {
		replica string
		number  int
	}
	reported := map[incarnation]bool{}
	for _, e := range events {
		if n := e.Count; n != nil {
			reported[incarnation{n.Replica, n.Incarnation}] = true
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	all := make([]record.Event, len(events))
	for i, e := range events {
		all[i] = e.Event
		all[i].Trial, all[i].At = l.trial.Number, e.Time.Sub(l.trial.Began)
		if p := e.Process; p != nil && reported[incarnation{p.Replica, p.Incarnation}] {
			p.Output = nil
		}
	}
	return all
}

// counts has the fields of a replica's log line that make a record.Count.
type counts struct {
	Incarnation int     `json:"incarnation"`
	Arrived     *uint64 `json:"arrived"`
	Counted     uint64  `json:"counted"`
	InFlight    uint64  `json:"in_flight"`
	Request     uint64  `json:"request"`
}

// ReadCount returns the counts in a line of a replica's log, which is JSON or has KEY=VALUE fields.
// It returns nil if the line has none.
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

// EndedEarly returns the error for a replica that ended, as the event says, before the load began.
func EndedEarly(e event.Event) error {
	why := fmt.Sprintf("replica %s: %v before all were ready", e.Replica, e.Exit)
	if len(e.Output) > 0 {
		why += ": " + strings.Join(e.Output, "; ")
	}
	return errors.New(why)
}
