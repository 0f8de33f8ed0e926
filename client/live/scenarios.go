package live

import (
	"slices"
	"time"
)

// Scenarios returns the guided scenarios. Each begins by setting the stage, so they can be run in
// any order.
func Scenarios() []Guide {
	return []Guide{
		{
			Name: "one-crash", Title: "One replica dies",
			Look: "The lane of b is empty from its crash to its relaunch. Calls that were in flight there are lost and go on at another replica: click one to see its way.",
			Steps: []Step{
				say(0, "Three replicas, no faults, the original client.", calm(), load("A", PresetOriginal, "5"), off("B")),
				say(4, "b is killed.", kill("b")),
				say(9, "And again. The relaunch takes as long as the restart delay says.", kill("b")),
				say(13, "Now all of them at once: calls fail when their rounds are over before a replica is back.", kill()),
			},
		},
		{
			Name: "hang", Title: "A replica hangs",
			Look: "A replica that hangs keeps its connections, so each attempt there takes its whole time-out, until the client ejects the replica. Watch p99, and the mark of the ejection.",
			Steps: []Step{
				say(0, "Round robin, so that every replica has its share.", calm(), load("A", PresetOriginal, "5", "order", "round-robin"), off("B")),
				say(4, "b accepts requests and answers none.", inject("b", "hang", "true")),
				say(12, "b answers again. The client finds out by a probe.", inject("b", "hang", "false")),
				say(16, "Once more, with no ejection: p99 stays at the time-out.",
					set("A", "eject_after", "0"), inject("b", "hang", "true")),
				say(26, "And back.", inject("b", "hang", "false"), set("A", "eject_after", "3")),
			},
		},
		{
			Name: "storm", Title: "A storm of crashes, two clients",
			Look: "Three requests of ten crash their replica. The original client runs out of rounds; the recommended one waits in line and has learned to risk few calls at a time. Compare their success rates and attempts per call.",
			Steps: []Step{
				say(0, "No faults: both clients have all they want.", calm(), load("A", PresetOriginal, "5"), load("B", PresetRecommended, "5")),
				say(5, "Each request crashes its replica with a probability of 0.3.", inject("", "crash_probability", "0.3")),
				say(35, "The storm is over. The learned limit rises again.", inject("", "crash_probability", "0")),
			},
		},
		{
			Name: "outage", Title: "No replica for three seconds",
			Look: "The waiting line of B grows while no replica is up, and is served in its order after that. A has failed its calls by then.",
			Steps: []Step{
				say(0, "Relaunches take three seconds.", calm(), relaunch("3s"),
					load("A", PresetOriginal, "5"), load("B", PresetRecommended, "5")),
				say(4, "All replicas are killed.", kill()),
				say(15, "Back to half a second.", relaunch("500ms")),
			},
		},
		{
			Name: "slow", Title: "One slow replica, and hedging",
			Look: "Calls at c take ten times as long. B sends a second attempt when the first takes longer than most: its p99 stays, for a few attempts more.",
			Steps: []Step{
				say(0, "Both clients choose among all replicas; B hedges.", calm(),
					load("A", PresetRecommended, "5", "order", "round-robin"),
					load("B", PresetRecommended, "5", "order", "round-robin", "hedge_quantile", "0.9", "hedge_share", "0.2")),
				say(5, "c is slow.", inject("c", "service_time", "uniform:300ms:500ms")),
				say(20, "c is as quick as the others.", inject("c", "service_time", "uniform:10ms:50ms")),
			},
		},
		{
			Name: "groups", Title: "Calls fail in groups",
			Look: "A crash takes every call in flight at its replica with it. With twenty callers each crash costs many calls, which crash the next replica together; a limit of one in flight costs one.",
			Steps: []Step{
				say(0, "Twenty callers, all at the first replica that is up.", calm(), load("A", PresetOriginal, "20"), off("B")),
				say(4, "One request of ten crashes its replica.", inject("", "crash_probability", "0.1")),
				say(16, "At most one attempt in flight at a replica, and the others wait.",
					set("A", "max_in_flight", "1", "when_down", "wait", "deadline", "10s")),
				say(28, "Over.", inject("", "crash_probability", "0")),
			},
		},
	}
}

// Each step is made of what these return.

func say(at int, text string, do ...[]Command) Step {
	return Step{At: Micros(time.Duration(at) * time.Second), Say: text, Do: slices.Concat(do...)}
}

// calm returns the stage of every scenario: three replicas without faults but a service time, that
// are relaunched soon.
func calm() []Command {
	return slices.Concat(
		[]Command{{Do: ActionScale, Count: new(3)}}, relaunch("500ms"),
		inject("", "crash_probability", "0", "hang", "false", "error_probability", "0", "service_time", "uniform:10ms:50ms"),
	)
}

func kill(replicas ...string) []Command { return []Command{{Do: ActionKill, Replicas: replicas}} }

func relaunch(delay string) []Command {
	return []Command{{Do: ActionRelaunch, Set: pairs("delay", delay)}}
}

// inject sets faults of a replica; empty: of all.
func inject(replica string, set ...string) []Command {
	c := Command{Do: ActionFaults, Set: pairs(set...)}
	if replica != "" {
		c.Replicas = []string{replica}
	}
	return []Command{c}
}

// load turns a load on, with a policy and so many callers.
func load(id, preset, concurrency string, set ...string) []Command {
	values := pairs(append(set, "rate", "0", "concurrency", concurrency)...)
	return []Command{{Do: ActionLoad, Load: id, On: new(true), Preset: preset, Set: values}}
}

func set(id string, set ...string) []Command {
	return []Command{{Do: ActionLoad, Load: id, Set: pairs(set...)}}
}

func off(id string) []Command { return []Command{{Do: ActionLoad, Load: id, On: new(false)}} }

// pairs returns the map of names and values that follow each other.
func pairs(list ...string) map[string]string {
	m := map[string]string{}
	for pair := range slices.Chunk(list, 2) {
		m[pair[0]] = pair[1]
	}
	return m
}
