package replicas

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// constant is the picker of a ready pick_first.
type constant struct{ balancer.PickResult }

func (c *constant) Pick(balancer.PickInfo) (balancer.PickResult, error) { return c.PickResult, nil }

type callKey struct{}

// readyPicker returns a picker over three ready replicas, and the PickInfo of an attempt at the
// first.
func readyPicker(tb testing.TB) (*picker, balancer.PickInfo) {
	s := NewSet(Redial{Every: 25 * time.Millisecond, Linger: time.Second})
	p, v := &policy{set: s}, new(View)
	for range 3 {
		r := &Replica{set: s, policy: p}
		r.setState(balancer.State{ConnectivityState: connectivity.Ready, Picker: new(constant)})
		v.Replicas = append(v.Replicas, r)
	}
	s.publish(nil, v)
	// gRPC wraps the attempt in a context with cancel and one with a value.
	ctx, cancel := context.WithCancel(s.NewAttempt(tb.Context(), v.Replicas[0]))
	tb.Cleanup(cancel)
	return &picker{set: s, view: v}, balancer.PickInfo{Ctx: context.WithValue(ctx, callKey{}, "")}
}

// The attempt is the only allocation in this package for a call whose first attempt succeeds, and
// it is small.
func TestPickAllocatesNothing(t *testing.T) {
	p, info := readyPicker(t)
	if n := testing.AllocsPerRun(1000, func() {
		res, _ := p.Pick(info)
		res.Done(balancer.DoneInfo{})
	}); n > 0 {
		t.Errorf("a pick and its end make %v allocations, want none", n)
	}
	if n := unsafe.Sizeof(Attempt{}); n > 80 {
		t.Errorf("an attempt takes %d bytes, want at most 80", n)
	}
}

// BenchmarkPick measures the cost of one call in this package: a pick and its end, reading the
// states of three replicas for a choice, and Want.
func BenchmarkPick(b *testing.B) {
	p, info := readyPicker(b)
	b.Run("pick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			res, err := p.Pick(info)
			if err != nil {
				b.Fatal(err)
			}
			res.Done(balancer.DoneInfo{})
		}
	})
	b.Run("ready", func(b *testing.B) {
		for b.Loop() {
			for _, r := range p.view.Replicas {
				if !r.Ready() {
					b.Fatal("not ready")
				}
			}
		}
	})
	b.Run("want", func(b *testing.B) {
		for b.Loop() {
			p.set.Want()
		}
	})
}
