package trials

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/workload"
)

// Progress is a snapshot of a run.
type Progress struct {
	Dir     string          // the run's folder
	Trials  int             // trials of the run
	Ended   int             // trials that have ended, including interrupted ones
	Running []TrialProgress // trials under way, by number
	Elapsed time.Duration   // since the start of the run
	// Left estimates how long the remaining trials will take, from those that have ended. It is
	// zero until the first trial has ended.
	Left time.Duration
}

// TrialProgress is a snapshot of a running trial. Its numbers include the calls of the warm-up.
type TrialProgress struct {
	Trial             design.Trial
	Succeeded, Failed int           // calls that have ended
	Sent              int           // attempts sent by those calls
	P99               time.Duration // 99th percentile of the latency of calls that succeeded
	Up                []bool        // for each replica, whether it is ready
}

// reportPeriod is the time between two reports of the progress.
const reportPeriod = 200 * time.Millisecond

// progress collects the progress of a run.
type progress struct {
	began time.Time

	mu      sync.Mutex
	run     Progress         // without Running, Elapsed and Left
	running map[int]*running // by the trial's number
	ended   chan struct{}    // of capacity one: a trial has ended
}

// running is a trial under way.
type running struct {
	TrialProgress
	up        func() []bool
	latencies workload.Latencies // of the calls that succeeded
}

func newProgress(dir string, trials int) *progress {
	return &progress{
		began: time.Now(), run: Progress{Dir: dir, Trials: trials},
		running: map[int]*running{}, ended: make(chan struct{}, 1),
	}
}

// report calls hook with the progress of the run until the returned function is called.
func (p *progress) report(hook func(Progress)) (stop func()) {
	if hook == nil {
		return func() {}
	}
	end := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(reportPeriod)
		defer tick.Stop()
		for {
			hook(p.snapshot())
			select {
			case <-tick.C:
			case <-p.ended:
			case <-end:
				hook(p.snapshot())
				return
			}
		}
	})
	return func() {
		close(end)
		reporter.Wait()
	}
}

// Watch has hooks that an engine calls while a trial runs. Each may be nil.
type Watch struct {
	// Begin is called when the load begins. The function up reports for each replica whether it is
	// ready.
	Begin func(up func() []bool)
	// Call is called after each call.
	Call func(workload.Record)
}

// watch returns the hooks that record the progress of a trial.
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
	p.run.Ended++
	select {
	case p.ended <- struct{}{}:
	default:
	}
}

func (p *progress) snapshot() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.run
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
