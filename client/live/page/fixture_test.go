package page_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"sync"
	"testing"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/live/page"
	"example.com/crashlab/client/live/web"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// session replays testdata/fixture.json, as far as the test has played it.
type session struct {
	Guide live.About `json:"about"`
	State live.State
	Diffs []live.Diff
	Way   live.Call `json:"call"`

	commands chan live.Command // executed commands

	mu      sync.Mutex
	failure error // of the next command
}

func (s *session) About() live.About { return s.Guide }

func (s *session) Call(load string, number int) (live.Call, bool) {
	return s.Way, load == s.Way.Load && number == s.Way.Number
}

func (s *session) Do(_ context.Context, c live.Command) (live.Done, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failure; err != nil {
		s.failure = nil
		return live.Done{}, err
	}
	s.commands <- c
	return live.Done{Text: string(c.Do)}, nil
}

func (s *session) failNext(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// show is a session with its server and a browser tab that shows it.
type show struct {
	*browsertest.Tab
	made   *session
	server *web.Server
	line   *line
	url    string
}

const token = "long-enough-for-a-token"

// newShow serves the first state of the session and opens a tab of the given width and theme.
func newShow(t *testing.T, width int64, theme string) *show {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: seconds of a browser")
	}
	text, err := os.ReadFile("../testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &show{made: &session{commands: make(chan live.Command, 100)}, Tab: browsertest.Open(t)}
	if err := json.Unmarshal(text, s.made); err != nil {
		t.Fatal(err)
	}
	s.server = &web.Server{Session: s.made, Token: token, Page: page.Handler()}
	l, err := web.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	s.line, s.url = &line{Listener: l}, s.server.URL(l)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, s.line) }()
	t.Cleanup(func() {
		end()
		s.line.cut(false)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.server.Publish(s.made.State)
	s.View(width, theme)
	s.Load(s.url)
	return s
}

// play publishes the next n frames, or all that are left if n is negative.
func (s *show) play(n int) {
	if n < 0 {
		n = len(s.made.Diffs)
	}
	for _, d := range s.made.Diffs[:n] {
		s.made.State = clone(s.made.State)
		s.made.State.Apply(d)
		s.server.Publish(s.made.State)
	}
	s.made.Diffs = s.made.Diffs[n:]
}

// clone returns a copy of the state that shares no lists with it, since the server keeps those that
// were published.
func clone(s live.State) live.State {
	s.Attempts.Items = slices.Clone(s.Attempts.Items)
	s.Bands.Items = slices.Clone(s.Bands.Items)
	s.Crashes.Items = slices.Clone(s.Crashes.Items)
	s.Marks.Items = slices.Clone(s.Marks.Items)
	s.Points.Items = slices.Clone(s.Points.Items)
	s.Loads = slices.Clone(s.Loads)
	return s
}

// line is a listener that can be cut: it closes its connections and, while it is down, all new
// ones.
type line struct {
	net.Listener
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

func (l *line) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		if !l.down {
			l.conns = append(l.conns, c)
			l.mu.Unlock()
			return c, nil
		}
		l.mu.Unlock()
		c.Close()
	}
}

func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}
