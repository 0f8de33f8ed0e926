package fault

import (
	"math"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		faults Faults
		want   string // "" for valid
	}{
		{Faults{}, ""},
		{Faults{CrashProbability: 1, CrashPoint: CrashPointReply, Hang: true, ErrorProbability: 1, ErrorCode: codes.Unauthenticated}, ""},
		{Faults{CrashProbability: 1.3}, "crash_probability 1.3: want 0 to 1"},
		{Faults{CrashProbability: -0.1}, "crash_probability -0.1: want 0 to 1"},
		{Faults{CrashProbability: math.NaN()}, "crash_probability NaN: want 0 to 1"},
		{Faults{CrashPoint: 2}, "crash_point 2: want arrival or reply"},
		{Faults{ErrorProbability: math.Inf(1)}, "error_probability +Inf: want 0 to 1"},
		{Faults{ErrorProbability: math.NaN()}, "error_probability NaN: want 0 to 1"},
		{Faults{ErrorCode: 17}, "error_code 17: want 1 to 16"},
	} {
		got := ""
		if err := test.faults.Validate(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: error %q, want %q", test.faults, got, test.want)
		}
	}
}

func TestFaultsString(t *testing.T) {
	for _, test := range []struct {
		faults Faults
		want   string
	}{
		{Faults{}, "none"},
		{Faults{CrashPoint: CrashPointReply, ErrorCode: codes.Aborted}, "none"},
		{Faults{CrashProbability: 0.3}, "crash 0.3 at arrival"},
		{Faults{ErrorProbability: 0.5}, "UNAVAILABLE 0.5"},
		{
			Faults{
				CrashProbability: 1, CrashPoint: CrashPointReply, Hang: true, ErrorProbability: 0.25,
				ErrorCode: codes.ResourceExhausted, ServiceTime: parse(t, "exp:100ms"),
			},
			"crash 1 at reply, hang, RESOURCE_EXHAUSTED 0.25, service time exp:100ms",
		},
	} {
		if got := test.faults.String(); got != test.want {
			t.Errorf("String = %q, want %q", got, test.want)
		}
	}
}

func TestCrashPointText(t *testing.T) {
	for _, want := range []CrashPoint{CrashPointArrival, CrashPointReply} {
		got := 1 - want
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%v parses as %v, %v", want, got, err)
		}
	}
	got := CrashPointReply
	err := got.UnmarshalText([]byte("Arrival"))
	if err == nil || err.Error() != `"Arrival": want arrival or reply` || got != CrashPointReply {
		t.Errorf("Arrival parses as %v, %v", got, err)
	}
}

func TestParseCode(t *testing.T) {
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		if got, err := ParseCode(codeName(code)); err != nil || got != code {
			t.Errorf("%q is %v, %v; want %v", codeName(code), got, err, code)
		}
	}
	for _, text := range []string{"", "OK", "14", "Unavailable", "UNAVAILABLE "} {
		if got, err := ParseCode(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestParseProbability(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "0.3": 0.3, "1": 1, "1e-3": 0.001} {
		if got, err := ParseProbability(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1.3", "-0.1", "NaN", "Inf", "30%", "0,3"} {
		if got, err := ParseProbability(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}
