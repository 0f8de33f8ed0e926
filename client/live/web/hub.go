package web

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"example.com/crashlab/client/live"
)

const (
	// queued is how many differences wait for a tab before it gets a state in their place: three
	// seconds of them.
	queued = 32
	// silence is the longest time without a difference.
	silence = time.Second
	// MaxTabs is how many tabs are served at a time.
	MaxTabs = 64
)

// hub gives each state to the tabs: as the difference from the one before, or whole. The session
// never waits for a tab.
type hub struct {
	mu    sync.Mutex
	state live.State // that the tabs have, but for those that are behind
	tabs  map[*tab]bool
}

// tab is a page that reads.
type tab struct {
	frames chan []byte   // differences
	behind bool          // it wants a state next; under hub.mu
	news   chan struct{} // has room for one: there is a frame, or behind is set
}

// publish takes a later state.
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
	if d.Empty() && time.Duration(s.Now-h.state.Now) < silence {
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
	case t.news <- struct{}{}:
	default:
	}
}

// join returns a new tab, which wants a state first; nil when there are too many.
func (h *hub) join() *tab {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tabs) >= MaxTabs {
		return nil
	}
	if h.tabs == nil {
		h.tabs = map[*tab]bool{}
	}
	t := &tab{frames: make(chan []byte, queued), news: make(chan struct{}, 1), behind: true}
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

// next returns the message that a tab gets next; nil when there is none yet.
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

// catchUp returns the state for a tab that is behind. What was queued for it is dropped, and the
// differences from that state on are queued again.
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
		panic(err) // numbers, texts and times
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, text)
}
