package main

import (
	"fmt"
	"strconv"
	"strings"
)

// marks is what the comments above a block of code say about it.
type marks struct {
	slow    bool   // not run, as it takes long or does not end
	skip    string // why it is not run otherwise
	cluster bool   // run beside a cluster
	flags   string // of that cluster's supervisor
	exact   bool   // the output agrees to the letter
	exit    int    // with which the last command exits
	file    string // where the block is written to before the next one is run
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
		case word == "exact" && value == "":
			m.exact = true
		case word == "file" && value != "":
			m.file = value
		case word == "exit" && value != "":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 255 {
				return fmt.Errorf("exit %s: want a code from 0 to 255", value)
			}
			m.exit = n
		default:
			return fmt.Errorf("unknown mark %q: want slow, skip REASON, cluster [FLAGS], exact, exit N or file NAME", strings.TrimSpace(mark))
		}
	}
	return nil
}

// runs reports whether the commands of the block are run.
func (m marks) runs() bool { return !m.slow && m.skip == "" }
