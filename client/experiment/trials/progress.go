package trials

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/workload"
)

// Progress is how a run goes on.
type Progress struct {
	Dir     string // of the run
	Trials  int    // in all
	Ended   int    // of them, the interrupted among them
	Running []TrialProgress
	Elapsed time.Duration // from the start of the run
	// Left is how long the rest will take, if its trials are like those that have ended. Zero
	// before the first has.
	Left time.Duration
}

// TrialProgress is how a trial goes on.
type TrialProgress struct {
	Trial             design.Trial
	Succeeded, Failed int           // calls, those of the warm-up among them
	Sent              int           // attempts of these calls
	P99               time.Duration // of the latency of those that succeeded
	Up                []bool        // of each replica, whether it is ready
}

// tellPeriod is how often progress is told.
const tellPeriod = 200 * time.Millisecond

// progress gathers how a run goes on.
type progress struct {
	began time.Time

	mu      sync.Mutex
	so      Progress
	running map[int]*running // by the trial's number
	news    chan struct{}    // has room for one: a trial has ended
}

// running is a trial in hand.
type running struct {
	TrialProgress
	up        func() []bool
	latencies workload.Latencies // of the calls that succeeded
}

func newProgress(dir string, trials int) *progress {
	return &progress{
		began: time.Now(), so: Progress{Dir: dir, Trials: trials},
		running: map[int]*running{}, news: make(chan struct{}, 1),
	}
}

// tell tells hook how the run goes on, until the function it returns is called.
func (p *progress) tell(hook func(Progress)) (stop func()) {
	if hook == nil {
		return func() {}
	}
	end := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		tick := time.NewTicker(tellPeriod)
		defer tick.Stop()
		for {
			hook(p.snapshot())
			select {
			case <-tick.C:
			case <-p.news:
			case <-end:
				hook(p.snapshot())
				return
			}
		}
	})
	return func() {
		close(end)
		teller.Wait()
	}
}

// Watch has functions that an engine calls while a trial runs. Each may be nil.
type Watch struct {
	// Begin is called when the load begins; up returns for each replica whether it is ready.
	Begin func(up func() []bool)
	// Call is called when a call has ended.
	Call func(workload.Record)
}

// watch returns the functions that record the progress of a trial.
func (p *progress) watch(t design.Trial) Watch {
	return Watch{
		Begin: func(up func() []bool) { p.begin(t, up) },
		Call:  func(r workload.Record) { p.call(t, r) },
	}
}

func (p *progress) begin(t design.Trial, up func() []bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[t.Number] = &running{TrialProgress: TrialProgress{Trial: t}, up: up}
}

func (p *progress) call(t design.Trial, r workload.Record) {
	if r.Interrupted {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.running[t.Number]
	for _, a := range r.Attempts {
		if a.Sent {
			now.Sent++
		}
	}
	if r.Err != nil {
		now.Failed++
		return
	}
	now.Succeeded++
	now.latencies.Add(r.Latency())
}

func (p *progress) end(t design.Trial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, t.Number)
	p.so.Ended++
	select {
	case p.news <- struct{}{}:
	default:
	}
}

func (p *progress) snapshot() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.so
	s.Elapsed = time.Since(p.began)
	if s.Ended > 0 {
		each := s.Elapsed / time.Duration(s.Ended)
		s.Left = each * time.Duration(s.Trials-s.Ended)
	}
	for _, r := range p.running {
		t := r.TrialProgress
		t.P99, t.Up = r.latencies.Quantile(0.99), r.up()
		s.Running = append(s.Running, t)
	}
	slices.SortFunc(s.Running, func(a, b TrialProgress) int { return cmp.Compare(a.Trial.Number, b.Trial.Number) })
	return s
}
