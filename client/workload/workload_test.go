package workload

import (
	"errors"
	"math"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
)

func TestServed(t *testing.T) {
	attempts := []failover.Attempt{{Replica: "a:1", Outcome: failover.OutcomeLost}, {Replica: "b:1"}}
	for _, tc := range []struct {
		name   string
		record Record
		want   string
	}{
		{"success", Record{Reply: Reply{Attempts: attempts}}, "b:1"},
		{"failure", Record{Reply: Reply{Attempts: attempts}, Err: errors.New("failed")}, ""},
		{"no attempts known", Record{}, ""},
	} {
		if got := tc.record.Served(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, p := range map[string]Plan{
		"calls -1: want 1 or more, or 0 with a duration":                                                             {Calls: -1, Workers: 1},
		"calls 0: want 1 or more, or a duration":                                                                     {Workers: 1},
		"duration -1s: want more than 0s, or 0s with a number of calls":                                              {Calls: 1, Duration: -time.Second, Workers: 1},
		"workers 0: want 1 to 100000, or a rate":                                                                     {Calls: 1},
		"workers 100001: want 1 to 100000, or a rate":                                                                {Calls: 1, Workers: MaxWorkers + 1},
		"duration 8760h0m0.000000001s: want at most 8760h0m0s, or 0s with a number of calls":                         {Duration: failover.MaxDuration + 1, Workers: 1},
		"duration 2562047h47m16.854775807s: want at most 8760h0m0s, or 0s with a number of calls":                    {Duration: math.MaxInt64, Rate: 1},
		"warmup 8760h0m0.000000001s: want at most 8760h0m0s":                                                         {Calls: 1, Workers: 1, Warmup: failover.MaxDuration + 1},
		"calls 31537: want at most 31536 at 0.001 calls a second, or a duration: the others are due after 8760h0m0s": {Calls: 31537, Rate: MinRate},
		"maxunderway 100001: want 1 to 100000, or 0 for 10000":                                                       {Calls: 1, Rate: 1, MaxUnderWay: MaxWorkers + 1},
		"rate -2: want 0.001 to 1000000 calls a second, or 0 for a closed loop":                                      {Calls: 1, Rate: -2},
		"rate 2e+06: want 0.001 to 1000000 calls a second, or 0 for a closed loop":                                   {Calls: 1, Rate: 2e6},
		"arrivals 2: want constant or poisson":                                                                       {Calls: 1, Rate: 1, Arrivals: 2},
		"maxunderway -1: want 1 to 100000, or 0 for 10000":                                                           {Calls: 1, Rate: 1, MaxUnderWay: -1},
		"warmup -1s: want 0s or more":                                                                                {Calls: 1, Rate: 1, Warmup: -time.Second},
		"warmup 2s: want less than the duration, which is 2s":                                                        {Duration: 2 * time.Second, Rate: 1, Warmup: 2 * time.Second},
	} {
		if err := p.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: got %v, want %s", p, err, want)
		}
	}
	for _, p := range []Plan{
		{Calls: 1, Workers: 1},
		{Duration: time.Second, Workers: 1},
		{Duration: time.Second, Rate: 0.001, Arrivals: ArrivalsPoisson},
		{Calls: 1, Rate: 1e6, Warmup: time.Minute},
		{Calls: math.MaxInt, Duration: failover.MaxDuration, Workers: MaxWorkers},
		{Calls: 31536, Rate: MinRate},
		{Calls: math.MaxInt, Rate: MinRate, Duration: failover.MaxDuration, Warmup: failover.MaxDuration - 1, MaxUnderWay: MaxWorkers},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
