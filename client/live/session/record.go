package session

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/workload"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/event"
)

// maxRecorded is how many calls a recording has at most; its memory is bounded, and its report
// quick to open.
const maxRecorded = 50_000

// recorder keeps what a recording has seen. It is an engine whose trials have been made already,
// one for each load.
type recorder struct {
	began, ended time.Time
	addrs        map[string]string // of the replicas, by name
	cells        []design.Cell     // of the loads, as they were at the beginning
	calls        []workload.Records
	n            int // calls in all
	events       []trials.Event
	did          []string // commands
}

// record begins or ends a recording.
func (s *Session) record(_ context.Context, c live.Command) error {
	switch {
	case c.On == nil:
		return live.Refuse(http.StatusBadRequest, "record: want on, true or false")
	case s.config.Runs == "":
		return live.Refuse(http.StatusConflict, "there is no folder for recordings: start crashlab live with --runs FOLDER")
	case *c.On:
		return s.startRecording()
	}
	return s.stopRecording("")
}

func (s *Session) startRecording() error {
	_, replicas, err := s.control()
	if err != nil && s.config.Cluster != nil {
		return err
	}
	r := newRecorder(time.Now(), replicas)
	for _, l := range s.loads {
		r.cells = append(r.cells, design.Cell{Row: l.id, Settings: l.designed(replicas, s.State())})
	}
	r.calls = make([]workload.Records, len(s.loads))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recorder != nil {
		return live.Refuse(http.StatusConflict, "it is being recorded already: end that first")
	}
	s.recorder = r
	return nil
}

// newRecorder returns a recorder that knows which processes there are.
func newRecorder(now time.Time, replicas []cluster.Replica) *recorder {
	r := &recorder{began: now, addrs: map[string]string{}}
	for _, of := range replicas {
		r.addrs[of.Name] = of.Addr
		e := event.Event{Time: now, Kind: event.KindAdded, Replica: of.Name, Group: of.Status.GetGroup()}
		if at := of.Status.GetLaunched(); at != nil {
			e.Time = at.AsTime()
		}
		r.process(e)
		e.Incarnation, e.PID = int(of.Status.GetIncarnation()), int(of.Status.GetPid())
		if e.Kind = event.KindLaunched; e.PID != 0 {
			r.process(e)
		}
		if at := of.Status.GetReady(); at != nil {
			e.Kind, e.Time, e.After = event.KindReady, at.AsTime(), at.AsTime().Sub(e.Time)
			r.process(e)
		}
	}
	return r
}

func (r *recorder) process(e event.Event) {
	r.events = append(r.events, trials.Event{Time: e.Time, Event: record.Event{Process: &e}})
}

// note takes an event of the session.
func (r *recorder) note(e live.Event) {
	switch e := e.(type) {
	case live.CallEnded:
		i := slices.Index(loadIDs, e.Load)
		if e.Record.Start.Before(r.began) || r.n >= maxRecorded || i < 0 {
			return
		}
		r.n++
		r.calls[i].Add(e.Record)
	case live.ProcessEvent:
		r.process(event.Event(e))
	case live.ReplicasListed:
		for _, s := range e.Replicas {
			r.addrs[s.Name] = s.Addr
		}
	case live.Marked:
		if e.Kind == live.MarkCommand && e.Error == "" && len(r.did) < 100 {
			r.did = append(r.did, fmt.Sprintf("%s at %v", e.Text, time.Since(r.began).Round(100*time.Millisecond)))
		}
	}
}

// checkRecording reports the progress of the recording, and ends one that is full.
func (s *Session) checkRecording() {
	s.mu.Lock()
	r := s.recorder
	now := live.Recording{On: true}
	if r != nil {
		now.Calls = r.n
	}
	s.mu.Unlock()
	if r == nil {
		return
	}
	now.Since = live.Micros(r.began.Sub(s.State().Began).Truncate(time.Microsecond))
	s.apply(live.RecordingChanged(now))
	if now.Calls >= maxRecorded {
		_ = s.stopRecording(fmt.Sprintf("it has %d calls, the most that a recording has", maxRecorded)) // its error is in the state
	}
}

