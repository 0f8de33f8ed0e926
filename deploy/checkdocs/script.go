package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// blockTimeout limits the duration of a block.
const blockTimeout = time.Minute

// step is a command of a console, or a whole block of sh, and the output that the document shows.
type step struct {
	line     int // of the document
	text     string
	commands []command
	want     []string // none: any
}

// steps returns the steps of a block: the whole of sh, and each command of console.
func (b *block) steps() (steps []step, err error) {
	if b.language == "sh" {
		steps = []step{{line: b.line, text: strings.Join(b.lines, "\n")}}
	} else if steps, err = b.consoleSteps(); err != nil {
		return nil, err
	}
	for i, s := range steps {
		if steps[i].commands, err = commands(s.text); err != nil {
			return nil, fmt.Errorf("the shell cannot read it: %v", err)
		}
	}
	return steps, nil
}

func (b *block) consoleSteps() (steps []step, err error) {
	continued := false
	for i, line := range b.lines {
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case continued:
			last := &steps[len(steps)-1]
			last.text += "\n" + strings.TrimPrefix(line, "> ")
			text = line
		case isCommand:
			steps = append(steps, step{line: b.line + i, text: text})
		case len(steps) == 0:
			return nil, errors.New(`the console begins with output: want a command after "$ "`)
		default:
			last := &steps[len(steps)-1]
			last.want = append(last.want, line)
			continue
		}
		continued = strings.HasSuffix(text, `\`)
	}
	for i, s := range steps {
		for len(s.want) > 0 && strings.TrimSpace(s.want[len(s.want)-1]) == "" {
			s.want = s.want[:len(s.want)-1]
		}
		steps[i].want = s.want
	}
	return steps, nil
}

// results are the results of the steps of a script.
type results struct {
	output []string
	exit   []int // -1: not reached
	line   int   // where a block of sh failed, from 0
}

// runScript runs the steps of a block in dir, in order and in the same shell.
func (c *checker) runScript(ctx context.Context, dir string, steps []step, stop bool) (results, error) {
	out, err := os.MkdirTemp(c.scratch, "out")
	if err != nil {
		return results{}, err
	}
	var script strings.Builder
	script.WriteString(`make() { command make -o build "$@"; }; `) // the programs are built
	for name := range c.missing {
		fmt.Fprintf(&script, "%s() { :; }; ", name)
	}
	if stop {
		script.WriteString(`trap 'echo $LINENO >"$DOCS_OUT/line"' ERR; set -e; `)
	}
	for i, s := range steps {
		fmt.Fprintf(&script, "exec >\"$DOCS_OUT/%d\" 2>&1\n%s\necho $? >\"$DOCS_OUT/%d.exit\"\n", i, s.text, i)
	}
	file := filepath.Join(out, "script")
	if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
		return results{}, err
	}
	log, err := os.Create(filepath.Join(out, "shell"))
	if err != nil {
		return results{}, err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", file)
	cmd.Dir = dir
	cmd.Env = append(c.environment(dir), "DOCS_OUT="+out)
	cmd.Stdout, cmd.Stderr = log, log
	runErr := runGroup(cmd)
	if ctx.Err() != nil {
		return results{}, fmt.Errorf("does not end within %v: mark it slow", blockTimeout)
	}
	return readResults(out, len(steps), runErr)
}

// readResults reads the files that a script has written to its folder.
func readResults(out string, steps int, runErr error) (results, error) {
	var r results
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	if line, err := strconv.Atoi(strings.TrimSpace(read("line"))); err == nil {
		r.line = line - 2
	}
	for i := range steps {
		exit, err := strconv.Atoi(strings.TrimSpace(read(fmt.Sprintf("%d.exit", i))))
		if err != nil {
			exit = -1
		}
		r.output = append(r.output, read(strconv.Itoa(i)))
		r.exit = append(r.exit, exit)
	}
	// The shell ended during the first step that has no exit code.
	i := slices.Index(r.exit, -1)
	if i < 0 {
		return r, nil
	}
	var exit *exec.ExitError
	switch {
	case errors.As(runErr, &exit):
		r.exit[i] = exit.ExitCode()
	case runErr != nil:
		return r, runErr
	default:
		r.exit[i] = 0
	}
	r.output[i] += read("shell")
	return r, nil
}

// runGroup runs a command, and then stops all processes that are left in its process group.
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	err := cmd.Wait()
	endGroup(cmd.Process.Pid)
	return err
}

// stopTimeout is how long to wait after SIGTERM before killing processes.
const stopTimeout = 20 * time.Second

// endGroup stops the processes of a group, and returns when all have ended.
func endGroup(group int) {
	if syscall.Kill(-group, syscall.SIGTERM) != nil {
		return
	}
	for start := time.Now(); alive(group) && time.Since(start) < 2*stopTimeout; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > stopTimeout {
			syscall.Kill(-group, syscall.SIGKILL)
		}
	}
}

// alive reports whether a group contains a process. It reaps orphans, which adoptOrphans made
// children of this process.
func alive(group int) bool {
	for {
		pid, err := syscall.Wait4(-group, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return syscall.Kill(-group, 0) == nil
		}
	}
}

// environment returns the environment of a document's commands.
func (c *checker) environment(dir string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"SUPERVISOR_CONTROL", "NOTIFY_SOCKET", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "XDG_CONFIG_HOME", "COLUMNS"}, name)
	})
	return slices.Concat(env, c.goEnv, []string{
		"HOME=" + c.scratch, "TERM=dumb", "CHECK_DOCS=1",
		"PATH=" + strings.Join(slices.Concat([]string{filepath.Join(dir, "bin")}, c.tools, filepath.SplitList(os.Getenv("PATH"))), string(filepath.ListSeparator)),
	})
}
