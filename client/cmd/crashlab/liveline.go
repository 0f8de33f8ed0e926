package main

import (
	"fmt"
	"strings"
	"time"

	"example.com/crashlab/client/live"
)

// statusLine shows the state of a live session on a terminal's stderr.
type statusLine struct {
	line  *terminalLine
	tabs  func() int
	shown time.Time
}

const statusPeriod = time.Second / 2

// statusLegend explains the signs of replicaMarks.
const statusLegend = "● ready  ◔ starting  ◌ not serving  ◍ hung  ○ down"

func newStatusLine(out output, tabs func() int) *statusLine {
	return &statusLine{line: newTerminalLine(out.stderr, statusLegend), tabs: tabs}
}

func (l *statusLine) show(s live.State) {
	if l.line.w == nil || time.Since(l.shown) < statusPeriod {
		return
	}
	l.shown = time.Now()
	l.line.draw(statusText(s, l.tabs()))
}

func (l *statusLine) clear() { l.line.clear() }

// replicaMarks are the signs for the states of replicas.
var replicaMarks = map[live.ReplicaState]string{
	live.ReplicaDown: "○", live.ReplicaStarting: "◔", live.ReplicaReady: "●", live.ReplicaUnready: "◌", live.ReplicaHung: "◍",
}

// statusText returns the state of a session in one line. Tabs is the number of open pages.
func statusText(s live.State, tabs int) string {
	var parts []string
	if c := s.Cluster; c.Control != "" && !c.Connected {
		parts = append(parts, "supervisor lost, reconnecting: "+c.Error)
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
