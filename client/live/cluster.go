package live

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	faultv1 "example.com/crashlab/gen/fault/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/parse"
)

// FaultFields returns the fields of a replica's faults.
func FaultFields() []Field { return fieldsOf(faults) }

// FaultRequest returns the request that sets faults by the names of [FaultFields]. An error is a
// [*FieldError].
func FaultRequest(values map[string]string) (*faultv1.SetRequest, error) {
	return request[faultv1.SetRequest](faults, "fault", values)
}

// FaultValues returns faults by the names of [FaultFields].
func FaultValues(f *faultv1.Faults) map[string]string {
	point := fault.CrashPointArrival
	if f.GetCrashPoint() == faultv1.CrashPoint_CRASH_POINT_REPLY {
		point = fault.CrashPointReply
	}
	return map[string]string{
		"crash_probability": formatNumber(f.GetCrashProbability()), "crash_point": point.String(),
		"service_time": f.GetServiceTime(), "hang": strconv.FormatBool(f.GetHang()),
		"error_probability": formatNumber(f.GetErrorProbability()), "error_code": f.GetErrorCode(),
	}
}

// RelaunchFields returns the fields of a group's restart policy.
func RelaunchFields() []Field { return fieldsOf(relaunches) }

// RelaunchPolicy returns a policy with only the given fields, by the names of [RelaunchFields]. An
// error is a [*FieldError].
func RelaunchPolicy(values map[string]string) (*supervisorv1.Policy, error) {
	return request[supervisorv1.Policy](relaunches, "setting", values)
}

// RelaunchValues returns the values of a policy by the names of [RelaunchFields].
func RelaunchValues(p *supervisorv1.Policy) map[string]string {
	b := p.GetBackoff()
	return map[string]string{
		"restart": restarts[p.GetRestart()], "delay": p.GetDelay().AsDuration().String(),
		"backoff_factor": formatNumber(b.GetFactor()), "backoff_max": b.GetMax().AsDuration().String(),
		"backoff_jitter": formatNumber(b.GetJitter()), "backoff_reset": b.GetReset_().AsDuration().String(),
	}
}

// change sets one field of a message.
type change[M any] struct {
	Field
	set func(m *M, text string) error
}

const (
	groupCrashes  = "crashes"
	groupAnswers  = "answers"
	groupRelaunch = "relaunch"
)

var faults = []change[faultv1.SetRequest]{
	{Field{Name: "crash_probability", Group: groupCrashes, Kind: kindNumber, Doc: "Probability that a request crashes its replica, 0 to 1."},
		func(m *faultv1.SetRequest, text string) error { return setNumber(&m.CrashProbability, text, 1) }},
	{Field{Name: "crash_point", Group: groupCrashes, Kind: kindChoice, Choices: []string{"arrival", "reply"}, Doc: "When a crash happens: on arrival, before the work, or at the reply, after the work but before its reply is sent."},
		func(m *faultv1.SetRequest, text string) error {
			var p fault.CrashPoint
			err := p.UnmarshalText([]byte(text))
			m.CrashPoint = p.Message()
			return err
		}},
	{Field{Name: "service_time", Group: groupAnswers, Kind: kindText, Doc: "How long the work of a request takes: 0s, 50ms, uniform:50ms:500ms, or exp:100ms (exponential with that mean)."},
		func(m *faultv1.SetRequest, text string) error {
			m.ServiceTime = &text
			return new(fault.Distribution).UnmarshalText([]byte(text))
		}},
	{Field{Name: "hang", Group: groupAnswers, Kind: kindBool, Doc: "The replica accepts requests but never answers. Health probes still succeed, so the supervisor does not kill it."},
		func(m *faultv1.SetRequest, text string) error {
			hang, err := parse.Bool(text)
			m.Hang = &hang
			return err
		}},
	{Field{Name: "error_probability", Group: groupAnswers, Kind: kindNumber, Doc: "Probability that a request is answered with error_code before any work, 0 to 1."},
		func(m *faultv1.SetRequest, text string) error { return setNumber(&m.ErrorProbability, text, 1) }},
	{Field{Name: "error_code", Group: groupAnswers, Kind: kindText, Doc: "gRPC status of the answers that error_probability makes, such as UNAVAILABLE."},
		func(m *faultv1.SetRequest, text string) error {
			m.ErrorCode = &text
			_, err := fault.ParseCode(text)
			return err
		}},
}

