package failover_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// However long a replica was down, it is used within one dial gap of listening again.
func TestReplicaIsBackAtOnce(t *testing.T) {
	for _, down := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				conn := c.connect(t, failover.Policy{})
				c[0].crash()
				dials := c[0].dials.Load()
				callFor(t, conn, down, 100*time.Millisecond)
				if n := c[0].dials.Load() - dials; n > int64(50*down/time.Second) || n < 10 {
					t.Errorf("%d dials in %v, want 10 to 50 a second", n, down)
				}
				c[0].start()
				back := time.Now()
				for c[0].served.Load() == 0 {
					callFor(t, conn, time.Millisecond, time.Millisecond)
				}
				if took := time.Since(back); took > 31*time.Millisecond {
					t.Errorf("served its first call %v after it listened again", took)
				}
			})
		})
	}
}

// callFor makes calls for the given time, with a pause between them.
func callFor(t *testing.T, conn grpc.ClientConnInterface, d, wait time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(wait) {
		if attempts, err := call(t.Context(), conn); err != nil {
			t.Fatalf("%s: %v", path(attempts), err)
		}
	}
}

// Without calls a replica that is down is rarely dialed, and yet the first call after a long
// silence uses it once it is back.
func TestSilenceThenOneCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{})
		if _, err := call(t.Context(), conn); status.Code(err) != codes.Unavailable {
			t.Fatalf("got %v, want Unavailable", err)
		}
		time.Sleep(2 * time.Second)
		dials := c[0].dials.Load()
		time.Sleep(10 * time.Minute)
		if n := c[0].dials.Load() - dials; n > 600 {
			t.Errorf("%d dials in ten minutes without a call, want at most one a second", n)
		}
		c[0].start()
		if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 ok sent" {
			t.Errorf("got %q, %v: want success at the first attempt", path(attempts), err)
		}
	})
}

// A replica that loses its connection is dialed at once, however long the gaps between dials that
// fail.
func TestLossIsFollowedByADial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.connect(t, failover.Policy{Redial: failover.Redial{Every: time.Hour}})
		time.Sleep(10 * time.Minute)
		for range 3 {
			c[0].restart()
			synctest.Wait() // until the loss is known
			start := time.Now()
			if attempts, err := call(t.Context(), conn); path(attempts) != "a:1 ok sent" || time.Since(start) > 1200*time.Millisecond {
				t.Errorf("got %q, %v after %v, want success within 1.2s", path(attempts), err, time.Since(start))
			}
		}
	})
}

// A server that accepts connections and closes them does not make the client spin.
func TestBrokenConnectionsCauseNoHotLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{})
		begin := time.Now()
		hangUp := time.NewTicker(time.Millisecond)
		defer hangUp.Stop()
		for range 300 {
			<-hangUp.C
			c[0].restart()
			if _, err := call(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		if n, took := c[0].dials.Load(), time.Since(begin); float64(n) > 1+50*took.Seconds() {
			t.Errorf("%d dials in %v, want at most 50 a second", n, took)
		}
	})
}

// After a silence, calls that another replica serves also bring back the one that was down.
func TestCallsElsewhereBringAReplicaBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var ready atomic.Pointer[time.Time]
		conn := c.connect(t, failover.Policy{OnReplica: func(e failover.ReplicaEvent) {
			if e.Replica == "b:1" && e.State == failover.ReplicaReady {
				now := time.Now()
				ready.Store(&now)
			}
		}})
		c[1].crash()
		time.Sleep(long)
		ready.Store(nil)
		c[1].start()
		back := time.Now()
		callFor(t, conn, 100*time.Millisecond, 10*time.Millisecond)
		if at := ready.Load(); at == nil || at.Sub(back) > 31*time.Millisecond {
			t.Errorf("ready at %v, want within 31ms of %v", at, back)
		}
	})
}

// dialTimes is a dialer that records when each dial began.
func (c cluster) dialTimes(times *[]time.Time) grpc.DialOption {
	var mu sync.Mutex
	return grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		mu.Lock()
		*times = append(*times, time.Now())
		mu.Unlock()
		return c[addr[0]-'a'].dial(ctx)
	})
}

// However many calls there are, a replica that is down is dialed every 20 to 30 ms. The gaps are
// jittered, so that clients do not dial in step.
func TestGapsBetweenDials(t *testing.T) {
	for _, tc := range []struct {
		name  string
		every time.Duration // between the calls of a second
		gaps  int           // of different lengths, at least
	}{
		{"one call", time.Second, 10},
		{"many calls", time.Millisecond, 1}, // each dials as soon as it may
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c.crash()
				var times []time.Time
				conn := c.connect(t, failover.Policy{}, c.dialTimes(&times))
				for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(tc.every) {
					call(t.Context(), conn)
				}
				synctest.Wait()
				if n := len(times); n < 30 || n > 51 {
					t.Fatalf("%d dials in a second, want 30 to 51", n)
				}
				different := map[time.Duration]bool{}
				for i := range times[1:] {
					gap := times[i+1].Sub(times[i])
					different[gap] = true
					if gap < 20*time.Millisecond || gap > 31*time.Millisecond {
						t.Errorf("gap %d is %v, want 20ms to 30ms", i+1, gap)
					}
				}
				if len(different) < tc.gaps {
					t.Errorf("%d gaps of %d different lengths, want jitter: %d at least", len(times)-1, len(different), tc.gaps)
				}
			})
		})
	}
}

// Concurrent calls that find a replica's state out of date wait for the same dial.
func TestConcurrentCallsDialOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{})
		var dials int64
		for range times(15) {
			time.Sleep(5 * time.Minute) // so that the last dial is long ago
			before := c[0].dials.Load()
			var crowd sync.WaitGroup
			for range 64 {
				crowd.Go(func() { call(t.Context(), conn) })
			}
			crowd.Wait()
			n := c[0].dials.Load() - before
			if n > 1 {
				t.Errorf("64 calls at a time dialed %d times, want once", n)
			}
			dials += n
		}
		if dials == 0 {
			t.Error("no call dialed: the test has tested nothing")
		}
	})
}

// Connect alone, without a call, dials a replica that is down, at once and then as often as a call
// would.
func TestConnectCountsAsCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{})
		time.Sleep(long)
		before := int64(-1)
		for ; before != c[0].dials.Load(); time.Sleep(50 * time.Millisecond) {
			before = c[0].dials.Load() // the last dial may have been recent
		}
		conn.Connect()
		synctest.Wait()
		if n := c[0].dials.Load() - before; n != 1 {
			t.Errorf("%d dials at once, want 1", n)
		}
		time.Sleep(900 * time.Millisecond)
		if n := c[0].dials.Load() - before; n < 29 || n > 46 {
			t.Errorf("%d dials in 0.9 s after Connect, want 29 to 46", n)
		}
	})
}

func TestConnectInALoopIsNoHotLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{})
		before := c[0].dials.Load()
		for range 1000 {
			time.Sleep(time.Millisecond)
			conn.Connect()
		}
		if n := c[0].dials.Load() - before; n > 50 {
			t.Errorf("%d dials in a second, want at most 50", n)
		}
	})
}

// Without calls, a server that accepts connections and closes them is dialed once a second.
func TestBrokenConnectionsWithoutCalls(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.connect(t, failover.Policy{})
		time.Sleep(10 * time.Second) // until Connect no longer counts
		before := c[0].dials.Load()
		for range 200 {
			time.Sleep(50 * time.Millisecond)
			c[0].restart()
		}
		if n := c[0].dials.Load() - before; n < 5 || n > 15 {
			t.Errorf("%d dials in 10 s, want about 10", n)
		}
	})
}
