package main

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/commandline/commandlinetest"
)

// The line of a load never wraps, however narrow the terminal.
func TestProgressFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const wide, narrow = 80, 12
	target := new(counter).serve(t)
	for columns, want := range map[uint16]string{wide: "1 of 3 calls, 0 failed", narrow: "1 of 3 cal…"} {
		master, slave := commandlinetest.Terminal(t, columns)
		p := prepare(nil, "load", "-q", "-n3", "-c1", "--timeout=0s", "--target="+target)
		p.Stderr = slave
		p.launch(t)
		slave.Close()
		shown, _ := io.ReadAll(master) // its error is that the other end was closed
		<-p.ended
		frames := strings.Split(string(shown), "\r\033[K")
		if len(frames) < 3 || frames[1] != want || frames[len(frames)-1] != "" {
			t.Errorf("on %d columns: %q, want %q first and nothing at the end", columns, frames, want)
		}
	}
}

// The status line of live fits, and its signs are explained once, above it.
func TestStatusLineFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const columns = 30
	master, slave := commandlinetest.Terminal(t, columns)
	p := prepare(nil, "live", "--target=127.0.0.1:1", "--listen=127.0.0.1:0", "--runs="+t.TempDir())
	p.Stderr = slave
	p.launch(t)
	slave.Close()
	in := bufio.NewReader(master)
	legend, err := in.ReadString('\n')
	if want := string([]rune(statusLegend)[:columns-2]) + "…"; err != nil || strings.TrimSpace(legend) != want {
		t.Errorf("%q, %v; want %q", legend, err, want)
	}
	for range 3 {
		frame, err := in.ReadString('\033')
		if err != nil || utf8.RuneCountInString(frame) > columns+len("[K\r\033") || strings.Contains(frame, "ready") {
			t.Errorf("frame %q, %v", frame, err)
		}
	}
	p.Process.Signal(os.Interrupt)
	go io.Copy(io.Discard, in)
	<-p.ended
}

// On a terminal lines are folded at spaces; elsewhere they stay whole.
func TestLinesFitTheTerminal(t *testing.T) {
	t.Parallel()
	const columns = 60
	args := []string{"load", "-n2", "-c1", "--timeout=0s", "--target=" + new(counter).serve(t)}
	master, slave := commandlinetest.Terminal(t, columns)
	p := prepare(nil, args...)
	p.Stdout = slave
	p.launch(t)
	slave.Close()
	shown, _ := io.ReadAll(master) // its error is that the other end was closed
	<-p.ended
	folded := 0
	for line := range strings.Lines(strings.ReplaceAll(string(shown), "\r\n", "\n")) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > columns {
			t.Errorf("wider than %d columns: %q", columns, line)
		}
		if strings.HasPrefix(line, "  ") {
			folded++
		}
	}
	const whole = "\nAttempts by outcome: ok 2, refused 0, lost 0, failed 0, timeout 0, rejected 0, canceled 0\n"
	if folded == 0 || !strings.Contains(strings.Join(strings.Fields(string(shown)), " "), strings.TrimSpace(whole)) {
		t.Errorf("%d lines were folded; want some, without loss:\n%s", folded, shown)
	}
	master, slave = commandlinetest.Terminal(t, columns)
	p = prepare(nil, "fault", "get", "127.0.0.1:1")
	p.Stderr = slave
	p.launch(t)
	slave.Close()
	failure, _ := io.ReadAll(master)
	<-p.ended
	want := "crashlab: no replica answers at 127.0.0.1:1 (connect:\r\n  connection refused); start one with make run-cluster\r\n"
	if string(failure) != want {
		t.Errorf("an error is %q, want %q", failure, want)
	}
	if _, stdout, _ := crashlab(t.Context(), args...); !strings.Contains(stdout, whole) {
		t.Errorf("elsewhere: %s", stdout)
	}
}

// The environment gives the width where there is no terminal, or one of unknown width.
func TestColumns(t *testing.T) {
	_, silent := commandlinetest.Terminal(t, 0)
	_, known := commandlinetest.Terminal(t, 33)
	for value, want := range map[string]int{"": 80, "61": 61, "x": 80, "-1": 80} {
		t.Setenv("COLUMNS", value)
		for name, tt := range map[string]struct {
			w    io.Writer
			want int
		}{"silent terminal": {silent, want}, "terminal": {known, 33}, "buffer": {new(bytes.Buffer), want}} {
			if got := columns(tt.w); got != tt.want {
				t.Errorf("%s, COLUMNS=%s: %d, want %d", name, value, got, tt.want)
			}
		}
	}
}

// To fit on a terminal, the progress of an experiment shortens the title of the cell first.
func TestTrialProgressFits(t *testing.T) {
	d := &design.Design{Cells: []design.Cell{{Row: "a row with a long name, and then some"}}}
	now := trials.Progress{Trials: 20, Ended: 3, Running: []trials.TrialProgress{{Succeeded: 41, Failed: 2, Sent: 60, Up: []bool{true, false}}}}
	p := newTrialPrinter(output{io.Discard, io.Discard}, d, false, false)
	whole := strings.Join(p.parts(now, math.MaxInt), ", ")
	if got := p.fit(now, utf8.RuneCountInString(whole)); got != whole {
		t.Errorf("got %q, want %q", got, whole)
	}
	for most, want := range map[int]string{
		80: "3 of 20 trials, a row with a l…: 41 ok, 2 failed, ●○, p99 0s, 1.40 sent per call",
		60: "3 of 20 trials, a row with …: 41 ok, 2 failed, ●○, p99 0s",
		40: "3 of 20 trials, a row with …: 41 ok", 20: "3 of 20 trials", 9: "3 of 20 trials",
	} {
		if got := p.fit(now, most); got != want {
			t.Errorf("in %d characters: %q, want %q", most, got, want)
		}
	}
}

// Elsewhere the signs are explained once too.
func TestTrialProgressExplainsItsSigns(t *testing.T) {
	d := &design.Design{Cells: []design.Cell{{Row: "x"}}}
	var b strings.Builder
	p := newTrialPrinter(output{io.Discard, &b}, d, false, false)
	for ended := range 2 {
		p.print(trials.Progress{Trials: 2, Ended: ended})
	}
	if want := dotsLegend + "\n0 of 2 trials\n1 of 2 trials\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