// stopRecording ends the recording and writes its run. Why says why it is not the user who ends it;
// empty where it is.
func (s *Session) stopRecording(why string) error {
	s.mu.Lock()
	r := s.recorder
	s.recorder = nil
	s.mu.Unlock()
	if r == nil {
		return live.Refuse(http.StatusConflict, "nothing is being recorded")
	}
	r.ended = time.Now()
	run := trials.Run{Engine: r, Runs: s.config.Runs, Command: s.config.Command}
	dir, err := run.Do(context.Background(), r.design())
	told := live.Recording{Calls: r.n, Dir: dir, Error: why}
	if err != nil {
		told.Error = err.Error()
	}
	s.apply(live.RecordingChanged(told))
	if err != nil {
		return live.Refuse(http.StatusBadGateway, "the recording cannot be written: %w", err)
	}
	return nil
}

// design returns what was recorded as the design of an experiment: a cell for each load that has
// made calls.
func (r *recorder) design() *design.Design {
	d := &design.Design{Name: "live", Seed: 1, Repeats: 1, Parallel: 1, Source: "# recorded by crashlab live\n", Question: "What was seen in a live session?"}
	if len(r.did) > 0 {
		d.Question += " It was commanded: " + strings.Join(r.did, "; ") + "."
	}
	for i, c := range r.cells {
		if len(r.calls[i].All()) > 0 {
			d.Cells = append(d.Cells, c)
		}
	}
	if len(d.Cells) == 0 {
		d.Cells = r.cells[:1]
	}
	return d
}

// Name is part of trials.Engine.
func (*recorder) Name() string { return record.EngineLive }

// Trial is part of trials.Engine.
func (r *recorder) Trial(_ context.Context, d *design.Design, t design.Trial, _ trials.Watch) (record.TrialRecords, error) {
	i := slices.Index(loadIDs, d.Cells[t.Cell].Row)
	calls := r.calls[i].All()
	slices.SortFunc(calls, func(a, b workload.Record) int { return cmp.Compare(a.Call, b.Call) })
	for n := range calls {
		calls[n].Call = n + 1 // those that had not ended leave no gap
	}
	slices.SortStableFunc(calls, func(a, b workload.Record) int {
		return a.Start.Add(a.Duration).Compare(b.Start.Add(b.Duration))
	})
	load := trials.NewLoad(record.Trial{Trial: t, Began: r.began, Took: r.ended.Sub(r.began), Addrs: r.addrs}, calls)
	return load.Records(slices.Clone(r.events)), nil
}

// designed returns the settings of the load and of its cluster as a design has them, as far as it
// has.
func (l *load) designed(replicas []cluster.Replica, now live.State) design.Settings {
	l.changing.Lock()
	defer l.changing.Unlock()
	s, p := design.Defaults(), l.settings.Policy
	s.Replicas, s.Calls = max(len(replicas), 1), 0
	s.Timeout, s.Deadline, s.Rounds, s.Pause, s.Order, s.WhenDown = p.Timeout, l.settings.Deadline, max(p.Rounds, 1), p.Pause, p.Order, p.WhenDown
	s.MaxInFlight, s.Budget, s.EjectAfter, s.HedgeAfter = p.MaxInFlight, p.Budget.Ratio, p.Ejection.After, p.Hedge.After
	s.OnlyUnsent = p.Idempotent != nil
	if p.AdaptiveLimit {
		s.MaxInFlight = design.Adaptive
	}
	if p.Ejection == (failover.Ejection{}) {
		s.EjectAfter = design.Defaults().EjectAfter
	}
	s.Concurrency, s.Rate, s.Arrivals = l.settings.Concurrency, l.settings.Rate, l.settings.Arrivals
	if len(replicas) > 0 {
		policy := replicas[0].Status.GetPolicy()
		if s.RestartDelay = policy.GetDelay().AsDuration(); policy.GetRestart() == supervisorv1.Restart_RESTART_NEVER {
			s.RestartDelay = design.Never
		}
	}
	if len(now.Replicas) > 0 {
		faults := now.Replicas[0].Faults
		s.PCrash, _ = fault.ParseProbability(cmp.Or(faults["crash_probability"], "0"))
		_ = s.CrashPoint.UnmarshalText([]byte(cmp.Or(faults["crash_point"], "arrival")))
		_ = s.ServiceTime.UnmarshalText([]byte(cmp.Or(faults["service_time"], "0s"))) // a replica said so
	}
	return s
}
