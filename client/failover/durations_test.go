package failover_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// durations calls yield for every duration in a policy or a method's, with its path from there.
func durations(path string, v reflect.Value, yield func(path string, d reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		yield(path, v)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		durations(path, v.Elem(), yield)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			durations(strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), v.Field(i), yield)
		}
	}
}

// Every duration of a policy, of a method's and of a call's option has the same upper bound.
func TestDurationsAreBounded(t *testing.T) {
	refused := func(err error, path string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), path+" ") || !strings.Contains(err.Error(), "want at most 8760h0m0s") {
			t.Errorf("%s too long: got %v, want an error with the field and the bound", path, err)
		}
	}
	try := func(p failover.Policy) error {
		_, err := failover.DialOptions(p)
		return err
	}
	tooLong := []time.Duration{failover.MaxDuration + 1, math.MaxInt64}
	n := 0
	var p failover.Policy
	p.Ejection.After = 1
	durations("", reflect.ValueOf(&p).Elem(), func(path string, d reflect.Value) {
		n++
		for _, long := range tooLong {
			d.SetInt(int64(long))
			refused(try(p), "Policy."+path)
		}
		d.SetInt(int64(failover.MaxDuration))
		if err := try(p); err != nil {
			t.Errorf("%s of a year: %v", path, err)
		}
		d.SetInt(0)
	})
	var m failover.MethodPolicy
	durations("", reflect.ValueOf(&m).Elem(), func(path string, d reflect.Value) {
		n++
		for _, long := range tooLong {
			d.SetInt(int64(long))
			refused(try(failover.Policy{Methods: map[string]failover.MethodPolicy{"/": m}}), `Policy.Methods["/"].`+path)
			bubble(t, func(t *testing.T) {
				_, err := call(t.Context(), newCluster(t, 1).connect(t, failover.Policy{}), failover.WithMethodPolicy(m))
				refused(err, path)
			})
		}
		d.SetInt(int64(failover.MaxDuration))
		if err := try(failover.Policy{Methods: map[string]failover.MethodPolicy{"/": m}}); err != nil {
			t.Errorf("%s of a year: %v", path, err)
		}
		d.SetInt(0)
	})
	if n < 13 {
		t.Errorf("found %d durations, want all", n)
	}
}

// A replica that was dialed in vain many times is used again, even if Linger is as long as can be.
func TestLongestLinger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		conn := c.connect(t, failover.Policy{Redial: failover.Redial{Linger: failover.MaxDuration}})
		dials := c[0].dials.Load()
		time.Sleep(time.Minute)
		if n := c[0].dials.Load() - dials; n < 1000 {
			t.Errorf("%d dials in a minute, want more than 1000", n)
		}
		c[0].start()
		time.Sleep(time.Second)
		if attempts, err := call(t.Context(), conn); err != nil {
			t.Errorf("%q, %v: want an answer of the replica, which has listened for a second", path(attempts), err)
		}
	})
}

// An ejected replica is not put on trial early because the time between probes is long.
func TestLongestProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = answer(codes.Unavailable)
		conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 1, Probe: failover.MaxDuration}})
		for range 200 {
			if _, err := call(t.Context(), conn, grpc.WaitForReady(true)); status.Code(err) != codes.OK {
				t.Fatal(err)
			}
		}
		if n := c[0].served.Load(); n != 1 {
			t.Errorf("the ejected replica got %d requests, want 1", n)
		}
	})
}
