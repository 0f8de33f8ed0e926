package live

import (
	"slices"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/event"
)

// Fold computes the state from events. [NewFold] creates one. It is not safe for concurrent use.
type Fold struct {
	state State
	loads []*loadFold // of state.Loads
	lanes map[string]*lane
	names map[string]string // of replicas, by address
	lost  bool              // the control service was connected before
}

// lane has what the fold knows about a replica beyond its public state.
type lane struct {
	process  ReplicaState // without ReplicaHung
	stopped  bool         // by SIGSTOP
	stopping bool         // its exit was requested
	rows     []Micros     // the end of the last attempt in each row
}

// NewFold returns the fold of a session that began at the given time, with loads of the given
// names.
func NewFold(session string, began time.Time, loads ...string) *Fold {
	f := &Fold{lanes: map[string]*lane{}, names: map[string]string{}}
	f.state = State{Session: session, Began: began, Replicas: []Replica{}, Groups: []Group{}}
	for _, id := range loads {
		f.state.Plans = append(f.state.Plans, Plan{ID: id, Settings: map[string]string{}})
		f.state.Loads = append(f.state.Loads, Load{ID: id, Links: []Link{}})
		f.loads = append(f.loads, newLoadFold())
	}
	return f
}

// Apply applies an event that happened at the given time.
func (f *Fold) Apply(at time.Time, e Event) { e.apply(f, at) }

// State returns the state as of the last [Tick]. Later events do not change it.
func (f *Fold) State() State {
	s := f.state
	s.Replicas, s.Groups, s.Plans, s.Loads = slices.Clone(s.Replicas), slices.Clone(s.Groups), slices.Clone(s.Plans), slices.Clone(s.Loads)
	clip(&s.Attempts)
	clip(&s.Bands)
	clip(&s.Crashes)
	clip(&s.Marks)
	clip(&s.Points)
	return s
}

// clip makes later appends copy the list, and an empty list [] in JSON instead of null.
func clip[T any](l *List[T]) {
	if l.Items = slices.Clip(l.Items); l.Items == nil {
		l.Items = []T{}
	}
}

func (f *Fold) micros(at time.Time) Micros {
	if at.IsZero() {
		return 0
	}
	return Micros(at.Sub(f.state.Began).Truncate(time.Microsecond))
}

// load returns a load and its fold, or nil if there is no such load.
func (f *Fold) load(id string) (*Load, *loadFold) {
	i := f.index(id)
	if i < 0 {
		return nil, nil
	}
	return &f.state.Loads[i], f.loads[i]
}

func (f *Fold) index(load string) int {
	return slices.IndexFunc(f.state.Loads, func(l Load) bool { return l.ID == load })
}

// replica returns a replica and its lane, or nil if there is no such replica.
func (f *Fold) replica(name string) (*Replica, *lane) {
	i := slices.IndexFunc(f.state.Replicas, func(r Replica) bool { return r.Name == name })
	if i < 0 {
		return nil, nil
	}
	return &f.state.Replicas[i], f.lanes[name]
}

// name returns the name of the replica at an address, or the address if there is none.
func (f *Fold) name(addr string) string {
	if name, ok := f.names[addr]; ok {
		return name
	}
	return addr
}

func (c ClusterChanged) apply(f *Fold, at time.Time) {
	was := f.state.Cluster
	f.state.Cluster = Cluster(c)
	switch {
	case was.Connected && !c.Connected:
		f.lost = true
		Marked{Kind: MarkCluster, Text: "control service lost", Error: c.Error}.apply(f, at)
	case c.Connected && f.lost:
		f.lost = false
		Marked{Kind: MarkCluster, Text: "control service connected"}.apply(f, at)
	}
}

func (l ReplicasListed) apply(f *Fold, at time.Time) {
	before, lanes := f.state.Replicas, f.lanes
	f.state.Groups, f.state.Replicas = l.Groups, make([]Replica, 0, len(l.Replicas))
	f.lanes, f.names = map[string]*lane{}, map[string]string{}
	for _, s := range l.Replicas {
		since := s.Since
		if since.IsZero() {
			since = at
		}
		r := Replica{Name: s.Name, State: s.State, Since: f.micros(since)}
		known := slices.IndexFunc(before, func(r Replica) bool { return r.Name == s.Name })
		if known >= 0 {
			r = before[known]
		}
		r.Group, r.Addr = s.Group, s.Addr
		f.names[s.Addr] = s.Name
		f.state.Replicas = append(f.state.Replicas, r)
		if f.lanes[s.Name] = lanes[s.Name]; known < 0 {
			f.lanes[s.Name] = new(lane)
		}
		if known < 0 || l.Anew {
			f.takeStatus(s, since)
		}
	}
}

