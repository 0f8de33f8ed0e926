package web

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"example.com/crashlab/client/live"
)

const (
	// maxQueued is how many differences may wait for a tab before it gets a state instead: those of
	// three seconds.
	maxQueued = 32
	// maxSilence is the longest time without a difference.
	maxSilence = time.Second
	// MaxTabs is the greatest number of tabs at a time.
	MaxTabs = 64
)

// hub sends each state to the tabs, as a difference or whole. The session never waits for a tab.
type hub struct {
	mu    sync.Mutex
	state live.State // the state of all tabs that are not behind
	tabs  map[*tab]bool
}

// tab is an open page.
type tab struct {
	frames chan []byte   // differences
	behind bool          // it needs a whole state next; guarded by hub.mu
	ready  chan struct{} // of capacity one: there is a frame, or behind is set
}

// publish sends a state to the tabs.
func (h *hub) publish(s live.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tabs) == 0 || h.state.Session == "" {
		h.state = s
		for t := range h.tabs {
			t.wake()
		}
		return
	}
	d := live.Difference(h.state, s)
	if d.Empty() && time.Duration(s.Now-h.state.Now) < maxSilence {
		return
	}
	h.state = s
	var frame []byte
	for t := range h.tabs {
		if t.behind {
			continue
		}
		if frame == nil {
			frame = message("diff", d)
		}
		select {
		case t.frames <- frame:
		default:
			t.behind = true
		}
		t.wake()
	}
}

func (t *tab) wake() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// join returns a new tab, or nil if there are too many.
func (h *hub) join() *tab {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tabs) >= MaxTabs {
		return nil
	}
	if h.tabs == nil {
		h.tabs = map[*tab]bool{}
	}
	t := &tab{frames: make(chan []byte, maxQueued), ready: make(chan struct{}, 1), behind: true}
	t.wake()
	h.tabs[t] = true
	return t
}

func (h *hub) leave(t *tab) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tabs, t)
}

func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.tabs)
}

// next returns the next message for a tab, or nil if there is none yet.
func (h *hub) next(t *tab) []byte {
	if s, ok := h.catchUp(t); ok {
		return message("state", s)
	}
	select {
	case frame := <-t.frames:
		return frame
	default:
		return nil
	}
}

// catchUp returns the state for a tab that is behind. It drops what is queued for the tab; later
// differences apply to the returned state.
func (h *hub) catchUp(t *tab) (live.State, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !t.behind || h.state.Session == "" {
		return live.State{}, false // not behind, or there is no state yet
	}
	for len(t.frames) > 0 {
		<-t.frames
	}
	t.behind = false
	return h.state, true
}

// message returns a server-sent event.
func message(event string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // cannot happen: the data are numbers, texts and times
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, text)
}
