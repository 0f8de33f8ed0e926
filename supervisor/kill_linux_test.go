package supervisor

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A supervisor that is killed at any moment, launches included, leaves no
// process behind, wherever that may have gone.
func TestKillAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 30 supervisors that are killed")
	}
	needs(t, "setsid")
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
				needsCgroup(t)
			}
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Log("seed ", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			var took []time.Duration
			marks := stormVariable + "=" + string(newTreeID()) // other runs of this test have others
			for i := range tries {
				after := time.Duration(random.Int64N(int64(60 * time.Millisecond)))
				took = append(took, killStorm(t, tt.means, fmt.Sprintf("%s-%d-", marks, i), after))
			}
			if left, _ := withMark(marks); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			slices.Sort(took)
			early, _ := slices.BinarySearch(took, 200*time.Millisecond)
			t.Logf("%d tries: all gone after %v at the median, %v at p99, %v at most; %d took 200 ms or more",
				tries, took[tries/2], took[tries*99/100], took[tries-1], tries-early)
		})
	}
}

// stormVariable marks all processes of a try, those too that are between fork
// and exec.
const stormVariable = "SUPERVISOR_TEST_STORM"

// killStorm kills a storm, whose processes have a mark, after a while, and
// returns how long they took to be gone: all but the guardian, which is to look
// again.
func killStorm(t *testing.T, means []string, mark string, after time.Duration) time.Duration {
	args := as("storm", means...)
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
	time.Sleep(after) // the moment is what is random here
	began := time.Now()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var took time.Duration
	eventually(t, "end of all", func() bool {
		all, guardians := withMark(mark)
		if len(all) > guardians {
			took = 0
		} else if took == 0 {
			took = time.Since(began)
		}
		return len(all) == 0
	})
	return took
}

// withMark returns the processes with a mark, and how many of them are guardians.
func withMark(mark string) (all []int, guardians int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if has, _, _ := carries(pid, []byte(mark)); !has {
			continue
		}
		all = append(all, pid)
		if guards, _, _ := carries(pid, []byte(childMode+"=guard")); guards {
			guardians++
		}
	}
	return all, guardians
}
