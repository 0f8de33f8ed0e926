package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// playProgram is set in the environment to make the test binary play crashlab.
const playProgram = "CRASHLAB_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(playProgram) != "" {
		main()
		return
	}
	os.Setenv("HOME", "/nonexistent") // the user who runs the tests may have a calibrated model
	os.Unsetenv("XDG_CONFIG_HOME")
	os.Exit(m.Run())
}

// process is a running crashlab.
type process struct {
	*exec.Cmd
	ended  chan struct{} // closed when it has ended
	stderr bytes.Buffer  // valid after ended is closed
}

// start starts a command line, which ends with the test at the latest. A nil stdout discards the
// output.
func start(t *testing.T, stdout *os.File, args ...string) *process {
	t.Helper()
	p := prepare(stdout, args...)
	p.launch(t)
	return p
}

// prepare is start without the launch.
func prepare(stdout *os.File, args ...string) *process {
	p := &process{Cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), playProgram+"=yes")
	if stdout != nil {
		p.Stdout = stdout
	}
	p.Stderr = &p.stderr
	return p
}

func (p *process) launch(t *testing.T) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // the test looks at ProcessState
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
}

// madeRun returns the folder of a run without a trial.
func madeRun(t *testing.T) string {
	t.Helper()
	d := &design.Design{Cells: []design.Cell{{Settings: design.Defaults()}}}
	w, err := record.Create(t.TempDir(), record.Manifest{Name: "made", Design: d})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(false); err != nil {
		t.Fatal(err)
	}
	return w.Dir()
}

// If a path that requires a regular file names something else, the error names it at once, without
// waiting for the other end of a pipe.
func TestOnlyRegularFiles(t *testing.T) {
	makers := map[string]func(path string) error{
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":    func(path string) error { return os.Symlink(os.DevNull, path) },
	}
	good := madeRun(t)
	for kind, make := range makers {
		for _, file := range []string{"manifest.json", "records.jsonl", "events.jsonl"} {
			dir := madeRun(t)
			path := filepath.Join(dir, file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"report", dir}, {"compare", dir, good}, {"compare", good, dir}} {
				code, stdout, stderr := crashlab(t.Context(), args...)
				if want := "crashlab: " + path + ": " + kind + ": want a regular file\n"; code != exitUsage || stdout != "" || stderr != want {
					t.Errorf("%s, %v: exit code %d, %q%q, want %q", file, args, code, stdout, stderr, want)
				}
			}
		}
	}
	for path, kind := range map[string]string{t.TempDir(): "a directory", os.DevNull: "a device"} {
		code, _, stderr := crashlab(t.Context(), "experiment", "run", path)
		if want := "crashlab: " + path + ": " + kind + ": want a regular file or a pipe\n"; code != exitUsage || stderr != want {
			t.Errorf("a design: exit code %d, %q, want %q", code, stderr, want)
		}
	}
}

// A design may come from a pipe, such as <(COMMAND) in a shell.
func TestDesignFromAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "design.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte("repeats: 3\nfactors: {rounds: [1, 2]}\n"), 0) }()
	code, stdout, stderr := crashlab(t.Context(), "experiment", "run", "--dry-run", path)
	if code != 0 || !strings.Contains(stdout, "6 trials") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// Without a bound, these two would use gigabytes.
