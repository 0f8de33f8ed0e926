package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/restart"
)

// eventVersion is the version of the JSON form. It is raised when a field is removed or changes its
// meaning, but not when one is added.
const eventVersion = 1

// eventJSON is the JSON form of an event.
type eventJSON struct {
	Version     int          `json:"v"`
	Sequence    uint64       `json:"seq"`
	Time        time.Time    `json:"time"` // RFC 3339, to the nanosecond
	Mono        int64        `json:"mono_ns"`
	Kind        Kind         `json:"kind"`
	Replica     string       `json:"replica,omitempty"`
	Group       string       `json:"group,omitempty"`
	Incarnation int          `json:"incarnation,omitempty"`
	PID         int          `json:"pid,omitempty"`
	Exit        *exitJSON    `json:"exit,omitempty"`
	Next        *nextJSON    `json:"next,omitempty"`
	ReadyAfter  milliseconds `json:"ready_after_ms,omitempty"`
	Signal      signalJSON   `json:"signal,omitempty"`
	Reason      string       `json:"reason,omitempty"`
	Output      []string     `json:"output,omitempty"`
	Lost        uint64       `json:"lost,omitempty"`
	Error       string       `json:"error,omitempty"`
}

type exitJSON struct {
	Code   *int         `json:"code,omitempty"`
	Signal signalJSON   `json:"signal,omitempty"`
	Uptime milliseconds `json:"uptime_ms"`
	Ready  milliseconds `json:"ready_ms,omitempty"`
	Error  string       `json:"error,omitempty"`
}

type nextJSON struct {
	Relaunch bool         `json:"relaunch"`
	GiveUp   bool         `json:"give_up,omitempty"`
	Delay    milliseconds `json:"delay_ms"`
	Reason   string       `json:"reason,omitempty"`
}