var restarts = map[supervisorv1.Restart]string{
	supervisorv1.Restart_RESTART_ALWAYS: "always", supervisorv1.Restart_RESTART_ON_FAILURE: "on-failure", supervisorv1.Restart_RESTART_NEVER: "never",
}

var relaunches = []change[supervisorv1.Policy]{
	{Field{Name: "restart", Group: groupRelaunch, Kind: kindChoice, Choices: []string{"always", "on-failure", "never"}, Doc: "After which exits a replica is relaunched."},
		func(m *supervisorv1.Policy, text string) error {
			for mode, name := range restarts {
				if name == text {
					m.Restart = mode
					return nil
				}
			}
			return fmt.Errorf("%q: want always, on-failure or never", text)
		}},
	{Field{Name: "delay", Group: groupRelaunch, Kind: kindDuration, Doc: "Time from a replica's exit to its relaunch."},
		func(m *supervisorv1.Policy, text string) error { return setDuration(&m.Delay, text) }},
	{Field{Name: "backoff_factor", Group: groupRelaunch, Kind: kindNumber, Doc: "Factor by which the delay grows after each exit in a row, 1 to 1000; 0 means a constant delay."},
		func(m *supervisorv1.Policy, text string) error { return setNumber(&backoff(m).Factor, text, 1000) }},
	{Field{Name: "backoff_max", Group: groupRelaunch, Kind: kindDuration, Doc: "Longest delay; 0s means a minute."},
		func(m *supervisorv1.Policy, text string) error { return setDuration(&backoff(m).Max, text) }},
	{Field{Name: "backoff_jitter", Group: groupRelaunch, Kind: kindNumber, Doc: "Share of a delay by which it is randomly lengthened or shortened, 0 to 1."},
		func(m *supervisorv1.Policy, text string) error { return setNumber(&backoff(m).Jitter, text, 1) }},
	{Field{Name: "backoff_reset", Group: groupRelaunch, Kind: kindDuration, Doc: "After being ready for this long, a replica's next exit counts as the first in a row; 0s means 10s."},
		func(m *supervisorv1.Policy, text string) error { return setDuration(&backoff(m).Reset_, text) }},
}

func backoff(m *supervisorv1.Policy) *supervisorv1.Backoff {
	if m.Backoff == nil {
		m.Backoff = new(supervisorv1.Backoff)
	}
	return m.Backoff
}

func setNumber(to **float64, text string, most float64) error {
	n, err := parse.Number(text, 0, most)
	*to = &n
	return err
}

func setDuration(to **durationpb.Duration, text string) error {
	d, err := parse.Duration(text)
	*to = durationpb.New(d)
	return err
}

// request returns a message with the given values. What names a value in errors.
func request[M any](changes []change[M], what string, values map[string]string) (*M, error) {
	m := new(M)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(changes, func(c change[M]) bool { return c.Name == name })
		if i < 0 {
			return nil, &FieldError{name, fmt.Errorf("unknown %s %q: want one of %s", what, name, names(fieldsOf(changes)))}
		}
		if err := changes[i].set(m, values[name]); err != nil {
			return nil, &FieldError{name, fmt.Errorf("%s %w", name, err)}
		}
	}
	return m, nil
}

func fieldsOf[M any](changes []change[M]) []Field {
	all := make([]Field, len(changes))
	for i, c := range changes {
		all[i] = c.Field
	}
	return all
}

func names(fields []Field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.Name
	}
	return strings.Join(all, ", ")
}
