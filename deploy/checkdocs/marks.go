package main

import (
	"fmt"
	"strconv"
	"strings"
)

// marks are the settings in the comments above a code block.
type marks struct {
	slow    bool   // do not run it: it takes long or does not end
	skip    string // another reason not to run it
	cluster bool   // run beside a cluster
	flags   string // of that cluster's supervisor
	exit    int    // exit code of the last command
	file    string // write the block to this file
}

// add reads one comment, such as "cluster --restart-delay 1s, exit 1".
func (m *marks) add(text string) error {
	for text = strings.TrimSpace(text); text != ""; {
		var mark string
		if strings.HasPrefix(text, "skip ") { // a reason may have commas
			mark, text = text, ""
		} else {
			mark, text, _ = strings.Cut(text, ",")
		}
		word, value, _ := strings.Cut(strings.TrimSpace(mark), " ")
		value = strings.TrimSpace(value)
		text = strings.TrimSpace(text)
		switch {
		case word == "slow" && value == "":
			m.slow = true
		case word == "skip" && value != "":
			m.skip = value
		case word == "cluster":
			m.cluster, m.flags = true, value
		case word == "file" && value != "":
			m.file = value
		case word == "exit" && value != "":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 255 {
				return fmt.Errorf("exit %s: want a code from 0 to 255", value)
			}
			m.exit = n
		default:
			return fmt.Errorf("unknown mark %q: want slow, skip REASON, cluster [FLAGS], exit N or file NAME", strings.TrimSpace(mark))
		}
	}
	return nil
}

// runs reports whether the marks allow running the block.
func (m marks) runs() bool { return !m.slow && m.skip == "" }
