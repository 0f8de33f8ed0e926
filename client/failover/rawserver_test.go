package failover_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"
)

// raw turns a replica into an HTTP/2 server that answers each request with the frames that answer
// writes. The connection ends when answer returns false.
func (r *replica) raw(t *testing.T, answer func(f *http2.Framer, stream uint32) bool) {
	r.crash()
	lis := bufconn.Listen(64 << 10)
	r.mu.Lock()
	r.server, r.lis = grpc.NewServer(), lis // an unused server, so that the dialer finds the replica up
	r.mu.Unlock()
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go serveRaw(conn, func(string) { r.served.Add(1) }, answer)
		}
	}()
}

// serveRaw serves one connection like raw. It calls seen with the method of each request.
func serveRaw(conn net.Conn, seen func(method string), answer func(*http2.Framer, uint32) bool) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				f.WritePing(true, frame.Data)
			}
		case *http2.MetaHeadersFrame:
			seen(frame.PseudoValue("path"))
			if !answer(f, frame.StreamID) {
				return
			}
		}
	}
}

func resetStream(code http2.ErrCode) func(*http2.Framer, uint32) bool {
	return func(f *http2.Framer, stream uint32) bool {
		f.WriteRSTStream(stream, code)
		return true
	}
}

// goAway declares that no request was processed, and closes the connection.
func goAway(f *http2.Framer, _ uint32) bool {
	f.WriteGoAway(0, http2.ErrCodeNo, nil)
	return false
}

func hangUp(*http2.Framer, uint32) bool { return false }

// A request that a replica declares unprocessed counts as unsent, and goes to another whatever the
// method.
func TestUnprocessedIsUnsent(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(*http2.Framer, uint32) bool
		n      int // replicas
		want   string
		reason failover.Reason
	}{
		{"refused stream", resetStream(http2.ErrCodeRefusedStream), 3, "a:1 refused, b:1 ok sent", -1},
		{"GOAWAY before the request", goAway, 3, "a:1 refused, b:1 ok sent", -1},
		{"another reset", resetStream(http2.ErrCodeInternal), 3, "a:1 rejected sent", failover.ReasonNotRetryable},
		{"a connection lost", hangUp, 3, "a:1 lost sent", failover.ReasonAmbiguous},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Run("unary", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, tc.n)
					c[0].raw(t, tc.answer)
					conn := c.connect(t, failover.Policy{Idempotent: map[string]bool{"/": false}})
					attempts, err := call(t.Context(), conn)
					if got := path(attempts); got != tc.want || reason(err) != tc.reason {
						t.Errorf("got %q, %v, want %q and the reason %v", got, err, tc.want, tc.reason)
					}
				})
			})
			t.Run("stream", func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, tc.n)
					c[0].raw(t, tc.answer)
					for _, r := range c {
						r.other = says("well")
					}
					conn := c.connect(t, failover.Policy{Idempotent: map[string]bool{"/": false}})
					_, attempts, err := fetch(t.Context(), conn)
					if got := path(attempts); got != tc.want || reason(err) != tc.reason {
						t.Errorf("got %q, %v, want %q and the reason %v", got, err, tc.want, tc.reason)
					}
				})
			})
		})
	}
}

// If there is no other replica, gRPC repeats such a request at the same one.
func TestUnprocessedIsRepeatedAtOnlyReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[1].crash()
		c[0].raw(t, resetStream(http2.ErrCodeRefusedStream))
		conn := c.connect(t, failover.Policy{Order: failover.OrderFirst})
		attempts, err := call(t.Context(), conn)
		if n := c[0].served.Load(); n != 2 {
			t.Errorf("the replica saw %d requests, want 2: %q, %v", n, path(attempts), err)
		}
	})
}

// If a replica refuses a request while another is being connected, the call goes to that one.
func TestUnprocessedAwaitsAConnection(t *testing.T) {
	for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
		t.Run(whenDown.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].raw(t, resetStream(http2.ErrCodeRefusedStream))
				slow := grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					if addr == c[0].addr {
						return c[0].dial(ctx)
					}
					time.Sleep(50 * ms)
					return c[1].dial(ctx)
				})
				conn := c.client(t, c.target(), failover.Policy{WhenDown: whenDown, Idempotent: map[string]bool{"/": false}}, slow)
				attempts, err := call(t.Context(), conn)
				if got, want := path(attempts), "a:1 refused, b:1 ok sent"; got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			})
		})
	}
}

// A replica that refuses every request is ejected, like one that breaks connections. Requests in
// flight at the same time count once.
func TestReplicaThatRefusesRequestsIsEjected(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  func(*http2.Framer, uint32) bool
		callers int
		rounds  int // of calls, one by each caller
		want    int64
	}{
		{"three streams", resetStream(http2.ErrCodeRefusedStream), 1, 3, 1},
		{"two", resetStream(http2.ErrCodeRefusedStream), 1, 2, 0},
		{"many at a time", resetStream(http2.ErrCodeRefusedStream), 10, 2, 0},
		{"three connections", goAway, 1, 3, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				c[0].raw(t, tc.answer)
				conn := c.connect(t, failover.Policy{})
				for range tc.rounds {
					time.Sleep(time.Second) // until a lost connection is back
					var callers sync.WaitGroup
					for range tc.callers {
						callers.Go(func() {
							if _, err := call(t.Context(), conn); err != nil {
								t.Error(err)
							}
						})
					}
					callers.Wait()
				}
				if got := conn.Statistics().Ejections; got != tc.want {
					t.Errorf("%d ejections, want %d", got, tc.want)
				}
			})
		})
	}
}

// The network's error text is kept.
func TestUnprocessedKeepsNetworkError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for _, r := range c {
			r.raw(t, resetStream(http2.ErrCodeRefusedStream))
		}
		_, err := call(t.Context(), c.connect(t, failover.Policy{}))
		failed, ok := errors.AsType[*failover.Error](err)
		if !ok || len(failed.Attempts) != 2 || failed.Attempts[0].Code() != codes.Unavailable {
			t.Fatalf("got %v", err)
		}
		const want = "stream terminated by RST_STREAM with error code: REFUSED_STREAM"
		if got := failed.Attempts[0].Err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
