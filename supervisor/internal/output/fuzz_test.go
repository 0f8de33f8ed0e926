package output

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// However input is divided into reads, the lines are those of a simple split.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbc\n\nd"), uint16(1), uint16(3))
	f.Fuzz(func(t *testing.T, text []byte, times, part uint16) {
		if len(text)*int(times) > 5*maxLine/2 || part == 0 {
			return
		}
		input := bytes.Repeat(text, int(times))
		var got, wanted [][]byte
		for line := range bytes.Lines(input) {
			line = bytes.TrimSuffix(line, []byte{'\n'})
			for ; len(line) > maxLine; line = line[maxLine:] {
				wanted = append(wanted, line[:maxLine])
			}
			wanted = append(wanted, line)
		}
		var b lineBuffer
		emit := func(lines []byte) {
			for line := range bytes.Lines(bytes.Clone(lines)) {
				got = append(got, bytes.TrimSuffix(line, []byte{'\n'}))
			}
		}
		for len(input) > 0 {
			n := copy(b.space(), input[:min(int(part), len(input))])
			b.add(n, emit)
			input = input[n:]
		}
		if b.end(emit); !slices.EqualFunc(got, wanted, bytes.Equal) {
			t.Errorf("got %d lines, want %d", len(got), len(wanted))
		}
	})
}

// The last lines are as many as fit, and valid UTF-8.
func FuzzHistoryTexts(f *testing.F) {
	f.Add("a\nb\xff\n"+strings.Repeat("é", lastLineSize), uint16(1))
	f.Fuzz(func(t *testing.T, text string, times uint16) {
		if len(text)*int(times) > 1<<20 {
			return
		}
		all := strings.Split(text, "\n")
		var h History
		for range times {
			h.Add([]byte(text + "\n"))
		}
		got := h.texts(Cursor{}, lastLines, lastLineSize)
		if most := min(len(all)*int(times), lastLines); len(got) > most || len(got) < most && len(got)*len(text) < historyBytes/2 && len(text) < historyBytes/lastLines {
			t.Fatalf("%d lines of %d", len(got), len(all)*int(times))
		}
		for i, line := range slices.Backward(got) {
			whole := all[(len(all)*int(times)-len(got)+i)%len(all)]
			if !utf8.ValidString(line) || len(line) > lastLineSize || utf8.ValidString(whole) && line != whole[:cutAt(whole)] {
				t.Errorf("%q became %q", whole, line)
			}
		}
	})
}
