package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// guardLooks is how many looks in a row must find no process of a supervisor
// that was killed.
const guardLooks = 3

// Guard is the whole body of a guardian process, see [Config.Guardian]. It
// reads lines from r, the read end of a pipe whose write end only the
// supervisor holds:
//
//	tree ID      what it launches is marked with an ID: 32 hexadecimal digits
//	cgroup PATH  and is in this control group, where there is one
//	+ID          a process group was launched
//	-ID          it has ended
//	end          all have ended
//
// At the end of r, which comes however the supervisor ended, it kills
// (SIGKILL) the groups still there and, on Linux and unless there was "end",
// all processes in the control group or with the mark; then it returns. It
// ignores SIGINT, SIGTERM and SIGHUP from then on, as the supervisor needs it
// after those. It returns an error for lines it did not understand, which
// change nothing, and when r fails; it kills then too.
func Guard(r io.Reader) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	o, err := readOrders(r)
	for id := range o.groups {
		// It fails only for a group that has ended by itself meanwhile.
		_ = syscall.Kill(-id, syscall.SIGKILL)
	}
	if !o.end && o.tree != "" {
		killTree(o.tree, o.cgroup, guardLooks)
	}
	return err
}

// orders are what a guardian was told.
type orders struct {
	tree   treeID
	cgroup cgroup
	groups map[int]bool
	end    bool
}

// readOrders returns what holds at the end of r.
func readOrders(r io.Reader) (orders, error) {
	o := orders{groups: make(map[int]bool)}
	var bad []error
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			// What was read of an unfinished line may be half a number: not for us.
			if err != io.EOF {
				bad = append(bad, err)
			}
			return o, errors.Join(bad...)
		}
		if err := o.take(strings.TrimSuffix(line, "\n")); err != nil {
			bad = append(bad, err)
		}
	}
}

func (o *orders) take(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case line == "end":
		o.end = true
	case word == "tree":
		if !treeID(rest).valid() { // a short one could be in anybody's environment
			return fmt.Errorf("guardian: line %q: want an ID of 32 hexadecimal digits", line)
		}
		o.tree = treeID(rest)
	case word == "cgroup":
		if !strings.HasPrefix(filepath.Base(rest), cgroupPrefix) { // to kill our own would be to kill ourselves
			return fmt.Errorf("guardian: line %q: want the path of a control group named %s…", line, cgroupPrefix)
		}
		o.cgroup = cgroup(rest)
	default:
		return o.takeGroup(line)
	}
	return nil
}

func (o *orders) takeGroup(line string) error {
	id, err := strconv.ParseInt(line, 10, 32)
	switch {
	// To kill group 0 or 1 would be to kill ourselves, or every process.
	case err != nil || -2 < id && id < 2:
		return fmt.Errorf("guardian: line %q: want +ID or -ID of a process group, 2 or more", line)
	case id > 0:
		o.groups[int(id)] = true
	default:
		delete(o.groups, int(-id))
	}
	return nil
}
