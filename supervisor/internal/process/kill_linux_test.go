package process

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/internal/process/tree/treetest"
	"example.com/crashlab/supervisor/spec"
)

var soak = flag.Bool("soak", false, "run random tests for longer")

// A supervisor that is killed at any moment, also during a launch, leaves no process.
func TestKillAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: kills 30 supervisors")
	}
	processtest.Needs(t, "setsid")
	tries := 10
	if *soak {
		tries = 1000
	}
	for _, tt := range []struct {
		name  string
		means []string
	}{
		{"control group", []string{"guardian", "parent-death-signal", "cgroup"}},
		{"marks", []string{"guardian", "parent-death-signal"}},
		{"marks without parent-death signal", []string{"guardian"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if slices.Contains(tt.means, "cgroup") {
				treetest.NeedsCgroup(t)
			}
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Log("seed ", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			var took []time.Duration
			marks := stormVariable + "=" + tree.RandomID() // so that runs of this test do not affect each other
			for i := range tries {
				after := time.Duration(random.Int64N(int64(60 * time.Millisecond)))
				took = append(took, killStorm(t, tt.means, fmt.Sprintf("%s-%d-", marks, i), after))
			}
			if left, _ := processtest.WithMark(marks, ""); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			slices.Sort(took)
			early, _ := slices.BinarySearch(took, 200*time.Millisecond)
			t.Logf("%d tries: all gone after %v at the median, %v at p99, %v at most; %d took 200 ms or more",
				tries, took[tries/2], took[tries*99/100], took[tries-1], tries-early)
		})
	}
}

// stormVariable marks all processes of one try, including those between fork and exec.
const stormVariable = "PROCESS_TEST_STORM"

// killStorm starts a storm whose processes have the mark, kills it after the given time, and
// returns how long its processes took to end. That excludes the guardian, which looks for more of
// them for a while.
func killStorm(t *testing.T, means []string, mark string, after time.Duration) time.Duration {
	args := append(as("storm"), means...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), mark)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the storm says %q, %v", line, err)
	}
	time.Sleep(after) // not synchronization: the moment of the kill is random
	began := time.Now()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var took time.Duration
	processtest.Eventually(t, "end of all", func() bool {
		all, guardians := processtest.WithMark(mark, part+"=guard")
		if len(all) > len(guardians) {
			took = 0
		} else if took == 0 {
			took = time.Since(began)
		}
		return len(all) == 0
	})
	return took
}

func init() { parts["storm"] = storm }

// storm launches processes of various kinds as fast as it can until it is killed. It prints a line
// when it begins.
func storm() {
	means := os.Args[1:]
	c := Config{
		Output: output.NewHub(nil, nil, 0), GuardianLost: func(error) {}, Waits: patient,
		NoCgroup: !slices.Contains(means, "cgroup"), NoParentDeathSignal: !slices.Contains(means, "parent-death-signal"),
	}
	if slices.Contains(means, "guardian") {
		c.Guardian = as("guard")
	}
	limits := spec.Limits{Nice: 1}
	if canLimit() != nil {
		limits = spec.Limits{}
	}
	m, err := New(c)
	if err != nil {
		panic(err)
	}
	const sh = "/bin/sh"
	scripts := []string{
		"sleep 300 & wait",
		"setsid sleep 300 & sleep 0.01",
		"(setsid sleep 300 &) ; exec sleep 300",
		"(setsid sh -c 'sleep 300 & sleep 300' &) ; sleep 0.005",
	}
	fmt.Println("tree", m.tree.Handle().ID)
	var all sync.WaitGroup
	for i, script := range scripts {
		all.Go(func() {
			c := Command{Replica: "a", Args: []string{sh, "-c", script}}
			if i == 0 {
				c.Limits = limits
			}
			for c.Incarnation = 1; ; c.Incarnation++ {
				p, err := m.Launch(context.Background(), c)
				if err != nil {
					panic(err)
				}
				go func() {
					time.Sleep(20 * time.Millisecond)
					p.Signal(syscall.SIGKILL)
				}()
				endOf(p)
			}
		})
	}
	all.Wait()
}
