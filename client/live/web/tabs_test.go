package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/live"
)

// reader reads the events of a tab.
type reader struct {
	t     *testing.T
	lines *bufio.Reader
	body  io.Closer
}

func tabOf(t *testing.T, base string) *reader {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/api/events", nil)
	r.Header.Set("Authorization", bearer)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reply.Body.Close() })
	if kind := reply.Header.Get("Content-Type"); reply.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("%d, %s", reply.StatusCode, kind)
	}
	return &reader{t, bufio.NewReader(reply.Body), reply.Body}
}

// next returns the next event.
func (r *reader) next() (event, data string) {
	r.t.Helper()
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		if text, ok := strings.CutPrefix(line, "event: "); ok {
			event = text
		} else if text, ok := strings.CutPrefix(line, "data: "); ok {
			data = text
		} else if line == "" {
			return event, data
		}
	}
}

// film makes the states of a session in which each frame has a mark.
type film struct {
	fold  *live.Fold
	began time.Time
	frame int
	text  string
}

func newFilm(text string) *film {
	f := &film{began: time.Now(), text: text}
	f.fold = live.NewFold("film", f.began, "A")
	return f
}

func (f *film) next() live.State {
	f.frame++
	at := f.began.Add(time.Duration(f.frame) * live.Frame)
	f.fold.Apply(at, live.Marked{Kind: live.MarkCommand, Text: fmt.Sprint(f.frame, f.text)})
	f.fold.Apply(at, live.Tick{})
	return f.fold.State()
}

// follow reads events until the tab has the frame, and returns its state and the number of whole
// states that it received.
func (r *reader) follow(frame uint64) (state live.State, whole int) {
	r.t.Helper()
	for state.Frame < frame {
		event, data := r.next()
		var err error
		switch event {
		case "state":
			whole++
			state = live.State{}
			err = json.Unmarshal([]byte(data), &state)
		case "diff":
			var d live.Diff
			if err = json.Unmarshal([]byte(data), &d); err == nil {
				state.Apply(d)
			}
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return state, whole
}

func (r *reader) wants(state live.State) {
	r.t.Helper()
	got, whole := r.follow(state.Frame)
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(state)
	if string(a) != string(b) {
		r.t.Errorf("after %d whole states the tab has\n%s\nwant\n%s", whole, a, b)
	}
}

// Ten tabs have the current state, even those that joined late.
func TestTabs(t *testing.T) {
	t.Parallel()
	s, base := serve(t, new(Server))
	f := newFilm("")
	var tabs []*reader
	var last live.State
	for range 10 {
		tabs = append(tabs, tabOf(t, base))
		last = f.next()
		s.Publish(last)
	}
	last = f.next()
	s.Publish(last)
	if event, _ := tabs[0].next(); event != "about" {
		t.Errorf("the first event is %s, want about", event)
	}
	for _, tab := range tabs {
		tab.wants(last)
	}
	if n := s.Tabs(); n != 10 {
		t.Errorf("%d tabs, want 10", n)
	}
}

// A tab that does not read delays nothing. When it reads again, it gets the whole state instead of
// the differences that it missed.
func TestSlowTab(t *testing.T) {
	t.Parallel()
	s, base := serve(t, new(Server))
	f := newFilm(strings.Repeat(" a mark of many words", 2000)) // fills buffers quickly
	slow, quick := tabOf(t, base), tabOf(t, base)
	slow.next()
	for s.Tabs() < 2 {
		time.Sleep(time.Millisecond)
	}
	var last live.State
	for range 600 {
		last = f.next()
		s.Publish(last) // returns, or the test hangs
	}
	go func() { _, _ = io.Copy(io.Discard, quick.lines) }()
	got, whole := slow.follow(last.Frame)
	if len(got.Marks.Items) != len(last.Marks.Items) || whole < 2 {
		t.Errorf("%d marks after %d whole states, want %d and more than one", len(got.Marks.Items), whole, len(last.Marks.Items))
	}
}

// At most MaxTabs tabs are served, and closed tabs make room for others.
func TestTooManyTabs(t *testing.T) {
	t.Parallel()
	s, base := serve(t, new(Server))
	var tabs []*reader
	for range MaxTabs {
		tabs = append(tabs, tabOf(t, base))
	}
	if code, body, _ := ask(t, "GET", base+"/api/events", "", "Authorization", bearer); code != 503 || !strings.Contains(body, "close one") {
		t.Errorf("tab %d: status %d, %s; want 503", MaxTabs+1, code, body)
	}
	for _, tab := range tabs {
		tab.body.Close()
	}
	for s.Tabs() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// While nothing changes, tabs get a difference with the time once a second.
func TestSilence(t *testing.T) {
	var h hub
	tab := h.join()
	began := time.Now()
	f := live.NewFold("s", began, "A")
	for frame := range 35 {
		f.Apply(began.Add(time.Duration(frame)*live.Frame), live.Tick{})
		h.publish(f.State())
		if frame == 0 {
			if m := h.next(tab); !strings.HasPrefix(string(m), "event: state\n") {
				t.Fatalf("got %q", m)
			}
		}
	}
	n := 0
	for m := h.next(tab); m != nil; m = h.next(tab) {
		n++
	}
	if n != 3 {
		t.Errorf("%d differences in 3.4 s, want 3", n)
	}
}
