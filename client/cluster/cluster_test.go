package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/event"
)

func connect(t *testing.T, target Target) (*Cluster, error) {
	t.Helper()
	c, err := Connect(t.Context(), target, nil)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// spelled returns NAME=ADDR of each replica, followed by the address of its Fault service if that
// differs.
func spelled(c *Cluster) []string {
	var all []string
	for _, r := range c.Replicas {
		text := r.Name + "=" + r.Addr
		if r.FaultAddr != r.Addr {
			text += "," + r.FaultAddr
		}
		all = append(all, text)
	}
	return all
}

// Replicas of several supervisors are sorted by name. Replicas on unspecified or loopback addresses
// are reached at the host of their supervisor.
func TestConnect(t *testing.T) {
	one := with("a=127.0.0.1:7101", "z=0.0.0.0:7102", "b=10.9.8.7:7103", "c=[::]:7104")
	addrs := serve(t, one, with("counter-9=127.0.0.1:1"), with("counter-10=127.0.0.1:2"), with("x/a=h:1", "y/b=h:2"))
	for _, test := range []struct {
		target Target
		want   []string
	}{
		{Target{Control: addrs[:1]}, []string{"a=127.0.0.1:7101", "z=127.0.0.1:7102", "b=10.9.8.7:7103", "c=127.0.0.1:7104"}},
		{Target{Control: []string{addrs[2], addrs[1]}, FaultPort: 9}, []string{"counter-9=127.0.0.1:1,127.0.0.1:9", "counter-10=127.0.0.1:2,127.0.0.1:9"}},
		{Target{Control: addrs[3:], Group: "y", Replicas: map[string]string{"b": "elsewhere:3"}}, []string{"b=elsewhere:3"}},
		{Target{Control: []string{"dns:///" + addrs[1]}}, []string{"counter-9=127.0.0.1:1"}},
	} {
		c, err := connect(t, test.target)
		if err != nil {
			t.Errorf("%+v: %v", test.target, err)
		} else if got := spelled(c); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.target, got, test.want)
		}
	}
}

func TestConnectErrors(t *testing.T) {
	addrs := serve(t, with("a=127.0.0.1:1"), with("a=127.0.0.1:2"), with("b=127.0.0.1:1"), with("x/a=h:1", "y/b=h:2"), with(), with("a="))
	for _, test := range []struct {
		target Target
		want   string
	}{
		{Target{}, "no address of a supervisor"},
		{Target{Control: addrs[:2]}, fmt.Sprintf("replica a is both at the supervisor %s and at %s", addrs[0], addrs[1])},
		{Target{Control: []string{addrs[0], addrs[2]}}, "replicas a and b are both reached at 127.0.0.1:1: want the address of each in replicas"},
		{Target{Control: addrs[3:4]}, "several groups: want group to be one of x, y"},
		{Target{Control: addrs[3:4], Group: "z"}, `group "z": want one that the cluster has: ["x" "y"]`},
		{Target{Control: addrs[4:5]}, "the cluster has no replica"},
		{Target{Control: addrs[5:6]}, `replica a of the supervisor at ` + addrs[5] + ` has the address "": want its HOST:PORT in replicas`},
		{Target{Control: []string{"127.0.0.1:1"}}, "no supervisor answers at 127.0.0.1:1: dial tcp 127.0.0.1:1: "},
		{Target{Control: []string{"dns:///nosuch..invalid:1"}}, "want a name that resolves"},
	} {
		_, err := connect(t, test.target)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want one line with %q", test.target, err, test.want)
		}
	}
}

