package trials

import (
	"errors"
	"sort"
	"time"

	"google.golang.org/grpc/status"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
)

// launch is the start of an incarnation.
type launch struct {
	at          time.Duration
	incarnation int
}

// launches returns the launches of each replica, in order.
func launches(events []record.Event) map[string][]launch {
	all := map[string][]launch{}
	for _, e := range events {
		if p := e.Process; p != nil && p.Kind == event.KindLaunched {
			all[p.Replica] = append(all[p.Replica], launch{e.At, p.Incarnation})
		}
	}
	return all
}

// RecordLoad returns the records of a load on replicas of which only the addresses are known. The
// addresses stand for the replicas' names, and there are no events.
func RecordLoad(t record.Trial, calls []workload.Record) record.TrialRecords {
	for i := range calls {
		calls[i].Replica = calls[i].Served()
	}
	return record.TrialRecords{Trial: t, Calls: recordCalls(t.Number, t.Began, calls, func(addr string) string { return addr }, nil)}
}

// recordCalls converts calls to their form in the files of a run.
func recordCalls(trial int, began time.Time, calls []workload.Record, replica func(addr string) string, launches map[string][]launch) []record.Call {
	all := make([]record.Call, len(calls))
	for i, r := range calls {
		all[i] = record.Call{
			Trial: trial, Number: r.Call, Intended: r.Intended.Sub(began), Start: r.Start.Sub(began), Duration: r.Duration,
			Result: result(r), Warmup: r.Warmup, Reason: reason(r.Err), Code: status.Code(r.Err),
			Replica: r.Replica, Incarnation: r.Incarnation, Value: r.Value, Attempts: make([]record.Attempt, len(r.Attempts)),
		}
		for j, a := range r.Attempts {
			attempt := record.Attempt{
				Number: a.Number, Round: a.Round, Replica: replica(a.Replica), Start: a.Start.Sub(began), Duration: a.Duration,
				Outcome: a.Outcome, Sent: a.Sent, Hedge: a.Hedge, Code: a.Code(),
			}
			attempt.Incarnation = latest(launches[attempt.Replica], attempt.Start)
			if a.Outcome == failover.OutcomeOK && attempt.Replica == r.Replica { // of a hedged call two may be
				attempt.Incarnation = r.Incarnation
			}
			all[i].Attempts[j] = attempt
		}
	}
	return all
}

// latest returns the incarnation of the last launch at or before a time, or zero if there is none.
func latest(launches []launch, at time.Duration) int {
	n := sort.Search(len(launches), func(i int) bool { return launches[i].at > at })
	if n == 0 {
		return 0
	}
	return launches[n-1].incarnation
}

func result(r workload.Record) record.Result {
	switch {
	case r.Interrupted:
		return record.ResultInterrupted
	case r.Err != nil:
		return record.ResultFailed
	default:
		return record.ResultOK
	}
}

// reason returns why a call failed, in the words of package failover, or an empty string if it
// succeeded.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		return failed.Reason.String()
	}
	return status.Code(err).String()
}
