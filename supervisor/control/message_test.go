package control

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"example.com/crashlab/supervisor/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// set sets v, and all fields in it, to values other than zero, which differ as far as possible.
func set(v reflect.Value, n *int) {
	*n++
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = time.Unix(int64(1000+*n), 0)
		return
	case *error:
		*at = errors.New(strings.Repeat("e", *n))
		return
	case *restart.Mode:
		*at = restart.ModeNever
		return
	case *restart.Escalation:
		*at = restart.EscalationRestartAll
		return
	case *syscall.Signal:
		*at = syscall.SIGKILL
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0), n)
	case reflect.String:
		v.SetString(strings.Repeat("s", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		v.SetInt(int64(*n))
	}
}

// absent returns the names of the fields of a message, and of messages in it, that have no value.
func absent(m protoreflect.Message) (names []string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !m.Has(f):
			names = append(names, string(f.FullName()))
		case f.Message() != nil && !f.IsList() && f.Message().ParentFile().Package() == "supervisor.v1":
			names = append(names, absent(m.Get(f).Message())...)
		}
	}
	return names
}

// A status has the spans of the monotonic clock, whatever happens to the wall clock.
func TestSpansAfterTheClockWasSet(t *testing.T) {
	now := time.Now()
	before := wallClock(now, -time.Hour) // the clock was an hour slow
	s := statusMessage(status.Status{
		Launched: before.Add(-9 * time.Second), Ready: before.Add(-8 * time.Second),
		Exited: before.Add(-10 * time.Second), Next: before.Add(5 * time.Second),
	}, now)
	for _, tt := range []struct {
		name string
		at   time.Time
		want time.Duration
	}{
		{"time", s.GetTime().AsTime(), 0}, {"launched", s.GetLaunched().AsTime(), -9 * time.Second}, {"ready", s.GetReady().AsTime(), -8 * time.Second},
		{"exited", s.GetExited().AsTime(), -10 * time.Second}, {"next", s.GetNext().AsTime(), 5 * time.Second},
	} {
		if got := tt.at.Sub(now); got != tt.want {
			t.Errorf("%s is %v from now, want %v", tt.name, got, tt.want)
		}
	}
}

// wallClock returns what time.Now would have returned instead of t by a wall clock that differs by
// d, a whole number of seconds. Package time has no way to set the two clocks of a Time apart, but
// documents in its source that the first word of one from Now has the seconds above bit 30.
func wallClock(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(d/time.Second) << 30)
	return t
}

// Each field of the library's types has a field in a message, and the other way round.
func TestMessagesHaveEveryField(t *testing.T) {
	var n int
	var s status.Status
	set(reflect.ValueOf(&s).Elem(), &n)
	shown := statusMessage(s, time.Unix(1, 0))
	var u supervisor.Usage
	set(reflect.ValueOf(&u).Elem(), &n)
	setUsage(shown, u)
	if names := absent(shown.ProtoReflect()); len(names) > 0 {
		t.Errorf("without a value: %v", names)
	}
	var e event.Event
	set(reflect.ValueOf(&e).Elem(), &n)
	e.Kind = event.KindExited
	exited := eventMessage(e)
	e.Kind = event.KindReady
	exited.After = eventMessage(e).After
	if names := absent(exited.ProtoReflect()); len(names) > 0 {
		t.Errorf("without a value: %v", names)
	}
	for _, tc := range []struct {
		of      any
		message proto.Message
		more    int // number of fields that only the message has
	}{
		{status.Status{}, &supervisorv1.Status{}, 1 + 2}, // time, and those of Usage
		{event.Event{}, &supervisorv1.Event{}, 0},
		{restart.Exit{}, &supervisorv1.Exit{}, 0},
		{restart.Decision{}, &supervisorv1.Decision{}, 0},
		{restart.Policy{}, &supervisorv1.Policy{}, 0},
		{restart.Backoff{}, &supervisorv1.Backoff{}, 0},
		{restart.Limit{}, &supervisorv1.Limit{}, 0},
	} {
		want := reflect.TypeOf(tc.of).NumField() + tc.more
		if n := tc.message.ProtoReflect().Descriptor().Fields().Len(); n != want {
			t.Errorf("%T has %d fields, want %d as for %T", tc.message, n, want, tc.of)
		}
	}
}

func TestZeroValuesAreAbsent(t *testing.T) {
	s := statusMessage(status.Status{}, time.Unix(1, 0))
	if s.Last != nil || s.Launched != nil || s.Ready != nil || s.Next != nil || s.Exited != nil {
		t.Errorf("got %v, want no exit, and no time except that of the status", s)
	}
	e := eventMessage(event.Event{Kind: event.KindLaunched, Time: time.Unix(1, 0)})
	if e.Exit != nil || e.Next != nil || e.After != nil {
		t.Errorf("got %v, want none of exit, next and after", e)
	}
}

