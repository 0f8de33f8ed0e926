package design

import (
	"encoding/json"
	"fmt"
	"syscall"
	"time"
)

// Disturbance is something done to replicas during each trial.
type Disturbance struct {
	// At is when, from the start of the load.
	At time.Duration
	// Signal is sent to the replicas' processes, such as SIGSTOP.
	Signal syscall.Signal
	// Replicas are the names of the replicas it is done to; empty means all.
	Replicas []string
}

var signals = map[string]syscall.Signal{
	"stop": syscall.SIGSTOP, "cont": syscall.SIGCONT, "kill": syscall.SIGKILL, "term": syscall.SIGTERM,
}

func parseSignal(text string) (syscall.Signal, error) {
	s, ok := signals[text]
	if !ok {
		return 0, fmt.Errorf("%q: want stop, cont, kill or term", text)
	}
	return s, nil
}

type disturbanceJSON struct {
	At       string   `json:"at"`
	Signal   string   `json:"signal"`
	Replicas []string `json:"replicas,omitempty"`
}

// MarshalJSON returns the disturbance as a design file has it. A signal that no file can name is an
// error.
func (d Disturbance) MarshalJSON() ([]byte, error) {
	for name, s := range signals {
		if s == d.Signal {
			return json.Marshal(disturbanceJSON{spellDuration(d.At), name, d.Replicas})
		}
	}
	return nil, fmt.Errorf("no schedule has the signal %v", d.Signal)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Disturbance) UnmarshalJSON(data []byte) error {
	var j disturbanceJSON
	err := json.Unmarshal(data, &j)
	if err != nil {
		return err
	}
	d.Replicas = j.Replicas
	if d.At, err = duration.parse(j.At); err != nil {
		return err
	}
	d.Signal, err = parseSignal(j.Signal)
	return err
}

// ReplicaName is the name of the i-th replica, from 0: a, b, c ...
func ReplicaName(i int) string { return string(rune('a' + i)) }
