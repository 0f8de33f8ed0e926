package replicas_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/resolver"
)

// Each connection starts a new epoch.
func TestEpoch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, 1)
		set := replicas.NewSet(usual)
		n.connect(t, set)
		set.AddWaiting(1)
		settle := func(ready bool, epoch uint64) {
			t.Helper()
			time.Sleep(100 * time.Millisecond) // for a few dials
			synctest.Wait()
			if r := set.View().Replicas[0]; r.Ready() != ready || r.Epoch() != epoch {
				t.Errorf("ready is %v in epoch %d, want %v in %d", r.Ready(), r.Epoch(), ready, epoch)
			}
		}
		settle(false, 0)
		for epoch := range uint64(3) {
			n[0].listen()
			settle(true, epoch+1)
			n[0].crash()
			settle(false, epoch+1)
		}
	})
}

// seen describes the Set as a waiting call sees it.
func seen(set *replicas.Set) string {
	v := set.View()
	if v == nil {
		return "no view"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v:", v.Err)
	for _, r := range v.Replicas {
		fmt.Fprintf(&b, " %s %v %d", r.ID, r.Ready(), r.Epoch())
	}
	return b.String()
}

func missing(v *replicas.View) (n int64) {
	if v != nil {
		for _, r := range v.Replicas {
			if !r.Ready() {
				n++
			}
		}
	}
	return n
}

// OnReady is called after every change, when the change is visible, and may call Want. At that time
// the count of missing replicas is right.
func TestOnReadyFollowsEveryChange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, 3)
		set := replicas.NewSet(usual)
		var last atomic.Pointer[string]
		set.OnReady = func(*replicas.Replica) {
			set.Want()
			set.AddWaiting(1)
			set.AddWaiting(-1)
			now := seen(set)
			last.Store(&now)
		}
		conn, m := n.connect(t, set)
		for _, change := range []struct {
			name string
			make func()
		}{
			{"nothing listens", func() {}},
			{"a listens", n[0].listen},
			{"b listens", n[1].listen},
			{"a crashes", n[0].crash},
			{"a leaves", func() { m.UpdateState(n.endpoints(1, 3)) }},
			{"b leaves and a comes", func() { m.UpdateState(resolver.State{Endpoints: n.endpoints(0, 1).Endpoints}) }},
			{"a listens again", n[0].listen},
			{"all leave", func() { m.UpdateState(resolver.State{}) }},
			{"all come", func() { m.UpdateState(n.endpoints(0, 3)) }},
			{"the connection closes", func() { conn.Close() }},
		} {
			change.make()
			time.Sleep(100 * time.Millisecond) // for a few dials
			synctest.Wait()
			if reported := last.Load(); reported == nil || *reported != seen(set) {
				t.Errorf("%s: last call with %v, want %q", change.name, reported, seen(set))
			}
			if got, want := set.Missing(), missing(set.View()); got != want {
				t.Errorf("%s: %d replicas counted as missing, want %d", change.name, got, want)
			}
		}
	})
}
