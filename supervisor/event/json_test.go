package event

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// Other programs read these lines: a change of this text requires a new version of the format.
func TestEventAsJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	const head = `{"v":1,"seq":7,"time":"2026-01-02T03:04:05.678901234Z","mono_ns":1500000001,"kind":`
	const a2 = `,"replica":"a","group":"g","incarnation":2,"pid":42`
	crash := restart.Exit{Code: 3, Uptime: 1200500 * time.Microsecond, Ready: time.Second + 1}
	seen := make(map[Kind]bool)
	for _, tt := range []struct {
		e    Event
		want string
	}{
		{Event{Kind: KindAdded, Replica: "a", Group: "g"}, `"added","replica":"a","group":"g"}`},
		{Event{Kind: KindChanged, Replica: "a"}, `"changed","replica":"a"}`},
		{Event{Kind: KindRemoved, Replica: "a"}, `"removed","replica":"a"}`},
		{Event{Kind: KindLaunched, Replica: "a", Group: "g", Incarnation: 2, PID: 42}, `"launched"` + a2 + `}`},
		{
			Event{
				Kind: KindLaunchFailed, Replica: "a", Incarnation: 1, Exit: restart.Exit{Code: -1, Err: errors.New("no such file")},
				Next: restart.Decision{Relaunch: true, Delay: time.Second, Reason: "the program did not run"},
			},
			`"launch_failed","replica":"a","incarnation":1,"exit":{"uptime_ms":0,"error":"no such file"},` +
				`"next":{"relaunch":true,"delay_ms":1000,"reason":"the program did not run"}}`,
		},
		{
			Event{Kind: KindReady, Replica: "a", Group: "g", Incarnation: 2, PID: 42, After: 12345678 * time.Nanosecond},
			`"ready"` + a2 + `,"ready_after_ms":12.345678}`,
		},
		{
			Event{Kind: KindUnhealthy, Replica: "a", Group: "g", Incarnation: 2, PID: 42, Err: errors.New("3 × deadline exceeded")},
			`"unhealthy"` + a2 + `,"error":"3 × deadline exceeded"}`,
		},
		{
			Event{Kind: KindStopping, Replica: "a", Group: "g", Incarnation: 2, PID: 42, Reason: "it was asked for"},
			`"stopping"` + a2 + `,"reason":"it was asked for"}`,
		},
		{
			Event{Kind: KindKilled, Replica: "a", Group: "g", Incarnation: 2, PID: 42, Reason: "it did not stop in time"},
			`"killed"` + a2 + `,"reason":"it did not stop in time"}`,
		},
		{
			Event{Kind: KindSignaled, Replica: "a", Group: "g", Incarnation: 2, PID: 42, Signal: syscall.SIGSTOP},
			`"signaled"` + a2 + `,"signal":"SIGSTOP"}`,
		},
		{
			Event{
				Kind: KindExited, Replica: "a", Group: "g", Incarnation: 2, PID: 42, Exit: crash,
				Next: restart.Decision{Relaunch: true}, Output: []string{"", `"<p>" -> 'é'`},
			},
			`"exited"` + a2 + `,"exit":{"code":3,"uptime_ms":1200.5,"ready_ms":1000.000001},` +
				`"next":{"relaunch":true,"delay_ms":0},"output":["","\"<p>\" -> 'é'"]}`,
		},
		{
			Event{Kind: KindExited, Replica: "a", Incarnation: 1, Exit: restart.Exit{Code: -1, Signal: syscall.SIGKILL, Uptime: 1}},
			`"exited","replica":"a","incarnation":1,"exit":{"signal":"SIGKILL","uptime_ms":0.000001}}`,
		},
		{
			Event{Kind: KindExited, Replica: "a", Incarnation: 1, Exit: restart.Exit{Code: -1, Signal: 35, Uptime: time.Hour}},
			`"exited","replica":"a","incarnation":1,"exit":{"signal":"35","uptime_ms":3600000}}`,
		},
		{Event{Kind: KindStopped, Replica: "a", Incarnation: 2}, `"stopped","replica":"a","incarnation":2}`},
		{
			Event{Kind: KindFinished, Replica: "a", Incarnation: 1, Exit: restart.Exit{Uptime: time.Second}},
			`"finished","replica":"a","incarnation":1,"exit":{"code":0,"uptime_ms":1000}}`,
		},
		{
			Event{Kind: KindFailed, Replica: "a", Incarnation: 5, Exit: crash, Reason: "5 exits within 1m0s"},
			`"failed","replica":"a","incarnation":5,"exit":{"code":3,"uptime_ms":1200.5,"ready_ms":1000.000001},"reason":"5 exits within 1m0s"}`,
		},
		{Event{Kind: KindOutputLost, Replica: "a", Lost: 99}, `"output_lost","replica":"a","lost":99}`},
		{Event{Kind: KindUnready, Replica: "a", Incarnation: 1, Err: errors.New("not serving")}, `"unready","replica":"a","incarnation":1,"error":"not serving"}`},
		{Event{Kind: KindDaemonized, Replica: "a", Incarnation: 1, Reason: "why"}, `"daemonized","replica":"a","incarnation":1,"reason":"why"}`},
		{Event{Kind: KindStillStarting, Replica: "a", Incarnation: 1, Err: errors.New("why")}, `"still_starting","replica":"a","incarnation":1,"error":"why"}`},
		{Event{Kind: KindGuardianLost, Err: errors.New("exit status 1")}, `"guardian_lost","error":"exit status 1"}`},
	} {
		seen[tt.e.Kind] = true
		tt.e.Sequence, tt.e.Time, tt.e.Elapsed = 7, at, 1500000001
		got, err := tt.e.MarshalJSON()
		if err != nil || string(got) != head+tt.want {
			t.Errorf("%v: got %s, %v\nwant %s", tt.e.Kind, got, err, head+tt.want)
		}
		var back Event
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, tt.e) {
			t.Errorf("back came %+v, %v\nwant %+v", back, err, tt.e)
		}
	}
	for k := range kinds {
		if k > 0 && !seen[Kind(k)] {
			t.Errorf("no example of kind %v", Kind(k))
		}
	}
}

func TestMillisecondsAreExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := milliseconds(rng.Int64N(int64(rng.Uint64N(uint64(30*24*time.Hour)) + 1)))
		text, err := json.Marshal(d)
		var back milliseconds
		if err == nil {
			err = json.Unmarshal(text, &back)
		}
		if err != nil || back != d {
			t.Fatalf("%d came back from %s as %d, %v", d, text, back, err)
		}
	}
}

func TestEventOfAnotherZone(t *testing.T) {
	e := Event{Kind: KindAdded, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))}
	if got, err := json.Marshal(e); err != nil || !strings.Contains(string(got), `"time":"2026-01-02T02:04:05Z"`) {
		t.Errorf("got %s, %v: want the time in UTC", got, err)
	}
}

func TestBadEventJSON(t *testing.T) {
	for input, want := range map[string]string{
		`{"v":2,"kind":"added"}`:                       "version 2",
		`{"kind":"added"}`:                             "version 0",
		`{"v":1,"kind":"exploded"}`:                    `"exploded"`,
		`{"v":1,"kind":""}`:                            `""`,
		`{"v":1,"replica":"a"}`:                        "no such kind",
		`{"v":1,"kind":"added","signal":"SIGNAL"}`:     `"SIGNAL"`,
		`{"v":1,"kind":"ready","ready_after_ms":"1s"}`: "1s",
		`[]`: "array",
	} {
		var e Event
		if err := json.Unmarshal([]byte(input), &e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error about %s", input, err, want)
		}
	}
	var e Event
	if err := json.Unmarshal([]byte(`{"v":1,"kind":"added","later":{"x":1}}`), &e); err != nil {
		t.Errorf("a field of later versions: %v", err)
	}
	if _, err := json.Marshal(Event{}); err == nil {
		t.Error("an event without a kind was encoded")
	}
}
