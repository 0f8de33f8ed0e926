// Package session runs a live session: it follows a cluster that is running, makes loads on it,
// executes the commands of its users, and reports its states. Package live defines states and
// commands.
//
// Commands go to the supervisors and the replicas' Fault services. A session changes nothing by
// itself, but that it gives a replica that was relaunched the faults that were set through it.
package session

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
)

// Config says what a session is about.
type Config struct {
	// Cluster is whose replicas are shown and commanded. Nil: there is no control service, and
	// Target says where the replicas are.
	Cluster *cluster.Target
	// Target is the gRPC target of the loads; empty: the replicas of the cluster, as they come and
	// go.
	Target string
	// Own says that the cluster was started for the session. It is shown.
	Own bool
	// Credentials secure the connections to supervisors and replicas. Nil: they are not secured.
	Credentials credentials.TransportCredentials
	// Loads are the settings of the loads A and B at first; A is on. Fewer: those of
	// [live.DefaultSettings].
	Loads []live.Settings
	// Runs is the folder in which each recording gets one of its own. Empty: none is made.
	Runs string
	// Command is the command line, for the manifests of recordings.
	Command []string
	// Version is shown.
	Version string
	// OnState takes the states, ten a second, one call at a time. It must return soon.
	OnState func(live.State)
}

// The loads.
var loadIDs = []string{"A", "B"}

// Session is a live session. Make it with [New].
type Session struct {
	config Config
	loads  []*load

	mu       sync.Mutex // of the fold and the recorder
	fold     *live.Fold
	recorder *recorder // nil: nothing is recorded

	calling context.Context // of all calls
	hangUp  context.CancelFunc
	work    sync.WaitGroup // goroutines that are neither a load nor Run

	attached attached
	faults   keptFaults
	guide    guide
}

// New returns a session, which does nothing before Run.
func New(c Config) *Session {
	s := &Session{config: c, fold: live.NewFold(rand.Text(), time.Now(), loadIDs...)}
	s.calling, s.hangUp = context.WithCancel(context.Background())
	s.attached.relist = make(chan chan struct{})
	for i, id := range loadIDs {
		l := &load{session: s, id: id, settings: live.DefaultSettings(), retired: map[*client]bool{}}
		if i < len(c.Loads) {
			l.settings = c.Loads[i]
		}
		s.loads = append(s.loads, l)
	}
	return s
}

// Run runs the session until ctx ends. Then calls under way are interrupted, a recording is
// written, and the cluster is left as it is.
func (s *Session) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.begin()
	s.work.Go(func() { s.follow(ctx) })
	tick := time.NewTicker(live.Frame)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			s.tick()
		case <-ctx.Done():
			running = false
		}
	}
	s.guide.stop()
	s.hangUp()
	for _, l := range s.loads {
		l.end()
	}
	s.work.Wait()
	_ = s.stopRecording("")
	s.tick()
}

// begin reports what is known at first.
func (s *Session) begin() {
	s.apply(live.ClusterChanged(s.about()))
	for i, l := range s.loads {
		l.begin(i == 0)
	}
	if s.config.Target != "" {
		s.retarget(s.config.Target)
	}
}

// apply has the fold, and the recorder, take an event of now.
func (s *Session) apply(e live.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fold.Apply(time.Now(), e)
	if s.recorder != nil {
		s.recorder.note(e)
	}
}

// tick ends a frame.
func (s *Session) tick() {
	var t live.Tick
	for _, l := range s.loads {
		if sample, ok := l.sample(); ok {
			t.Samples = append(t.Samples, sample)
		}
	}
	s.checkRecording()
	s.apply(t)
	if s.config.OnState != nil {
		s.config.OnState(s.State())
	}
}

// State returns the state as of the last frame.
func (s *Session) State() live.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fold.State()
}

// About returns what does not change.
func (s *Session) About() live.About {
	return live.About{
		Version: s.config.Version, Settings: live.SettingsFields(), Faults: live.FaultFields(), Relaunch: live.RelaunchFields(),
		Presets: live.Presets(), Scenarios: live.Scenarios(), Recordings: s.config.Runs,
	}
}

// Call returns the way of a call; false where it is not known.
func (s *Session) Call(load string, number int) (live.Call, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fold.Call(load, number)
}

// retarget has the loads call the replicas of a target.
func (s *Session) retarget(target string) {
	for _, l := range s.loads {
		l.retarget(target)
	}
}

func (s *Session) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{transport(s.config.Credentials)}
}