func TestOutputIsMadeValidText(t *testing.T) {
	e := eventMessage(event.Event{Kind: event.KindExited, Replica: "a\xff", Output: []string{"\xc3("}, Err: errors.New("\xff")})
	if _, err := proto.Marshal(e); err != nil || !utf8.ValidString(e.Output[0]) {
		t.Errorf("%v: %v", e, err)
	}
}

func TestEnumsHaveTheNamesOfTheLibrary(t *testing.T) {
	same := func(prefix string, name interface{ String() string }, ours interface{ String() string }) {
		t.Helper()
		want := prefix + strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToUpper(ours.String()))
		if name.String() != want {
			t.Errorf("%v is %v, want %v", ours, name, want)
		}
	}
	for n := 1; n < len(supervisorv1.State_name); n++ {
		same("STATE_", supervisorv1.State(n), status.State(n))
	}
	for n := 1; n < len(supervisorv1.EventKind_name); n++ {
		same("EVENT_KIND_", supervisorv1.EventKind(n), event.Kind(n))
	}
	for n := 1; n < len(supervisorv1.Restart_name); n++ {
		same("RESTART_", supervisorv1.Restart(n), restart.Mode(n-1))
	}
	for n := 1; n < len(supervisorv1.Escalation_name); n++ {
		same("ESCALATION_", supervisorv1.Escalation(n), restart.Escalation(n-1))
	}
	for n := 1; n < len(supervisorv1.Signal_name); n++ {
		name := supervisorv1.Signal(n).String()
		if got := "SIGNAL_" + strings.TrimPrefix(signalName(signals[supervisorv1.Signal(n)]), "SIG"); got != name {
			t.Errorf("%s is sent as %s", name, got)
		}
	}
	// The library has no kinds or states beyond those of the messages.
	for _, unknown := range []interface{ String() string }{
		status.State(len(supervisorv1.State_name)), event.Kind(len(supervisorv1.EventKind_name)),
		restart.Mode(len(supervisorv1.Restart_name) - 1), restart.Escalation(len(supervisorv1.Escalation_name) - 1),
	} {
		if !strings.Contains(unknown.String(), "(") {
			t.Errorf("%v is missing in the messages", unknown)
		}
	}
}

// Fields that the message has are merged, and no others.
func TestMergeChangesWhatIsGiven(t *testing.T) {
	var n int
	var full restart.Policy
	set(reflect.ValueOf(&full).Elem(), &n)
	var got restart.Policy
	if err := merge(&got, policyMessage(full)); err != nil || got != full {
		t.Errorf("got %+v, %v, want %+v", got, err, full)
	}
	zero := policyMessage(restart.Policy{})
	if err := merge(&got, zero); err != nil || got != (restart.Policy{}) {
		t.Errorf("got %+v, %v, want zero, because every field is set", got, err)
	}
	got = full
	if err := merge(&got, nil); err != nil || got != full {
		t.Errorf("got %+v, %v, want no change", got, err)
	}
	one := func(path string, message protoreflect.Message) {
		got := full
		if err := merge(&got, message.Interface().(*supervisorv1.Policy)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if n := differences(reflect.ValueOf(got), reflect.ValueOf(full)); n != 1 {
			t.Errorf("%s changes %d fields, want 1: %+v", path, n, got)
		}
	}
	each(zero.ProtoReflect(), one)
}

// each calls f for each field of m, with a message that has only that field.
func each(m protoreflect.Message, f func(path string, one protoreflect.Message)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.Message() == nil || field.Message().ParentFile().Package() != "supervisor.v1" {
			one := m.New()
			one.Set(field, m.Get(field))
			f(string(field.Name()), one)
			continue
		}
		each(m.Get(field).Message(), func(path string, inner protoreflect.Message) {
			one := m.New()
			one.Set(field, protoreflect.ValueOfMessage(inner))
			f(string(field.Name())+"."+path, one)
		})
	}
}

func differences(a, b reflect.Value) (n int) {
	if a.Kind() != reflect.Struct {
		if a.Interface() != b.Interface() {
			n++
		}
		return n
	}
	for i := range a.NumField() {
		n += differences(a.Field(i), b.Field(i))
	}
	return n
}

func TestMergeRefusesInvalidDurations(t *testing.T) {
	err := merge(new(restart.Policy), &supervisorv1.Policy{Delay: &durationpb.Duration{Seconds: 1, Nanos: -1}})
	if err == nil || !strings.HasPrefix(err.Error(), "policy.delay: want a duration") {
		t.Errorf("got %v", err)
	}
}
