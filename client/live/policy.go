package live

import (
	"encoding"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/parse"
)

// setting is a field of Settings with its getter and setter. An error of set names the text and
// what is allowed.
type setting struct {
	Field
	get func(*Settings) string
	set func(*Settings, string) error
}

// The groups of settings.
const (
	groupLoad       = "load"
	groupAttempts   = "attempts"
	groupWaiting    = "waiting"
	groupProtection = "protection"
	groupHedging    = "hedging"
	groupDialing    = "dialing"
)

const most = 1_000_000

// settings has all settings in the order of the page. Settings that are also factors of designs
// have the same names.
var settings = []setting{
	whole(groupLoad, "concurrency", "Number of concurrent calls: each call starts when another ends. Ignored if there is a rate.",
		1, 10_000, func(s *Settings) *int { return &s.Concurrency }),
	number(groupLoad, "rate", "Calls that start per second, however long they take; 0 means as many as the concurrency allows.",
		100_000, func(s *Settings) *float64 { return &s.Rate }),
	choice(groupLoad, "arrivals", "How the calls of a rate are spaced: evenly (constant) or at random, like those of many users (poisson).",
		[]string{"constant", "poisson"}, func(s *Settings) *workload.Arrivals { return &s.Arrivals }),

	duration(groupAttempts, "deadline", "Deadline of a call with all its attempts and waits; 0s means none.",
		func(s *Settings) *time.Duration { return &s.Deadline }),
	duration(groupAttempts, "timeout", "Deadline of an attempt; 0s means only the call's deadline.",
		func(s *Settings) *time.Duration { return &s.Policy.Timeout }),
	duration(groupAttempts, "min_timeout", "Shortest time left for which an attempt is still made; 0s means any.",
		func(s *Settings) *time.Duration { return &s.Policy.MinTimeout }),
	whole(groupAttempts, "rounds", "How many times a call tries the replicas.",
		1, most, func(s *Settings) *int { return &s.Policy.Rounds }),
	duration(groupAttempts, "pause", "Wait between two rounds.",
		func(s *Settings) *time.Duration { return &s.Policy.Pause }),
	number(groupAttempts, "pause_factor", "Factor by which each pause is longer than the one before; 0 means a constant pause.",
		1000, func(s *Settings) *float64 { return &s.Policy.PauseGrowth.Factor }),
	duration(groupAttempts, "pause_max", "Longest pause; 0s means no limit.",
		func(s *Settings) *time.Duration { return &s.Policy.PauseGrowth.Max }),
	number(groupAttempts, "pause_jitter", "Share of a pause by which it is randomly lengthened or shortened, 0 to 1.",
		1, func(s *Settings) *float64 { return &s.Policy.PauseGrowth.Jitter }),
	choice(groupAttempts, "order", "Which of the ready replicas a call tries first.",
		[]string{"first", "round-robin", "random", "least-in-flight", "sticky"}, func(s *Settings) *failover.Order { return &s.Policy.Order }),
	codeList("retryable", "Statuses after which a call goes on to the next replica; empty means UNAVAILABLE.",
		func(s *Settings) *[]codes.Code { return &s.Policy.Retryable }),
	codeList("not_executed", "Statuses that a replica sends only before it has done any work, so that they are always retried.",
		func(s *Settings) *[]codes.Code { return &s.Policy.NotExecuted.Codes }),
	onlyUnsent,

	choice(groupWaiting, "when_down", "What a call does if no replica is available: attempt one that is down, or wait in line.",
		[]string{"attempt", "wait"}, func(s *Settings) *failover.WhenDown { return &s.Policy.WhenDown }),
	duration(groupWaiting, "max_wait", "Longest total wait of a call; 0s means until its deadline, or a minute if it has none.",
		func(s *Settings) *time.Duration { return &s.Policy.MaxWait }),
	whole(groupWaiting, "max_waiting", "Greatest number of waiting calls, beyond which the newest fail; 0 means 1000.",
		0, most, func(s *Settings) *int { return &s.Policy.MaxWaiting }),

	whole(groupProtection, "max_in_flight", "Greatest number of attempts in flight at a replica; 0 means no limit.",
		0, most, func(s *Settings) *int { return &s.Policy.MaxInFlight }),
	boolean(groupProtection, "adaptive_limit", "Learn from crashes how many attempts may be in flight at a replica.",
		func(s *Settings) *bool { return &s.Policy.AdaptiveLimit }),
	number(groupProtection, "budget", "Retries that each call adds to the budget, 0 to 1. If all three budget settings are 0, there is no budget.",
		1, func(s *Settings) *float64 { return &s.Policy.Budget.Ratio }),
	number(groupProtection, "budget_per_second", "Retries that each second adds to the budget.",
		most, func(s *Settings) *float64 { return &s.Policy.Budget.PerSecond }),
	whole(groupProtection, "budget_burst", "Greatest number of retries in the budget; 0 means 20.",
		0, most, func(s *Settings) *int { return &s.Policy.Budget.Burst }),
	ejectAfter,
	duration(groupProtection, "eject_probe", "Time between two probes of an ejected replica; 0s means 500ms.",
		func(s *Settings) *time.Duration { return &s.Policy.Ejection.Probe }),
	number(groupProtection, "eject_share", "Greatest share of the replicas that may be ejected at once; 0 means two thirds.",
		1, func(s *Settings) *float64 { return &s.Policy.Ejection.MaxShare }),

	duration(groupHedging, "hedge_after", "Send a call to a second replica too if the first has not answered after this time; 0s means never.",
		func(s *Settings) *time.Duration { return &s.Policy.Hedge.After }),
	number(groupHedging, "hedge_quantile", "Hedge a call that takes longer than this share of earlier calls, such as 0.95, below 1; 0 means by hedge_after only.",
		1, func(s *Settings) *float64 { return &s.Policy.Hedge.Quantile }),
	number(groupHedging, "hedge_share", "Hedges that each call allows, 0 to 1; 0 means that no call is hedged for being slow.",
		1, func(s *Settings) *float64 { return &s.Policy.Hedge.Share }),

	duration(groupDialing, "redial_every", "Mean time between two dials of a replica that is down while calls want it; 0s means 25ms.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Every }),
	duration(groupDialing, "redial_linger", "How long after a call has wanted a replica it is still dialed; 0s means 1s.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Linger }),
	whole(groupDialing, "redial_per_second", "Greatest number of dials per second, of all replicas together; 0 means 100.",
		0, most, func(s *Settings) *int { return &s.Policy.Redial.PerSecond }),
	duration(groupDialing, "redial_timeout", "Longest time of a dial; 0s means 5s.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Timeout }),
	duration(groupDialing, "resolve_every", "How often the resolver is asked for the replicas when nothing else triggers it; 0s means 30s.",
		func(s *Settings) *time.Duration { return &s.Policy.ResolveEvery }),
}

var onlyUnsent = setting{
	Field: Field{Name: "only_unsent", Group: groupAttempts, Kind: kindBool, Doc: "Retry a call only if no byte of it was sent, as for a method that is not idempotent."},
	get:   func(s *Settings) string { return strconv.FormatBool(s.Policy.Idempotent != nil) },
	set: func(s *Settings, text string) error {
		only, err := parse.Bool(text)
		if err != nil {
			return err
		}
		if s.Policy.Idempotent = nil; only {
			s.Policy.Idempotent = map[string]bool{"/": false}
		}
		return nil
	},
}

var ejectAfter = setting{
	Field: Field{Name: "eject_after", Group: groupProtection, Kind: kindWhole, Doc: "Number of attempts in a row that hang or fail after which a replica is ejected; 0 means never."},
	get: func(s *Settings) string {
		switch e := s.Policy.Ejection; {
		case e == failover.Ejection{}:
			return "3"
		case e.Off:
			return "0"
		default:
			return strconv.Itoa(e.After)
		}
	},
	set: func(s *Settings, text string) error {
		n, err := parse.Whole(text, 0, most)
		if err == nil {
			s.Policy.Ejection.After, s.Policy.Ejection.Off = n, n == 0
		}
		return err
	},
}

// The kinds of fields.
const (
	kindDuration = "duration"
	kindNumber   = "number"
	kindWhole    = "whole"
	kindBool     = "bool"
	kindChoice   = "choice"
	kindCodes    = "codes"
	kindText     = "text"
)

// newSetting returns a setting of a field, with functions that format and parse its values.
func newSetting[T any](f Field, field func(*Settings) *T, format func(T) string, parse func(string) (T, error)) setting {
	return setting{
		Field: f,
		get:   func(s *Settings) string { return format(*field(s)) },
		set: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
	}
}

func duration(group, name, doc string, field func(*Settings) *time.Duration) setting {
	return newSetting(Field{Name: name, Group: group, Kind: kindDuration, Doc: doc}, field, time.Duration.String, design.ReadDuration)
}

func whole(group, name, doc string, least, most int, field func(*Settings) *int) setting {
	return newSetting(Field{Name: name, Group: group, Kind: kindWhole, Doc: doc}, field, strconv.Itoa,
		func(text string) (int, error) { return parse.Whole(text, least, most) })
}

func number(group, name, doc string, most float64, field func(*Settings) *float64) setting {
	return newSetting(Field{Name: name, Group: group, Kind: kindNumber, Doc: doc}, field, formatNumber,
		func(text string) (float64, error) { return parse.Number(text, 0, most) })
}

func formatNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func boolean(group, name, doc string, field func(*Settings) *bool) setting {
	return newSetting(Field{Name: name, Group: group, Kind: kindBool, Doc: doc}, field, strconv.FormatBool, parse.Bool)
}

func choice[T fmt.Stringer, P interface {
	*T
	encoding.TextUnmarshaler
}](group, name, doc string, choices []string, field func(*Settings) *T) setting {
	return newSetting(Field{Name: name, Group: group, Kind: kindChoice, Choices: choices, Doc: doc}, field, T.String,
		func(text string) (v T, err error) {
			err = P(&v).UnmarshalText([]byte(text))
			return v, err
		})
}

// codeList returns a setting that is a list of gRPC statuses, such as "UNAVAILABLE,INTERNAL".
func codeList(name, doc string, field func(*Settings) *[]codes.Code) setting {
	format := func(list []codes.Code) string {
		all := make([]string, len(list))
		for i, c := range list {
			all[i] = codeName(c)
		}
		return strings.Join(all, ",")
	}
	parse := func(text string) (list []codes.Code, err error) {
		for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
			n, ok := rpccode.Code_value[strings.ToUpper(word)]
			if !ok || codes.Code(n) == codes.OK {
				return nil, fmt.Errorf("%q: want names of gRPC statuses other than OK, such as UNAVAILABLE,INTERNAL", word)
			}
			if !slices.Contains(list, codes.Code(n)) {
				list = append(list, codes.Code(n))
			}
		}
		return list, nil
	}
	return newSetting(Field{Name: name, Group: groupAttempts, Kind: kindCodes, Doc: doc}, field, format, parse)
}
