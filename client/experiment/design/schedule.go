package design

import (
	"encoding/json"
	"fmt"
	"syscall"
	"time"
)

// Disturbance is a signal that is sent to replicas in each trial.
type Disturbance struct {
	// At is the time of the signal, from the start of the load.
	At time.Duration
	// Signal is SIGSTOP, SIGCONT, SIGKILL or SIGTERM.
	Signal syscall.Signal
	// Replicas are the names of the replicas that receive it; empty means all.
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

// MarshalJSON returns the disturbance as a design file spells it. It fails for a signal that no
// file can name.
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