// MarshalJSON returns the event as one JSON object on one line, such as
//
//	{"v":1,"seq":9,"time":"2026-01-02T03:04:05.678901234Z","mono_ns":1500000000,"kind":"exited",
//	 "replica":"a","group":"counter","incarnation":2,"pid":4711,
//	 "exit":{"signal":"SIGKILL","uptime_ms":1200.5,"ready_ms":1000},
//	 "next":{"relaunch":true,"delay_ms":500},"output":["panic: out of luck"]}
//
// Fields without a value are left out:
//
//	v            version of this format: 1
//	seq          Sequence
//	time         Time in UTC, as in RFC 3339, with up to 9 decimal places
//	mono_ns      Elapsed in nanoseconds; differences are exact even if the clock was set
//	kind         Kind.String, with _ between words: launch_failed, output_lost
//	replica, group, incarnation, pid, reason, output, lost
//	             the fields of those names
//	exit         Exit: code, unless there is a signal or an error; signal; uptime_ms;
//	             ready_ms, if it was ever ready; error
//	next         Next: relaunch; give_up, if true; delay_ms; reason, if there is one
//	ready_after_ms
//	             After
//	signal       name of Signal, such as SIGSTOP, or its number as a string
//	error        text of Err
//
// Milliseconds are numbers with a fraction, exact to the nanosecond.
func (e Event) MarshalJSON() ([]byte, error) {
	j := eventJSON{
		Version: eventVersion, Sequence: e.Sequence, Time: e.Time.UTC(), Mono: int64(e.Elapsed), Kind: e.Kind,
		Replica: e.Replica, Group: e.Group, Incarnation: e.Incarnation, PID: e.PID,
		ReadyAfter: milliseconds(e.After), Signal: signalJSON(e.Signal), Reason: e.Reason,
		Output: e.Output, Lost: e.Lost, Error: text(e.Err),
	}
	switch e.Kind {
	case KindLaunchFailed, KindExited, KindFinished, KindFailed:
		j.Exit = &exitJSON{
			Signal: signalJSON(e.Exit.Signal), Uptime: milliseconds(e.Exit.Uptime),
			Ready: milliseconds(e.Exit.Ready), Error: text(e.Exit.Err),
		}
		if e.Exit.Code >= 0 {
			j.Exit.Code = &e.Exit.Code
		}
	}
	if e.Next != (restart.Decision{}) {
		j.Next = &nextJSON{e.Next.Relaunch, e.Next.GiveUp, milliseconds(e.Next.Delay), e.Next.Reason}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // keep the < and > of messages readable
	err := encoder.Encode(j)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

// UnmarshalJSON reads the output of MarshalJSON. Of errors it restores only the text. It returns an
// error for other versions of the format and for unknown kinds.
func (e *Event) UnmarshalJSON(data []byte) error {
	var j eventJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	if j.Version != eventVersion {
		return fmt.Errorf("event: version %d: want %d", j.Version, eventVersion)
	}
	if _, err := j.Kind.MarshalText(); err != nil {
		return err // the kind is missing
	}
	*e = Event{
		Sequence: j.Sequence, Kind: j.Kind, Time: j.Time, Elapsed: time.Duration(j.Mono),
		Replica: j.Replica, Group: j.Group, Incarnation: j.Incarnation, PID: j.PID,
		After: time.Duration(j.ReadyAfter), Signal: syscall.Signal(j.Signal), Reason: j.Reason,
		Output: j.Output, Lost: j.Lost, Err: untext(j.Error),
	}
	if x := j.Exit; x != nil {
		e.Exit = restart.Exit{
			Code: -1, Signal: syscall.Signal(x.Signal), Uptime: time.Duration(x.Uptime),
			Ready: time.Duration(x.Ready), Err: untext(x.Error),
		}
		if x.Code != nil {
			e.Exit.Code = *x.Code
		}
	}
	if n := j.Next; n != nil {
		e.Next = restart.Decision{Relaunch: n.Relaunch, GiveUp: n.GiveUp, Delay: time.Duration(n.Delay), Reason: n.Reason}
	}
	return nil
}

// MarshalText returns the String of a kind, with _ between words. It returns an error for an
// unknown kind.
func (k Kind) MarshalText() ([]byte, error) {
	if k < 1 || int(k) >= len(kinds) {
		return nil, fmt.Errorf("event: no such kind: %d", int(k))
	}
	return []byte(strings.ReplaceAll(k.String(), " ", "_")), nil
}

// UnmarshalText reads the output of MarshalText. It returns an error for other text.
func (k *Kind) UnmarshalText(data []byte) error {
	name := strings.ReplaceAll(string(data), "_", " ")
	for i, known := range kinds {
		if known == name && known != "" {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("event: no such kind: %q", data)
}

// milliseconds is a duration whose JSON form is a number of milliseconds.
type milliseconds time.Duration

func (m milliseconds) MarshalJSON() ([]byte, error) {
	return json.Marshal(float64(m) / float64(time.Millisecond))
}

func (m *milliseconds) UnmarshalJSON(data []byte) error {
	ms, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return err
	}
	switch ns := math.Round(ms * float64(time.Millisecond)); {
	case ns >= math.MaxInt64: // as a float64 it is MaxInt64 + 1
		*m = math.MaxInt64
	case ns <= math.MinInt64:
		*m = math.MinInt64
	default:
		*m = milliseconds(ns)
	}
	return nil
}

// signalJSON is a signal whose JSON form is its name.
type signalJSON syscall.Signal

func (s signalJSON) MarshalText() ([]byte, error) {
	return []byte(restart.SignalName(syscall.Signal(s))), nil
}

func (s *signalJSON) UnmarshalText(data []byte) error {
	n, err := strconv.Atoi(string(data))
	if known := unix.SignalNum(string(data)); known != 0 {
		n, err = int(known), nil
	}
	if err != nil {
		return fmt.Errorf("event: no such signal: %q", data)
	}
	*s = signalJSON(n)
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func untext(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}