// takeStatus sets the state of a replica to its status in a list.
func (f *Fold) takeStatus(s ReplicaStatus, since time.Time) {
	r, l := f.replica(s.Name)
	if r.PID != s.PID {
		l.stopped, l.stopping, r.Faults = false, false, nil
	}
	r.Incarnation, r.PID, r.Next, r.Note = s.Incarnation, s.PID, f.micros(s.Next), s.Note
	l.process = s.State
	f.setState(s.Name, since)
}

// setState derives the state of a replica from its process and its faults. If the state changes,
// the band of the previous state ends at the given time.
func (f *Fold) setState(name string, at time.Time) {
	r, l := f.replica(name)
	to := l.process
	if to != ReplicaDown && (l.stopped || r.Faults["hang"] == "true") {
		to = ReplicaHung
	}
	if to == r.State {
		return
	}
	now := max(f.micros(at), r.Since)
	if now > r.Since {
		f.state.Bands.add(Band{name, r.State, r.Since, now}, maxBands)
	}
	r.State, r.Since = to, now
}

func (p ProcessEvent) apply(f *Fold, _ time.Time) {
	r, l := f.replica(p.Replica)
	if r == nil || p.Incarnation < r.Incarnation || p.Kind == event.KindLaunched && p.PID == r.PID {
		return // unknown replicas come with the next list; old events were in the last list
	}
	at := p.Time
	switch p.Kind {
	case event.KindLaunched:
		*l = lane{process: ReplicaStarting, rows: l.rows}
		r.Incarnation, r.PID, r.Next, r.Note, r.Faults = p.Incarnation, p.PID, 0, "", nil
	case event.KindReady:
		l.process, r.Note = ReplicaReady, ""
	case event.KindUnready:
		l.process, r.Note = ReplicaUnready, errorText(p.Err)
	case event.KindUnhealthy, event.KindStillStarting:
		r.Note = errorText(p.Err)
	case event.KindSignaled:
		switch p.Signal {
		case syscall.SIGSTOP:
			l.stopped = true
		case syscall.SIGCONT:
			l.stopped = false
		}
	case event.KindStopping, event.KindKilled:
		l.stopping = true
	case event.KindExited, event.KindLaunchFailed:
		f.exited(r, l, p)
	case event.KindStopped:
		r.Note = "stopped: restart launches it"
	case event.KindFinished, event.KindFailed:
		r.Note = p.Reason
	}
	f.setState(p.Replica, at)
}

func (f *Fold) exited(r *Replica, l *lane, p ProcessEvent) {
	if p.Kind == event.KindExited && !l.stopping {
		r.Crashes++
		f.state.Crashes.add(Crash{r.Name, p.Incarnation, f.micros(p.Time), p.Exit.String()}, maxCrashes)
	}
	l.process, l.stopped, l.stopping = ReplicaDown, false, false
	r.PID, r.Faults, r.Note = 0, nil, ""
	if p.Kind == event.KindLaunchFailed {
		r.Note = p.Exit.String()
	}
	if p.Next.Relaunch {
		r.Next = f.micros(p.Time.Add(p.Next.Delay))
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c FaultsChanged) apply(f *Fold, at time.Time) {
	if r, _ := f.replica(c.Replica); r != nil {
		r.Faults, r.Kept = c.Faults, c.Kept
		f.setState(c.Replica, at)
	}
}

func (m Marked) apply(f *Fold, at time.Time) {
	m.At = f.micros(at)
	f.state.Marks.add(Mark(m), maxMarks)
}

func (s ScenarioChanged) apply(f *Fold, _ time.Time)  { f.state.Scenario = Scenario(s) }
func (r RecordingChanged) apply(f *Fold, _ time.Time) { f.state.Recording = Recording(r) }

func (t Tick) apply(f *Fold, at time.Time) {
	s := &f.state
	s.Frame++
	s.Now = max(s.Now, f.micros(at))
	for i, l := range f.loads {
		var sample *Sample
		if j := slices.IndexFunc(t.Samples, func(x Sample) bool { return x.Load == s.Loads[i].ID }); j >= 0 {
			sample = &t.Samples[j]
		}
		l.tick(f, &s.Loads[i], s.Plans[i].On, sample)
	}
	old, older := s.Now-Micros(Window), s.Now-Micros(History)
	s.Attempts.trim(func(a Attempt) bool { return a.End() < old })
	s.Bands.trim(func(b Band) bool { return b.To < old })
	s.Crashes.trim(func(c Crash) bool { return c.At < old })
	s.Marks.trim(func(m Mark) bool { return m.At < older })
	s.Points.trim(func(p Point) bool { return p.At < older })
	f.shrinkRows(old)
}

// shrinkRows removes the last rows of each lane whose attempts have all left the window.
func (f *Fold) shrinkRows(old Micros) {
	for i := range f.state.Replicas {
		r := &f.state.Replicas[i]
		l := f.lanes[r.Name]
		for n := len(l.rows); n > 0 && l.rows[n-1] < old; n-- {
			l.rows = l.rows[:n-1]
		}
		r.Rows = len(l.rows)
	}
}
