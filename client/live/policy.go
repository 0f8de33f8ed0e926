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

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/parse"
)

// setting reads and writes one field of settings. An error of set has the text and what is allowed.
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

// settings is the one list of them, in the order in which the page has them. Names are those of
// design files where both have a factor.
var settings = []setting{
	whole(groupLoad, "concurrency", "How many calls are under way at a time, each begun when another ends. A rate takes its place.",
		1, 10_000, func(s *Settings) *int { return &s.Concurrency }),
	number(groupLoad, "rate", "How many calls are begun a second, however long they take; 0 is as many as the concurrency makes.",
		100_000, func(s *Settings) *float64 { return &s.Rate }),
	choice(groupLoad, "arrivals", "How the calls of a rate follow each other: evenly, or by chance as those of many users.",
		[]string{"constant", "poisson"}, func(s *Settings) *workload.Arrivals { return &s.Arrivals }),

	duration(groupAttempts, "deadline", "Deadline of a call, all its attempts and waits included; 0s is none.",
		func(s *Settings) *time.Duration { return &s.Deadline }),
	duration(groupAttempts, "timeout", "Deadline of one attempt; 0s is none but that of the call.",
		func(s *Settings) *time.Duration { return &s.Policy.Timeout }),
	duration(groupAttempts, "min_timeout", "The shortest time in which an attempt is worth making; 0s is any.",
		func(s *Settings) *time.Duration { return &s.Policy.MinTimeout }),
	whole(groupAttempts, "rounds", "How often a call passes through the replicas.",
		1, most, func(s *Settings) *int { return &s.Policy.Rounds }),
	duration(groupAttempts, "pause", "Wait between two rounds.",
		func(s *Settings) *time.Duration { return &s.Policy.Pause }),
	number(groupAttempts, "pause_factor", "How many times longer each pause is than the one before it; 0 is as long.",
		1000, func(s *Settings) *float64 { return &s.Policy.PauseGrowth.Factor }),
	duration(groupAttempts, "pause_max", "The longest pause; 0s is no bound.",
		func(s *Settings) *time.Duration { return &s.Policy.PauseGrowth.Max }),
	number(groupAttempts, "pause_jitter", "The share of a pause by which it is longer or shorter at random, 0 to 1.",
		1, func(s *Settings) *float64 { return &s.Policy.PauseGrowth.Jitter }),
	choice(groupAttempts, "order", "Which replica a call tries first, of those that are ready.",
		[]string{"first", "round-robin", "random", "least-in-flight", "sticky"}, func(s *Settings) *failover.Order { return &s.Policy.Order }),
	codeList("retryable", "After which statuses a call goes on to the next replica; none named is UNAVAILABLE alone.",
		func(s *Settings) *[]codes.Code { return &s.Policy.Retryable }),
	codeList("not_executed", "Statuses that a replica sends only before it has done any work, so that they are always retried.",
		func(s *Settings) *[]codes.Code { return &s.Policy.NotExecuted.Codes }),
	onlyUnsent,

	choice(groupWaiting, "when_down", "What a call does when no replica is available: attempt one that is down, or wait in line.",
		[]string{"attempt", "wait"}, func(s *Settings) *failover.WhenDown { return &s.Policy.WhenDown }),
	duration(groupWaiting, "max_wait", "How long a call may wait in line in all; 0s is until its deadline, and a minute without one.",
		func(s *Settings) *time.Duration { return &s.Policy.MaxWait }),
	whole(groupWaiting, "max_waiting", "How many calls may wait in line, beyond which the newest fail; 0 is 1000.",
		0, most, func(s *Settings) *int { return &s.Policy.MaxWaiting }),

	whole(groupProtection, "max_in_flight", "How many attempts may be in flight at a replica; 0 is no limit.",
		0, most, func(s *Settings) *int { return &s.Policy.MaxInFlight }),
	boolean(groupProtection, "adaptive_limit", "Learn from the crashes how many attempts to have in flight at a replica.",
		func(s *Settings) *bool { return &s.Policy.AdaptiveLimit }),
	number(groupProtection, "budget", "How many repetitions each call allows, 0 to 1. All three of the budget 0: no bound.",
		1, func(s *Settings) *float64 { return &s.Policy.Budget.Ratio }),
	number(groupProtection, "budget_per_second", "How many repetitions each second allows.",
		most, func(s *Settings) *float64 { return &s.Policy.Budget.PerSecond }),
	whole(groupProtection, "budget_burst", "How many repetitions the budget holds; 0 is 20.",
		0, most, func(s *Settings) *int { return &s.Policy.Budget.Burst }),
	ejectAfter,
	duration(groupProtection, "eject_probe", "Time between two probes of a replica that is ejected; 0s is 500ms.",
		func(s *Settings) *time.Duration { return &s.Policy.Ejection.Probe }),
	number(groupProtection, "eject_share", "The largest share of the replicas that is ejected at a time; 0 is two thirds.",
		1, func(s *Settings) *float64 { return &s.Policy.Ejection.MaxShare }),

	duration(groupHedging, "hedge_after", "Send a call to a second replica when the first has taken so long; 0s is never.",
		func(s *Settings) *time.Duration { return &s.Policy.Hedge.After }),
	number(groupHedging, "hedge_quantile", "Hedge a call that takes longer than this share of the calls did, such as 0.95; 0 is by hedge_after alone. Below 1.",
		1, func(s *Settings) *float64 { return &s.Policy.Hedge.Quantile }),
	number(groupHedging, "hedge_share", "How many hedges each call allows, 0 to 1; with 0 no call is hedged for being slow.",
		1, func(s *Settings) *float64 { return &s.Policy.Hedge.Share }),

	duration(groupDialing, "redial_every", "Mean time between two dials of a replica that is down and wanted; 0s is 25ms.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Every }),
	duration(groupDialing, "redial_linger", "How long a call's wish for a replica is remembered; 0s is 1s.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Linger }),
	whole(groupDialing, "redial_per_second", "How many dials all replicas together take a second; 0 is 100.",
		0, most, func(s *Settings) *int { return &s.Policy.Redial.PerSecond }),
	duration(groupDialing, "redial_timeout", "How long a dial may take; 0s is 5s.",
		func(s *Settings) *time.Duration { return &s.Policy.Redial.Timeout }),
	duration(groupDialing, "resolve_every", "How often the resolver is asked for the replicas while nothing happens; 0s is 30s.",
		func(s *Settings) *time.Duration { return &s.Policy.ResolveEvery }),
}

var onlyUnsent = setting{
	Field: Field{Name: "only_unsent", Group: groupAttempts, Kind: kindBool, Doc: "Repeat a call only when no byte of it was sent, as if it might not be repeated."},
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
	Field: Field{Name: "eject_after", Group: groupProtection, Kind: kindWhole, Doc: "After how many hung or failed attempts in a row a replica is left out; 0 is never."},
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

// of makes a setting of a field and the ways to spell and to read it.
func of[T any](f Field, field func(*Settings) *T, spell func(T) string, read func(string) (T, error)) setting {
	return setting{
		Field: f,
		get:   func(s *Settings) string { return spell(*field(s)) },
		set: func(s *Settings, text string) error {
			v, err := read(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
	}
}

func duration(group, name, doc string, field func(*Settings) *time.Duration) setting {
	return of(Field{Name: name, Group: group, Kind: kindDuration, Doc: doc}, field, time.Duration.String, parse.Duration)
}

func whole(group, name, doc string, least, most int, field func(*Settings) *int) setting {
	return of(Field{Name: name, Group: group, Kind: kindWhole, Doc: doc}, field, strconv.Itoa,
		func(text string) (int, error) { return parse.Whole(text, least, most) })
}

func number(group, name, doc string, most float64, field func(*Settings) *float64) setting {
	return of(Field{Name: name, Group: group, Kind: kindNumber, Doc: doc}, field, spellNumber,
		func(text string) (float64, error) { return parse.Number(text, 0, most) })
}

func spellNumber(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func boolean(group, name, doc string, field func(*Settings) *bool) setting {
	return of(Field{Name: name, Group: group, Kind: kindBool, Doc: doc}, field, strconv.FormatBool, parse.Bool)
}

func choice[T fmt.Stringer, P interface {
	*T
	encoding.TextUnmarshaler
}](group, name, doc string, choices []string, field func(*Settings) *T) setting {
	return of(Field{Name: name, Group: group, Kind: kindChoice, Choices: choices, Doc: doc}, field, T.String,
		func(text string) (v T, err error) {
			err = P(&v).UnmarshalText([]byte(text))
			return v, err
		})
}

// codeList is a list of gRPC statuses, such as "UNAVAILABLE,INTERNAL".
func codeList(name, doc string, field func(*Settings) *[]codes.Code) setting {
	spell := func(list []codes.Code) string {
		all := make([]string, len(list))
		for i, c := range list {
			all[i] = codeName(c)
		}
		return strings.Join(all, ",")
	}
	read := func(text string) (list []codes.Code, err error) {
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
	return of(Field{Name: name, Group: groupAttempts, Kind: kindCodes, Doc: doc}, field, spell, read)
}
