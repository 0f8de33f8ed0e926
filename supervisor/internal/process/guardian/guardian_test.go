package guardian

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
)

const someID = "0123456789abcdef0123456789abcdef"

func TestReadOrders(t *testing.T) {
	for _, tt := range []struct {
		name, input string
		want        string
		bad         bool
	}{
		{"nothing", "", "[]", false},
		{"launched and ended", "+12\n+13\n-12\n", "[13]", false},
		{"an unfinished line", "+12\n+1", "[12]", false},
		{"every process", "+1\n+0\n-1\n+12\n", "[12]", true},
		{"every process after a cut to 32 bits", "+4294967297\n", "[]", true},
		{"no number", "+12\nhello\n\n", "[12]", true},
		{"an orderly end", "tree " + someID + "\nend\n", "[] " + someID + " end", false},
		{"a control group", "cgroup /x/supervisor-1\n", "[] /x/supervisor-1", false},
		{"no orderly end", "tree " + someID + "\nend", "[] " + someID, false},
		{"an ID that strangers may hold", "tree abcd\n", "[]", true},
		{"no ID", "tree \n", "[]", true},
		{"a stranger's control group", "cgroup /sys/fs/cgroup\n", "[]", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := readOrders(strings.NewReader(tt.input))
			got := fmt.Sprint(slices.Sorted(maps.Keys(o.groups)))
			for _, word := range []string{o.tree.ID, o.tree.Cgroup} {
				if word != "" {
					got += " " + word
				}
			}
			if o.end {
				got += " end"
			}
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %s, %v; want %s, an error: %v", got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestPausesBetweenGuardians(t *testing.T) {
	var pause time.Duration
	var all []string
	for range 13 {
		all = append(all, pause.String())
		pause = nextPause(pause)
	}
	const want = "0s 100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 51.2s 1m0s 1m0s"
	if got := strings.Join(all, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHungGuardianIsLost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only a full pipe tells here")
	}
	lost := make(chan error, 100)
	g, err := Start(Config{
		Command: guardCommand(), Lost: func(err error) { lost <- err },
		Waits: Waits{Write: processtest.Patience, Silence: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Stop()
	g.mu.Lock()
	pid := g.guard.cmd.Process.Pid
	g.mu.Unlock()
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	const noGroup = 1 << 30 // greater than any process ID
	processtest.Eventually(t, "loss of the guardian", func() bool {
		g.Watch(noGroup)
		return len(lost) > 0
	})
	if err := <-lost; !strings.Contains(err.Error(), "read nothing") {
		t.Error(err)
	}
}

func TestGuardIgnoresSignals(t *testing.T) {
	group := func() *exec.Cmd {
		c := exec.Command("sleep", "300")
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	victim, spared := group(), group()
	args := guardCommand()
	guard := exec.Command(args[0], args[1:]...)
	in, _ := guard.StdinPipe()
	out, _ := guard.StdoutPipe()
	if err := guard.Start(); err != nil {
		t.Fatal(err)
	}
	defer guard.Process.Kill()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the guardian says %q, %v", line, err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		guard.Process.Signal(sig)
	}
	fmt.Fprintf(in, "+%d\n+%d\n-%d\n", victim.Process.Pid, spared.Process.Pid, spared.Process.Pid)
	in.Close()
	if err := guard.Wait(); err != nil {
		t.Fatalf("the guardian ended with %v", err)
	}
	err := victim.Wait()
	if !strings.Contains(fmt.Sprint(err), "killed") {
		t.Errorf("the victim ended with %v", err)
	}
	// If the guardian had killed it, it would have died of that signal, which came first.
	_ = spared.Process.Signal(syscall.SIGTERM)
	err = spared.Wait()
	if !strings.Contains(fmt.Sprint(err), "terminated") {
		t.Errorf("a group that was removed was killed: %v", err)
	}
}

// guardVariable makes the test binary run Guard instead of tests.
const guardVariable = "GUARDIAN_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(guardVariable) == "" {
		os.Exit(m.Run())
	}
	if err := Guard(readyReader{os.Stdin}); err != nil {
		panic(err)
	}
}

// guardCommand returns the command line of a guardian. It avoids the second that the race detector
// takes to exit.
func guardCommand() []string {
	return []string{"env", "GORACE=atexit_sleep_ms=0", guardVariable + "=1", os.Args[0]}
}

// readyReader reports when Guard begins to read, which it does after it has begun to ignore
// signals.
type readyReader struct{ io.Reader }

func (r readyReader) Read(b []byte) (int, error) {
	fmt.Println("ready")
	return r.Reader.Read(b)
}

// Invalid input does not make a guardian kill processes that are not replicas, and an incomplete
// line is ignored.
func FuzzReadOrders(f *testing.F) {
	f.Add("tree " + someID + "\ncgroup /x/supervisor-1\n+12\n+13\n-12\nend\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOrders(strings.NewReader(text))
		if o.tree.ID != "" && tree.CheckID(o.tree.ID) != nil || o.tree.Cgroup != "" && tree.CheckCgroup(o.tree.Cgroup) != nil {
			t.Errorf("%+v", o)
		}
		var written strings.Builder
		for id := range o.groups {
			if id < 2 {
				t.Errorf("group %d is to be killed", id)
			}
			fmt.Fprintf(&written, "+%d\n", id)
		}
		for verb, value := range map[string]string{"tree": o.tree.ID, "cgroup": o.tree.Cgroup} {
			if value != "" {
				fmt.Fprintf(&written, "%s %s\n", verb, value)
			}
		}
		if o.end {
			written.WriteString("end\n")
		}
		again, errAgain := readOrders(strings.NewReader(written.String()))
		if errAgain != nil || !sameOrders(o, again) {
			t.Errorf("%+v, written and read, is %+v, %v", o, again, errAgain)
		}
		whole, errWhole := readOrders(strings.NewReader(text[:strings.LastIndexByte(text, '\n')+1]))
		if !sameOrders(o, whole) || fmt.Sprint(err) != fmt.Sprint(errWhole) {
			t.Errorf("with part of a line: %+v, %v; without: %+v, %v", o, err, whole, errWhole)
		}
	})
}

func sameOrders(a, b orders) bool {
	return a.tree == b.tree && a.end == b.end && maps.Equal(a.groups, b.groups)
}
