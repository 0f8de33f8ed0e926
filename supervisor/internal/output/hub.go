package output

import (
	"os"
	"sync"
	"time"
)

// Hub has the output of all replicas: the last lines of each, and a [Sink] with the lines still to
// be delivered. It outlives incarnations.
type Hub struct {
	deliver  func(replica string, lines []byte)    // nil: lines are only kept in memory
	lost     func(replica, group string, n uint64) // called with the number of dropped lines; must not block
	patience time.Duration

	mu      sync.Mutex
	streams map[string]*stream // by replica
	closing sync.WaitGroup     // sinks that are being closed
}

// stream is the output of one replica.
type stream struct {
	history History
	sink    Sink // unused without deliver
	mu      sync.Mutex
	group   string // of the latest launch
}

// NewHub returns a hub that calls deliver with whole lines, each with its newline, one call at a
// time for each replica, and lost for lines that it drops. The remaining lines of a replica that is
// gone are dropped once none has been delivered for as long as patience.
func NewHub(deliver func(replica string, lines []byte), lost func(replica, group string, n uint64), patience time.Duration) *Hub {
	return &Hub{deliver: deliver, lost: lost, patience: patience, streams: make(map[string]*stream)}
}

// writer adapts a function to the destination of a sink.
type writer func(lines []byte)

func (w writer) Write(lines []byte) (int, error) {
	w(lines)
	return len(lines), nil
}

// stream returns the stream of a replica. The caller holds h.mu.
func (h *Hub) stream(replica string) *stream {
	s := h.streams[replica]
	if s == nil {
		s = new(stream)
		s.sink.To = writer(func(lines []byte) { h.deliver(replica, lines) })
		s.sink.Losses.Tell = func(_ string, n uint64, _ error) {
			s.mu.Lock()
			group := s.group
			s.mu.Unlock()
			h.lost(replica, group, n)
		}
		h.streams[replica] = s
	}
	return s
}

// Open returns the write end of the pipe for a new incarnation and the reader for its output, which
// the caller must run or close. With drop, lines that do not fit into the queue are lost; otherwise
// the incarnation waits.
func (h *Hub) Open(replica, group string, drop bool) (*os.File, *Reader, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	s := h.stream(replica)
	h.mu.Unlock()
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	return in, &Reader{
		hub: h, replica: replica, stream: s, drop: drop, pipe: out, got: -1, begin: s.history.End(),
		processEnded: make(chan struct{}), CaughtUp: make(chan struct{}),
	}, nil
}

// History returns the last lines of a replica. [Hub.Forget] closes it.
func (h *Hub) History(replica string) *History {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &h.stream(replica).history
}

// Forget drops the history of a replica that will not be launched again and whose last reader has
// caught up. Its queued lines are still delivered.
func (h *Hub) Forget(replica string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.streams[replica]; s != nil {
		h.forget(replica, s)
	}
}

func (h *Hub) forget(replica string, s *stream) {
	delete(h.streams, replica)
	s.history.Close()
	h.closing.Go(func() { s.sink.Close(h.patience) })
}

// Close returns when all lines have been delivered or dropped. A call of deliver that blocks may
// still be under way. All readers must have ended.
func (h *Hub) Close() {
	h.mu.Lock()
	for replica, s := range h.streams {
		h.forget(replica, s)
	}
	h.mu.Unlock()
	h.closing.Wait()
}