// However long both directions of the round trip take, the offset is within its error.
func TestClockIsWithinItsError(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d) + 1)) }
			there, back := upTo(50*time.Millisecond), upTo(50*time.Millisecond)
			off := upTo(2*time.Hour) - time.Hour
			drift := 1 + float64(rng.IntN(2001)-1000)/1e6 // up to 1000 ppm
			start := time.Now()
			s := &Supervisor{SupervisorClient: &clock{
				off:   func() time.Duration { return off + time.Duration(float64(time.Since(start))*(drift-1)) },
				there: func() time.Duration { return upTo(there) }, back: func() time.Duration { return upTo(back) },
			}}
			remote := func() time.Time { return time.Now().Add(s.SupervisorClient.(*clock).off()) }
			first, err := s.Clock(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			type moment struct{ local, remote time.Time }
			var moments []moment
			for range 10 {
				moments = append(moments, moment{time.Now(), remote()})
				time.Sleep(time.Second)
			}
			second, err := s.Clock(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			joined := first.Join(second)
			const rounding = time.Microsecond
			for _, m := range moments {
				if wrong := joined.Local(m.remote).Sub(m.local).Abs(); wrong > joined.Error+rounding {
					t.Errorf("seed %d: a moment is off by %v, want at most %v", seed, wrong, joined.Error)
				}
			}
			if first.Error > (there+back)/2+rounding {
				t.Errorf("seed %d: an error of %v, with up to %v there and %v back", seed, first.Error, there, back)
			}
		})
	}
}

// A stream of events that breaks continues where it had ended. If it cannot, it ends with an error.
func TestWatchContinues(t *testing.T) {
	f := new(fake)
	var asked []uint64
	f.watch = func(after *uint64, send func(*supervisorv1.Event) error) error {
		from := uint64(40)
		if after != nil {
			from = *after
			asked = append(asked, from)
		}
		if from >= 46 {
			return status.Error(codes.OutOfRange, "forgotten")
		}
		for n := from + 1; n <= from+2; n++ {
			if err := send(&supervisorv1.Event{Sequence: n}); err != nil {
				return err
			}
		}
		return status.Error(codes.Unavailable, "broken")
	}
	s, err := newSupervisor(endpoint{addr: serve(t, f)[0]}, insecure.NewCredentials())
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	var got []uint64
	var last error
	started := 0
	for e, err := range s.Watch(t.Context(), nil, func() { started++ }) {
		if err != nil {
			last = err
			break
		}
		got = append(got, e.Sequence)
	}
	if want := []uint64{41, 42, 43, 44, 45, 46}; !slices.Equal(got, want) || !slices.Equal(asked, []uint64{42, 44, 46}) || started != 1 {
		t.Errorf("got %v after %v, started %d times; want %v, once", got, asked, started, want)
	}
	if last == nil || !strings.Contains(last.Error(), s.Addr+": forgotten") {
		t.Errorf("it ended with %v", last)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	f := new(fake)
	f.watch = func(_ *uint64, send func(*supervisorv1.Event) error) error {
		return send(&supervisorv1.Event{Sequence: 1}) // and the stream ends
	}
	s, err := newSupervisor(endpoint{addr: serve(t, f)[0]}, insecure.NewCredentials())
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	for _, err := range s.Watch(ctx, nil, nil) {
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
		cancel()
	}
	cancel()
	for _, err := range s.Watch(t.Context(), nil, nil) {
		if err != nil && !strings.Contains(err.Error(), "the stream of events has ended") {
			t.Errorf("it ended with %v", err)
		}
	}
}

func TestEventOf(t *testing.T) {
	e := eventOf(&supervisorv1.Event{
		Sequence: 9, Kind: supervisorv1.EventKind_EVENT_KIND_EXITED, Replica: "a", Group: "g", Incarnation: 2, Pid: 7,
		Exit:   &supervisorv1.Exit{Code: -1, Signal: "SIGKILL", Uptime: durationpb.New(3 * time.Second), Ready: durationpb.New(time.Second)},
		Next:   &supervisorv1.Decision{Relaunch: true, Delay: durationpb.New(time.Minute), Reason: "why"},
		Output: []string{"x"}, Error: "bad",
	})
	if e.Kind != event.KindExited || e.Exit.Signal != 9 || e.Exit.Code != -1 || e.Exit.Uptime != 3*time.Second || e.Exit.Ready != time.Second ||
		!e.Next.Relaunch || e.Next.Delay != time.Minute || e.Next.Reason != "why" || e.Err == nil || e.Err.Error() != "bad" || e.Incarnation != 2 ||
		e.PID != 7 || e.Sequence != 9 || e.Replica != "a" || e.Group != "g" || len(e.Output) != 1 {
		t.Errorf("got %+v", e)
	}
}
