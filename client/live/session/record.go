package session

import (
	"cmp"
	"context"
	"encoding/json"
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

// maxRecorded is the greatest number of calls in a recording. It bounds the memory and keeps the
// report quick to open.
const maxRecorded = 50_000

// recorder collects a recording. To write it, it acts as an engine whose trials, one for each load,
// have already run.
type recorder struct {
	began, ended time.Time
	addrs        map[string]string  // of the replicas, by name
	cells        []design.Cell      // of the loads, with their settings at the beginning
	calls        []workload.Records // of the loads
	n            int                // calls in all
	events       []trials.Event
	commands     []string
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
		c := design.Cell{Row: l.id, Settings: l.designSettings(replicas, s.State())}
		if err := readable(c.Settings); err != nil {
			return live.Refuse(http.StatusConflict, "load %s cannot be recorded: %w", l.id, err)
		}
		r.cells = append(r.cells, c)
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

// readable returns an error if no design can have the settings, which a session may have, such as
// hundreds of replicas. A run with them could be written and not opened.
func readable(s design.Settings) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, new(design.Settings))
}

// newRecorder returns a recorder whose events begin with the present processes of the replicas.
func newRecorder(now time.Time, replicas []cluster.Replica) *recorder {
	r := &recorder{began: now, addrs: map[string]string{}}
	for _, of := range replicas {
		r.addrs[of.Name] = of.Addr
		e := event.Event{Time: now, Kind: event.KindAdded, Replica: of.Name, Group: of.Status.GetGroup()}
		if at := of.Status.GetLaunched(); at != nil {
			e.Time = at.AsTime()
		}
		r.addProcess(e)
		e.Incarnation, e.PID = int(of.Status.GetIncarnation()), int(of.Status.GetPid())
		if e.Kind = event.KindLaunched; e.PID != 0 {
			r.addProcess(e)
		}
		if at := of.Status.GetReady(); at != nil {
			e.Kind, e.Time, e.After = event.KindReady, at.AsTime(), at.AsTime().Sub(e.Time)
			r.addProcess(e)
		}
	}
	return r
}

func (r *recorder) addProcess(e event.Event) {
	r.events = append(r.events, trials.Event{Time: e.Time, Event: record.Event{Process: &e}})
}

// record records an event of the session.
func (r *recorder) record(e live.Event) {
	switch e := e.(type) {
	case live.CallEnded:
		i := slices.Index(loadIDs, e.Load)
		if e.Record.Start.Before(r.began) || r.n >= maxRecorded || i < 0 {
			return
		}
		r.n++
		r.calls[i].Add(e.Record)
	case live.ProcessEvent:
		r.addProcess(event.Event(e))
	case live.ReplicasListed:
		for _, s := range e.Replicas {
			r.addrs[s.Name] = s.Addr
		}
	case live.Marked:
		if e.Kind == live.MarkCommand && e.Error == "" && len(r.commands) < 100 {
			r.commands = append(r.commands, fmt.Sprintf("%s at %v", e.Text, time.Since(r.began).Round(100*time.Millisecond)))
		}
	}
}

// checkRecording reports the progress of the recording, and ends it if it is full.
func (s *Session) checkRecording() {
	began := s.State().Began
	s.mu.Lock()
	r := s.recorder
	if r == nil {
		s.mu.Unlock()
		return
	}
	full := r.n >= maxRecorded
	s.fold.Apply(time.Now(), live.RecordingChanged{
		On: true, Calls: r.n, Since: live.Micros(r.began.Sub(began).Truncate(time.Microsecond)),
	})
	s.mu.Unlock()
	if full {
		_ = s.stopRecording(fmt.Sprintf("it has reached the limit of %d calls", maxRecorded)) // the state has its error
	}
}

// stopRecording ends the recording and writes its run. Why is the reason if the user has not
// requested it, and empty otherwise.
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
	last := live.Recording{Calls: r.n, Dir: dir, Error: why}
	if err != nil {
		last.Error = err.Error()
	}
	s.apply(live.RecordingChanged(last))
	if err != nil {
		return live.Refuse(http.StatusBadGateway, "the recording cannot be written: %w", err)
	}
	return nil
}

// design returns the recording as the design of an experiment, with a cell for each load that has
// made calls.
func (r *recorder) design() *design.Design {
	d := &design.Design{Name: "live", Seed: 1, Repeats: 1, Parallel: 1, Source: "# recorded by crashlab live\n", Question: "What happened in a live session?"}
	if len(r.commands) > 0 {
		d.Question += " Commands: " + strings.Join(r.commands, "; ") + "."
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

// Name implements trials.Engine.
func (*recorder) Name() string { return record.EngineLive }

// Trial implements trials.Engine.
func (r *recorder) Trial(_ context.Context, d *design.Design, t design.Trial, _ trials.Watch) (record.TrialRecords, error) {
	i := slices.Index(loadIDs, d.Cells[t.Cell].Row)
	calls := r.calls[i].All()
	slices.SortFunc(calls, func(a, b workload.Record) int { return cmp.Compare(a.Call, b.Call) })
	for n := range calls {
		calls[n].Call = n + 1 // without gaps for calls that had not ended
	}
	slices.SortStableFunc(calls, func(a, b workload.Record) int {
		return a.Start.Add(a.Duration).Compare(b.Start.Add(b.Duration))
	})
	load := trials.NewLoad(record.Trial{Trial: t, Began: r.began, Took: r.ended.Sub(r.began), Addrs: r.addrs}, calls)
	return load.Records(slices.Clone(r.events)), nil
}

// designSettings returns the settings of the load and its cluster, as far as a design has factors
// for them.
func (l *load) designSettings(replicas []cluster.Replica, now live.State) design.Settings {
	l.changing.Lock()
	defer l.changing.Unlock()
	s, p := design.Defaults(), l.settings.Policy
	s.Replicas, s.Calls = max(len(replicas), 1), 0
	s.Timeout, s.Deadline, s.Rounds, s.Pause, s.Order, s.WhenDown = p.Timeout, l.settings.Deadline, max(p.Rounds, 1), p.Pause, p.Order, p.WhenDown
	s.MaxInFlight, s.EjectAfter, s.HedgeAfter = p.MaxInFlight, p.Ejection.After, p.Hedge.After
	s.Budget, s.BudgetPerSecond, s.BudgetBurst = p.Budget.Ratio, p.Budget.PerSecond, p.Budget.Burst
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
		_ = s.ServiceTime.UnmarshalText([]byte(cmp.Or(faults["service_time"], "0s"))) // valid, from a replica
	}
	return s
}
