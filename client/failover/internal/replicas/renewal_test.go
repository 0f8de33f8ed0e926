package replicas_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/test/bufconn"
)

// If the old connection is lost during a renewal, the replica is dialed as usual, and the end of the
// renewal disturbs nothing.
func TestConnectionLostDuringRenewal(t *testing.T) {
	for name, ends := range map[string]func(*host, *bufconn.Listener){
		"never":    func(*host, *bufconn.Listener) {},
		"fails":    func(_ *host, mute *bufconn.Listener) { mute.Close() },
		"succeeds": func(h *host, mute *bufconn.Listener) { go h.server.Serve(mute) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n, redial := newNetwork(t, 1), usual
				redial.Timeout = 5 * time.Second
				set := replicas.NewSet(redial)
				n[0].listen()
				n.connect(t, set)
				synctest.Wait()
				r := set.View().Replicas[0]

				mute := bufconn.Listen(64 << 10) // accepts, and says nothing
				serving := n[0].lis
				n[0].lis = mute
				r.Renew()
				r.Renew() // while one is under way
				synctest.Wait()
				if !r.Ready() || len(n[0].dials) != 2 {
					t.Errorf("ready is %v after %d dials, want true after 2", r.Ready(), len(n[0].dials))
				}
				n[0].lis = serving
				n[0].listen() // ends the old connection
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				before := len(n[0].dials)
				ends(n[0], mute)
				time.Sleep(time.Minute)
				synctest.Wait()
				if !r.Ready() || r.Epoch() != 2 || len(n[0].dials) != before {
					t.Errorf("ready is %v in epoch %d after %d dials, want true in 2 after %d", r.Ready(), r.Epoch(), len(n[0].dials), before)
				}
				mute.Close()
			})
		})
	}
}

// A replica without a connection has none to renew.
func TestNothingToRenew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		set := replicas.NewSet(usual)
		n.connect(t, set)
		synctest.Wait()
		before := len(n[0].dials)
		set.View().Replicas[0].Renew()
		synctest.Wait()
		if len(n[0].dials) != before {
			t.Errorf("dialed")
		}
	})
}