func TestDeepDesignIsRefused(t *testing.T) {
	for depth, want := range map[int]string{10_000: ":1:44: more than 32 lists and mappings in each other", 100_000: ": larger than 64 KiB"} {
		path := filepath.Join(t.TempDir(), "deep.yaml")
		if err := os.WriteFile(path, []byte("factors: {x: "+strings.Repeat("[", depth)+strings.Repeat("]", depth)), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := crashlab(t.Context(), "experiment", "run", path)
		first, _, _ := strings.Cut(stderr, "\n")
		if code != exitUsage || !strings.Contains(first, path+want) || len(stderr) > 1000 {
			t.Errorf("%d deep: exit code %d, %.1000q, want %q", depth, code, stderr, want)
		}
	}
}

// A pipe or a device at the path of -o is written to, and not replaced by a file.
func TestReportIntoAPipe(t *testing.T) {
	dir := madeRun(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte, 1)
	go func() {
		text, _ := os.ReadFile(fifo)
		read <- text
	}()
	code, _, stderr := crashlab(t.Context(), "report", dir, "--format", "json", "-o", fifo)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if text := <-read; !json.Valid(text) {
		t.Errorf("got %.200q", text)
	}
	if code, _, stderr := crashlab(t.Context(), "report", dir, "-o", os.DevNull); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	for path, want := range map[string]os.FileMode{fifo: os.ModeNamedPipe, os.DevNull: os.ModeDevice} {
		if info, err := os.Lstat(path); err != nil || info.Mode()&want == 0 {
			t.Errorf("%s is %v, %v now", path, info.Mode(), err)
		}
	}
}

// Ctrl-C ends the calls, and their results are still printed.
func TestSignalDuringCalls(t *testing.T) {
	for _, command := range []string{"get", "load"} {
		for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			t.Run(command+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				asked := make(chan struct{}, 100)
				c := counter{onGet: func() {
					asked <- struct{}{}
					<-t.Context().Done()
				}}
				read, write, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer read.Close()
				p := start(t, write, command, "--timeout=0s", "--target="+c.serve(t))
				write.Close()
				<-asked
				p.Process.Signal(sig)
				var stdout bytes.Buffer
				_, _ = stdout.ReadFrom(read)
				<-p.ended
				if code := p.ProcessState.ExitCode(); code != exitInterrupted {
					t.Errorf("%v, want exit code %d", p.ProcessState, exitInterrupted)
				}
				if command == "load" && !strings.Contains(stdout.String(), "\nInterrupted: ") || !strings.HasPrefix(p.stderr.String(), "crashlab: interrupted") {
					t.Errorf("got %s%s", stdout.String(), p.stderr.String())
				}
			})
		}
	}
}

// A signal while the command waits for a replica that does not answer.
func TestSignalDuringTheWait(t *testing.T) {
	t.Parallel()
	mute := listen(t)
	p := start(t, nil, "load", "--wait=1h", "--target="+mute.Addr().String())
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if code, want := p.ProcessState.ExitCode(), "crashlab: interrupted\n"; code != exitInterrupted || p.stderr.String() != want {
		t.Errorf("%v, %q; want exit code %d and %q", p.ProcessState, p.stderr.String(), exitInterrupted, want)
	}
}

// After a signal, a phase that does not end, or a write that is stuck, ends the process.
func TestStuckPhaseEnds(t *testing.T) {
	defer func() { exitNow = os.Exit }()
	mustExit := func(t *testing.T, stick func()) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			codes := make(chan int)
			exitNow = func(code int) { codes <- code }
			began, ended := time.Now(), make(chan struct{})
			go func() {
				defer close(ended)
				stick()
			}()
			if code := <-codes; code != exitInterrupted || time.Since(began) != stopPatience {
				t.Errorf("exit code %d after %v, want %d after %v", code, time.Since(began), exitInterrupted, stopPatience)
			}
			<-ended
		})
	}
	mustExit(t, func() {
		p := &phase{received: make(chan os.Signal, 1), ended: make(chan struct{})}
		p.received <- syscall.SIGTERM
		stopped := false
		p.watch(func() { stopped = true })
		if !p.signaled || !stopped {
			t.Error("the signal did not stop the phase")
		}
	})
	mustExit(t, func() {
		read, write := io.Pipe()
		time.AfterFunc(2*stopPatience, func() { read.Close() })
		unlessStuck{write}.Write([]byte("last words"))
	})
	synctest.Test(t, func(t *testing.T) {
		exitNow = func(int) { t.Error("the process was ended") }
		var b bytes.Buffer
		unlessStuck{&b}.Write([]byte("last words"))
		time.Sleep(2 * stopPatience)
		if b.String() != "last words" {
			t.Errorf("wrote %q", b.String())
		}
	})
}

// Without a signal, output may take any time, for example if the user reads it in a pager.
func TestOutputMayBlockWithoutASignal(t *testing.T) {
	_, p := begin(t.Context())
	if out := p.end(output{stdout: os.Stdout}); out.stdout != os.Stdout {
		t.Errorf("output goes to %v", out.stdout)
	}
}
