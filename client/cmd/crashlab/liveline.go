package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"example.com/crashlab/client/live"
)

// statusLine is a line on a terminal's stderr that shows a live session.
type statusLine struct {
	w     io.Writer // nil: show nothing
	tabs  func() int
	shown time.Time
}

const (
	statusPeriod = time.Second / 2
)

func newStatusLine(out output, tabs func() int) *statusLine {
	l := &statusLine{tabs: tabs}
	if isTerminal(out.stderr) {
		l.w = out.stderr
	}
	return l
}

func (l *statusLine) show(s live.State) {
	if l.w == nil || time.Since(l.shown) < statusPeriod {
		return
	}
	l.shown = time.Now()
	fmt.Fprintf(l.w, "\r\033[K%s", cut(statusText(s, l.tabs()), columns(l.w)-1))
}

// end takes the line away.
func (l *statusLine) end() {
	if l.w != nil {
		fmt.Fprint(l.w, "\r\033[K")
	}
}

// replicaMarks are the states of replicas, as in the progress of experiments.
var replicaMarks = map[live.ReplicaState]string{
	live.ReplicaDown: "○", live.ReplicaStarting: "◔", live.ReplicaReady: "●", live.ReplicaUnready: "◌", live.ReplicaHung: "◍",
}

// statusText returns a session in a line of a terminal.
func statusText(s live.State, tabs int) string {
	var parts []string
	if c := s.Cluster; c.Control != "" && !c.Connected {
		parts = append(parts, "control lost, trying again: "+c.Error)
	} else if len(s.Replicas) > 0 {
		var lanes strings.Builder
		for _, r := range s.Replicas {
			lanes.WriteString(replicaMarks[r.State])
		}
		parts = append(parts, cut(lanes.String(), 26))
	}
	for i, l := range s.Loads {
		if !s.Plans[i].On {
			continue
		}
		n := l.Recent
		text := l.ID + " no calls"
		if ended := n.OK + n.Failed; ended > 0 {
			text = fmt.Sprintf("%s %.1f%% ok, p99 %v, %.2f sent", l.ID, 100*float64(n.OK)/float64(ended), rounded(time.Duration(n.P99)), float64(n.Sent)/float64(ended))
		}
		parts = append(parts, text)
	}
	if s.Recording.On {
		parts = append(parts, "recording")
	}
	if tabs != 1 {
		parts = append(parts, plural(tabs, "tab"))
	}
	return strings.Join(parts, "  ")
}
