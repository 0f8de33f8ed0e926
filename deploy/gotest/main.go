// Command gotest runs go test several times and summarizes all runs in one line: how many tests
// passed, and which were skipped and why.
//
//	gotest [-note TEXT] -- ARGS [-- ARGS]...
//
// Each ARGS are the arguments of one go test. Gotest prints what go test prints without -v: a line
// for each package, and the output of failed tests. The text of -note ends the summary. The exit
// code is 0 if all tests passed, 1 if one failed, and 2 for wrong arguments.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	note := flag.String("note", "", "`text` at the end of the summary")
	flag.Parse()
	runs := split(flag.Args())
	if len(runs) == 0 {
		fmt.Fprintln(os.Stderr, "gotest: no arguments for go test: want gotest [-note TEXT] -- ARGS [-- ARGS]...")
		os.Exit(2)
	}
	start := time.Now()
	s := newSummary(os.Stdout)
	code := 0
	for _, args := range runs {
		if err := run(args, s); err != nil {
			fmt.Fprintf(os.Stderr, "gotest: go test %s: %v\n", strings.Join(args, " "), err)
			code = 1
		}
	}
	fmt.Println(s.line(time.Since(start), *note))
	os.Exit(code)
}

// split returns the arguments between each two "--".
func split(args []string) (runs [][]string) {
	for len(args) > 0 {
		run := args
		if i := slices.Index(args, "--"); i >= 0 {
			run, args = args[:i], args[i+1:]
		} else {
			args = nil
		}
		if len(run) > 0 {
			runs = append(runs, run)
		}
	}
	return runs
}

// run runs go test once. It returns an error if go test fails, also if a test does.
func run(args []string, s *summary) error {
	// go test expects -C DIR first.
	at := 0
	if len(args) > 1 && args[0] == "-C" {
		at = 2
	}
	cmd := exec.Command("go", slices.Concat([]string{"test"}, args[:at], []string{"-json"}, args[at:])...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := s.read(out)
	if readErr != nil {
		io.Copy(io.Discard, out) // otherwise go test would block
	}
	if err := cmd.Wait(); err != nil {
		return err
	}
	return readErr
}
