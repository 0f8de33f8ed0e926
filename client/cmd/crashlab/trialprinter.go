package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/trials"
)

// trialPrinter shows the progress of a run: on a terminal as a line that is replaced, elsewhere as
// a line, or a JSON object, for each trial that has ended and every few seconds.
type trialPrinter struct {
	w      io.Writer // nil: show nothing
	line   *terminalLine
	design *design.Design
	form   form
	ended  int // trials, when progress was shown last
	shown  time.Time
}

// form is how progress is written.
type form int

const (
	formLines form = iota
	formTerminal
	formObjects
)

// periods are the minimum times between two reports of each form while no trial ends.
var periods = [...]time.Duration{formLines: 10 * time.Second, formTerminal: 0, formObjects: time.Second}

// dotsLegend explains the signs of dots.
const dotsLegend = "● replica ready  ○ replica not ready"

func newTrialPrinter(out output, d *design.Design, quiet, asJSON bool) *trialPrinter {
	p := &trialPrinter{w: out.stderr, line: &terminalLine{}, design: d, ended: -1}
	switch {
	case quiet:
		p.w = nil
	case asJSON:
		p.form = formObjects
	case isTerminal(out.stderr):
		p.form, p.line = formTerminal, newTerminalLine(out.stderr, dotsLegend)
	}
	return p
}

// print shows the progress when it is due.
func (p *trialPrinter) print(now trials.Progress) {
	if p.w == nil || now.Ended == p.ended && time.Since(p.shown) < periods[p.form] {
		return
	}
	if p.form == formLines && p.shown.IsZero() {
		fmt.Fprintln(p.w, dotsLegend)
	}
	p.ended, p.shown = now.Ended, time.Now()
	switch p.form {
	case formObjects:
		p.printJSON(now)
	case formTerminal:
		p.line.draw(p.fit(now, columns(p.w)-1))
	default:
		fmt.Fprintln(p.w, strings.Join(p.parts(now, math.MaxInt), ", "))
	}
}

// minTitle is the minimum number of characters of a cell's title that are shown.
const minTitle = 12

// fit returns the progress in a line of at most so many characters. It shortens the title of the
// cell first, and then leaves out the last numbers.
func (p *trialPrinter) fit(now trials.Progress, most int) string {
	parts := p.parts(now, math.MaxInt)
	length := func() int { return utf8.RuneCountInString(strings.Join(parts, ", ")) }
	if over := length() - most; over > 0 && len(now.Running) > 0 {
		title := utf8.RuneCountInString(p.title(now.Running[0]))
		parts = p.parts(now, max(title-over, minTitle))
	}
	for len(parts) > 1 && length() > most {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, ", ")
}

func (p *trialPrinter) title(t trials.TrialProgress) string {
	return p.design.Cells[t.Trial.Cell].Title()
}

// parts returns the parts of a line such as
//
//	3 of 20 trials, 40s left, waiting, concurrency 5: 41 ok, 2 failed, ●●○, p99 812ms, 1.43 sent per call
//
// with at most so many characters of the cell's title.
func (p *trialPrinter) parts(now trials.Progress, title int) []string {
	parts := []string{fmt.Sprintf("%d of %d trials", now.Ended, now.Trials)}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if now.Left > 0 {
		add("%v left", now.Left.Round(time.Second))
	}
	if len(now.Running) == 0 {
		return parts
	}
	t := now.Running[0]
	add("%s: %d ok", cut(p.title(t), title), t.Succeeded)
	add("%d failed", t.Failed)
	add("%s", dots(t.Up))
	if t.Succeeded > 0 {
		add("p99 %v", rounded(t.P99))
	}
	if n := t.Succeeded + t.Failed; n > 0 {
		add("%.2f sent per call", float64(t.Sent)/float64(n))
	}
	if more := len(now.Running) - 1; more > 0 {
		add("and %s more", plural(more, "trial"))
	}
	return parts
}

// dots returns a sign for each replica: ● for one that is ready, ○ for another.
func dots(up []bool) string {
	var b strings.Builder
	for _, ready := range up {
		if ready {
			b.WriteRune('●')
		} else {
			b.WriteRune('○')
		}
	}
	return b.String()
}

// printJSON writes the progress as one JSON object on a line.
func (p *trialPrinter) printJSON(now trials.Progress) {
	type running struct {
		Trial     int     `json:"trial"`
		Cell      string  `json:"cell"`
		Succeeded int     `json:"succeeded"`
		Failed    int     `json:"failed"`
		Sent      int     `json:"sent"`
		P99       float64 `json:"p99_ms"`
		Up        []bool  `json:"up"`
	}
	j := struct {
		Run     string    `json:"run"`
		Trials  int       `json:"trials"`
		Ended   int       `json:"ended"`
		Elapsed float64   `json:"elapsed_ms"`
		Left    float64   `json:"left_ms"`
		Running []running `json:"running"`
	}{now.Dir, now.Trials, now.Ended, ms(now.Elapsed), ms(now.Left), []running{}}
	for _, t := range now.Running {
		j.Running = append(j.Running, running{
			t.Trial.Number, p.design.Cells[t.Trial.Cell].Title(), t.Succeeded, t.Failed, t.Sent, ms(t.P99), t.Up,
		})
	}
	_ = json.NewEncoder(p.w).Encode(j) // an error of stderr cannot be reported
}

// clear removes the line on a terminal.
func (p *trialPrinter) clear() { p.line.clear() }

// printDesign prints the cells of a design and the number of trials.
func printDesign(w io.Writer, d *design.Design) error {
	var b strings.Builder
	if d.Question != "" {
		fmt.Fprintln(&b, d.Question)
	}
	if d.Answer != "" {
		fmt.Fprintln(&b, "Expected answer:", d.Answer)
	}
	for _, c := range d.Cells {
		fmt.Fprintf(&b, "  %s\n", c.Title())
	}
	fmt.Fprintf(&b, "%s, %s each: %s, %d at a time\n", plural(len(d.Cells), "cell"), plural(d.Repeats, "repeat"),
		plural(len(d.Trials()), "trial"), d.Parallel)
	_, err := io.WriteString(w, fold(b.String(), pageWidth, "    "))
	return err
}
