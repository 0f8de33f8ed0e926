// Package session runs a live session: it follows a running cluster, makes one or two loads on it,
// executes the commands of users, and reports its state ten times a second. Package live defines
// states and commands. Use it to embed a live session in a program of your own; package web serves
// one to browsers.
//
// Commands go to the supervisors and to the replicas' Fault services. The session changes nothing
// by itself, except that it sets faults again on a replica that was relaunched.
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

// Config configures a session. Cluster or Target is required.
type Config struct {
	// Cluster has the replicas that are shown and commanded. If nil, replicas cannot be commanded,
	// and Target must be set.
	Cluster *cluster.Target
	// Target is the gRPC target of the loads. If empty, they call the replicas of the cluster, and
	// follow when replicas are added or removed.
	Target string
	// Own says that the cluster was started for the session. The page shows it.
	Own bool
	// Credentials secure the connections to supervisors and replicas. If nil, connections do not
	// use TLS.
	Credentials credentials.TransportCredentials
	// Loads are the initial settings of the loads A, which is on, and B. Missing ones are
	// [live.DefaultSettings].
	Loads []live.Settings
	// Runs is the folder in which each recording creates its own folder. If empty, recording is
	// off.
	Runs string
	// Command is the command line, for the manifests of recordings.
	Command []string
	// Version is the version of the program. The page shows it.
	Version string
	// OnState, if not nil, is called with the state ten times a second. Calls do not overlap. It
	// must return soon.
	OnState func(live.State)
}

// loadIDs are the IDs of the loads.
var loadIDs = []string{"A", "B"}

// Session is a live session. [New] creates one. Its methods are safe for concurrent use.
type Session struct {
	config Config
	loads  []*load

	mu       sync.Mutex // guards the fold and the recorder
	fold     *live.Fold
	recorder *recorder // nil if nothing is being recorded

	calling context.Context // of all calls
	hangUp  context.CancelFunc
	work    sync.WaitGroup // goroutines that are neither a load nor Run

	attached attached
	faults   keptFaults
	guide    guide
}

// New returns a session. It does nothing until Run is called.
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

// Run runs the session until ctx ends. It then interrupts the calls under way and writes a
// recording that is on. It leaves the cluster as it is, with the faults and policies that were set.
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

// begin reports the initial state of the cluster and of the loads.
func (s *Session) begin() {
	s.apply(live.ClusterChanged(s.about()))
	for i, l := range s.loads {
		l.begin(i == 0)
	}
	if s.config.Target != "" {
		s.retarget(s.config.Target)
	}
}

// apply applies an event that happens now to the fold and the recorder.
func (s *Session) apply(e live.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fold.Apply(time.Now(), e)
	if s.recorder != nil {
		s.recorder.record(e)
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

// About returns what does not change in the session.
func (s *Session) About() live.About {
	return live.About{
		Version: s.config.Version, Settings: live.SettingsFields(), Faults: live.FaultFields(), Relaunch: live.RelaunchFields(),
		Presets: live.Presets(), Scenarios: live.Scenarios(), Recordings: s.config.Runs,
	}
}

// Call returns a call with its attempts, or false if it is not known; see [live.Fold.Call].
func (s *Session) Call(load string, number int) (live.Call, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fold.Call(load, number)
}

// retarget makes the loads call the replicas of a target.
func (s *Session) retarget(target string) {
	for _, l := range s.loads {
		l.retarget(target)
	}
}

func (s *Session) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{transport(s.config.Credentials)}
}
