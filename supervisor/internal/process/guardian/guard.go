// Package guardian kills the replicas of a supervisor that was itself killed. A guardian process
// reads from a pipe what to kill, and kills it when the pipe ends. [Guardian] is the supervisor's
// side, [Guard] the guardian's.
package guardian

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor/internal/process/threads"
	"example.com/crashlab/supervisor/internal/process/tree"
)

// emptyScans is how many consecutive searches must find no process of the supervisor before a
// guardian ends.
const emptyScans = 3

// guardThreads is how many threads are reserved: for one processor, and for system calls that
// block.
const guardThreads = 4

// Guard is the body of a guardian process, see supervisor.Guard.
func Guard(r io.Reader) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	runtime.GOMAXPROCS(1)
	threads.Reserve(guardThreads)
	o, err := readOrders(r)
	for id := range o.groups {
		// This fails only if the group has ended meanwhile.
		_ = syscall.Kill(-id, syscall.SIGKILL)
	}
	if !o.end && o.tree.ID != "" {
		o.tree.Kill(emptyScans)
	}
	return err
}

// orders is what a guardian has read.
type orders struct {
	tree   tree.Handle
	groups map[int]bool
	end    bool
}

// readOrders returns the orders in force at the end of r.
func readOrders(r io.Reader) (orders, error) {
	o := orders{groups: make(map[int]bool)}
	var bad []error
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			// An unfinished line may be half a number, and is ignored.
			if err != io.EOF {
				bad = append(bad, err)
			}
			return o, errors.Join(bad...)
		}
		if err := o.apply(strings.TrimSuffix(line, "\n")); err != nil {
			bad = append(bad, err)
		}
	}
}

func (o *orders) apply(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "end":
		o.end = true
	case verb == "tree":
		if err := tree.CheckID(rest); err != nil {
			return fmt.Errorf("guardian: line %q: %w", line, err)
		}
		o.tree.ID = rest
	case verb == "cgroup":
		if err := tree.CheckCgroup(rest); err != nil {
			return fmt.Errorf("guardian: line %q: %w", line, err)
		}
		o.tree.Cgroup = rest
	default:
		return o.applyGroup(line)
	}
	return nil
}

func (o *orders) applyGroup(line string) error {
	id, err := strconv.ParseInt(line, 10, 32)
	switch {
	// Killing group 0 or 1 would kill the guardian itself, or every process.
	case err != nil || -2 < id && id < 2:
		return fmt.Errorf("guardian: line %q: want +ID or -ID of a process group, 2 or more", line)
	case id > 0:
		o.groups[int(id)] = true
	default:
		delete(o.groups, int(-id))
	}
	return nil
}
