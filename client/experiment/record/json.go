package record

import (
	"encoding/json"
	"fmt"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// The types below define the format of the files, which leave out empty fields.

type callJSON struct {
	Trial       int           `json:"trial"`
	Call        int           `json:"call"`
	Intended    int64         `json:"intended_us"`
	Start       int64         `json:"start_us"`
	Duration    int64         `json:"duration_us"`
	Result      Result        `json:"result"`
	Warmup      bool          `json:"warmup,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Code        code          `json:"code,omitempty"`
	Replica     string        `json:"replica,omitempty"`
	Incarnation int           `json:"incarnation,omitempty"`
	Value       uint64        `json:"value,omitempty"`
	Attempts    []attemptJSON `json:"attempts,omitempty"`
}

type attemptJSON struct {
	Attempt     int              `json:"attempt"`
	Round       int              `json:"round"`
	Replica     string           `json:"replica"`
	Incarnation int              `json:"incarnation,omitempty"`
	Start       int64            `json:"start_us"`
	Duration    int64            `json:"duration_us"`
	Outcome     failover.Outcome `json:"outcome"`
	Sent        bool             `json:"sent"`
	Hedge       bool             `json:"hedge,omitempty"`
	Code        code             `json:"code,omitempty"`
}

// MarshalJSON returns the call as one JSON object on one line, such as
//
//	{"trial":1,"call":7,"intended_us":5200,"start_us":5200,"duration_us":3100,"result":"ok",
//	 "replica":"b","incarnation":2,"value":3,"attempts":[
//	  {"attempt":1,"round":1,"replica":"a","incarnation":1,"start_us":5200,"duration_us":900,"outcome":"lost","sent":true,"code":"UNAVAILABLE"},
//	  {"attempt":2,"round":1,"replica":"b","incarnation":2,"start_us":6100,"duration_us":2200,"outcome":"ok","sent":true}]}
func (c Call) MarshalJSON() ([]byte, error) {
	j := callJSON{
		Trial: c.Trial, Call: c.Number, Intended: microseconds(c.Intended), Start: microseconds(c.Start),
		Duration: microseconds(c.Duration), Result: c.Result, Warmup: c.Warmup, Reason: c.Reason, Code: code(c.Code),
		Replica: c.Replica, Incarnation: c.Incarnation, Value: c.Value, Attempts: make([]attemptJSON, len(c.Attempts)),
	}
	for i, a := range c.Attempts {
		j.Attempts[i] = attemptJSON{
			Attempt: a.Number, Round: a.Round, Replica: a.Replica, Incarnation: a.Incarnation, Start: microseconds(a.Start),
			Duration: microseconds(a.Duration), Outcome: a.Outcome, Sent: a.Sent, Hedge: a.Hedge, Code: code(a.Code),
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON parses the form that MarshalJSON returns.
func (c *Call) UnmarshalJSON(data []byte) error {
	var j callJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*c = Call{
		Trial: j.Trial, Number: j.Call, Intended: duration(j.Intended), Start: duration(j.Start),
		Duration: duration(j.Duration), Result: j.Result, Warmup: j.Warmup, Reason: j.Reason, Code: codes.Code(j.Code),
		Replica: j.Replica, Incarnation: j.Incarnation, Value: j.Value, Attempts: make([]Attempt, len(j.Attempts)),
	}
	for i, a := range j.Attempts {
		c.Attempts[i] = Attempt{
			Number: a.Attempt, Round: a.Round, Replica: a.Replica, Incarnation: a.Incarnation, Start: duration(a.Start),
			Duration: duration(a.Duration), Outcome: a.Outcome, Sent: a.Sent, Hedge: a.Hedge, Code: codes.Code(a.Code),
		}
	}
	return nil
}

type eventJSON struct {
	Trial   int          `json:"trial"`
	At      int64        `json:"at_us"`
	Process *event.Event `json:"process,omitempty"`
	Count   *Count       `json:"count,omitempty"`
	Ended   *Trial       `json:"ended,omitempty"`
}

// MarshalJSON returns the event as one JSON object on one line.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(eventJSON{e.Trial, microseconds(e.At), e.Process, e.Count, e.Ended})
}

// UnmarshalJSON parses the form that MarshalJSON returns.
func (e *Event) UnmarshalJSON(data []byte) error {
	var j eventJSON
	err := json.Unmarshal(data, &j)
	*e = Event{j.Trial, duration(j.At), j.Process, j.Count, j.Ended}
	return err
}

type trialJSON struct {
	Trial       int               `json:"trial"`
	Cell        int               `json:"cell"`
	Repeat      int               `json:"repeat"`
	Seed        uint64            `json:"seed"`
	Began       time.Time         `json:"began"`
	Took        int64             `json:"took_us"`
	Interrupted bool              `json:"interrupted,omitempty"`
	Late        int               `json:"late,omitempty"`
	Addrs       map[string]string `json:"addrs"`
	Remote      map[string]Remote `json:"remote,omitempty"`
}

// MarshalJSON returns the trial as one JSON object.
func (t Trial) MarshalJSON() ([]byte, error) {
	return json.Marshal(trialJSON{t.Number, t.Cell, t.Repeat, t.Seed, t.Began, microseconds(t.Took), t.Interrupted, t.Late, t.Addrs, t.Remote})
}

// UnmarshalJSON parses the form that MarshalJSON returns.
func (t *Trial) UnmarshalJSON(data []byte) error {
	var j trialJSON
	err := json.Unmarshal(data, &j)
	t.Number, t.Cell, t.Repeat, t.Seed = j.Trial, j.Cell, j.Repeat, j.Seed
	t.Began, t.Took, t.Interrupted, t.Late, t.Addrs, t.Remote = j.Began, duration(j.Took), j.Interrupted, j.Late, j.Addrs, j.Remote
	return err
}

type remoteJSON struct {
	Name             string `json:"name"`
	FirstIncarnation int    `json:"first_incarnation"`
	ClockOffset      int64  `json:"clock_offset_us"`
	ClockError       int64  `json:"clock_error_us"`
}

// MarshalJSON returns the replica as one JSON object. It rounds the clock error up.
func (r Remote) MarshalJSON() ([]byte, error) {
	return json.Marshal(remoteJSON{r.Name, r.FirstIncarnation, microseconds(r.ClockOffset), microseconds(r.ClockError + time.Microsecond - 1)})
}

// UnmarshalJSON parses the form that MarshalJSON returns.
func (r *Remote) UnmarshalJSON(data []byte) error {
	var j remoteJSON
	err := json.Unmarshal(data, &j)
	*r = Remote{j.Name, j.FirstIncarnation, duration(j.ClockOffset), duration(j.ClockError)}
	return err
}

// Times are plain numbers in the files' types: a type with its own methods would double the time to
// read a large file.

func microseconds(d time.Duration) int64 { return d.Microseconds() }
func duration(us int64) time.Duration    { return time.Duration(us) * time.Microsecond }

// code is a gRPC status written by its canonical name, such as UNAVAILABLE.
type code codes.Code

func (c code) MarshalText() ([]byte, error) { return []byte(rpccode.Code(c).String()), nil }

func (c *code) UnmarshalText(text []byte) error {
	n, ok := rpccode.Code_value[string(text)]
	if !ok {
		return fmt.Errorf("%q: want the name of a gRPC status, such as UNAVAILABLE", text)
	}
	*c = code(n)
	return nil
}

var resultNames = [...]string{ResultOK: "ok", ResultFailed: "failed", ResultInterrupted: "interrupted"}

// String returns the result's name: ok, failed or interrupted.
func (r Result) String() string {
	if r < 0 || int(r) >= len(resultNames) {
		return fmt.Sprintf("Result(%d)", int(r))
	}
	return resultNames[r]
}

// MarshalText returns the result's name.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses a result's name. Any other text is an error.
func (r *Result) UnmarshalText(text []byte) error {
	for i, name := range resultNames {
		if name == string(text) {
			*r = Result(i)
			return nil
		}
	}
	return fmt.Errorf("%q: want ok, failed or interrupted", text)
}
