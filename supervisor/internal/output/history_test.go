package output

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// However lines are added, the last ones are those of a simple split.
func TestHistoryAgainstASplit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		var h History
		var all []string
		for range rng.IntN(300) {
			var part strings.Builder
			for range rng.IntN(30) {
				line := strings.Repeat("é", rng.IntN(3)*rng.IntN(400)) + strings.Repeat("x", rng.IntN(3))
				part.WriteString(line + "\n")
				all = append(all, line)
			}
			h.Add([]byte(part.String()))
		}
		n := rng.IntN(30) + 1
		want := slices.Clone(all[max(0, len(all)-n):])
		for i, line := range want {
			want[i] = line[:cutAt(line)]
		}
		if got := h.texts(Cursor{}, n, lastLineSize); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		if len(h.text) > 4*historyBytes {
			t.Fatalf("%d bytes are kept", len(h.text))
		}
		// A reader that starts at the beginning gets the last lines, without a gap.
		var got strings.Builder
		var at Cursor
		var missed uint64
		for {
			lines, then, forgotten, _ := h.Next(at)
			if missed += forgotten; lines == nil {
				break
			}
			got.Write(lines)
			at = then
		}
		if want := strings.Join(append(all[missed:], ""), "\n"); got.String() != want || at != h.End() {
			t.Fatalf("%d bytes after %d forgotten lines, want %d; at %v of %v", got.Len(), missed, len(want), at, h.End())
		}
		if len(all) > historyLines && int(missed) > len(all)-historyLines && got.Len() < historyBytes-2000 {
			t.Fatalf("%d lines of %d are forgotten", missed, len(all))
		}
	}
}

func cutAt(line string) int {
	n := min(len(line), lastLineSize)
	for !utf8.ValidString(line[:n]) {
		n--
	}
	return n
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	mib := append(bytes.Repeat([]byte("x"), maxLine), '\n')
	for range 20 {
		h.Add(mib)
	}
	if len(h.text) > 2*len(mib) {
		t.Errorf("%d bytes are kept", len(h.text))
	}
	for range 10_000 {
		h.Add([]byte("hello\n"))
	}
	if cap(h.text) > 64<<10 {
		t.Errorf("a buffer of %d bytes is left", cap(h.text))
	}
	if lines, _, _, _ := h.Next(h.Last(3)); string(lines) != "hello\nhello\nhello\n" {
		t.Errorf("the last three are %q", lines)
	}
}

func TestHistoryTextsAreValidUTF8(t *testing.T) {
	var h History
	h.Add([]byte("a\xffb\n" + strings.Repeat("\xff", 2*lastLineSize) + "\n" + strings.Repeat("\x80x", lastLineSize) + "\n"))
	for _, line := range h.texts(Cursor{}, 20, lastLineSize) {
		if !utf8.ValidString(line) || len(line) > lastLineSize || len(line) < 3 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
}

func TestHistoryNotifiesFollowers(t *testing.T) {
	var h History
	h.Add([]byte("1\n"))
	at := h.End()
	_, _, _, changed := h.Next(at)
	h.Add([]byte("2\n"))
	<-changed
	lines, at, _, _ := h.Next(at)
	if string(lines) != "2\n" {
		t.Errorf("got %q", lines)
	}
	_, _, _, changed = h.Next(at)
	h.Close()
	<-changed
	if _, _, _, changed = h.Next(at); changed != nil {
		t.Error("there is more to come after the end")
	}
}
