package live

import (
	"slices"
	"time"
)

// Scenarios returns the guided scenarios. Each first prepares the cluster and the loads, so they
// can run in any order.
func Scenarios() []Guide {
	return []Guide{
		{
			Name: "one-crash", Title: "One replica dies",
			Look: "The lane of b is empty from its crash to its relaunch. Calls that were in flight there are lost and continue at another replica: click one to see its path.",
			Steps: []Step{
				say(0, "Three replicas, no faults, the original client.", calm(), load("A", PresetOriginal, "5"), off("B")),
				say(4, "b is killed.", kill("b")),
				say(9, "And again. It is relaunched after the restart delay.", kill("b")),
				say(13, "Now all of them at once: calls fail if their rounds end before a replica is back.", kill()),
			},
		},
		{
			Name: "hang", Title: "A replica hangs",
			Look: "A replica that hangs keeps its connections, so each attempt there takes its whole timeout until the client ejects the replica. Watch p99 and the mark of the ejection.",
			Steps: []Step{
				say(0, "Calls go to all replicas in turn.", calm(), load("A", PresetOriginal, "5", "order", "round-robin"), off("B")),
				say(4, "b accepts requests but answers none.", inject("b", "hang", "true")),
				say(12, "b answers again. The client's probe finds out.", inject("b", "hang", "false")),
				say(16, "Once more, without ejection: p99 stays at the timeout.",
					set("A", "eject_after", "0"), inject("b", "hang", "true")),
				say(26, "b answers again.", inject("b", "hang", "false"), set("A", "eject_after", "3")),
			},
		},
		{
			Name: "storm", Title: "A storm of crashes, two clients",
			Look: "Three requests in ten crash their replica. The original client runs out of rounds; the recommended one waits in line and learns to risk few calls at a time. Compare their success rates and attempts per call.",
			Steps: []Step{
				say(0, "No faults: all calls of both clients succeed.", calm(), load("A", PresetOriginal, "5"), load("B", PresetRecommended, "5")),
				say(5, "Each request crashes its replica with a probability of 0.3.", inject("", "crash_probability", "0.3")),
				say(35, "The storm is over. The learned limit rises again.", inject("", "crash_probability", "0")),
			},
		},
		{
			Name: "outage", Title: "No replica for three seconds",
			Look: "B's waiting line grows while no replica is up and is then served in order. By then A's calls have failed.",
			Steps: []Step{
				say(0, "Relaunches take three seconds.", calm(), relaunch("3s"),
					load("A", PresetOriginal, "5"), load("B", PresetRecommended, "5")),
				say(4, "All replicas are killed.", kill()),
				say(15, "Back to half a second.", relaunch("500ms")),
			},
		},
		{
			Name: "slow", Title: "One slow replica, and hedging",
			Look: "Calls at c take ten times as long. B sends a second attempt when the first takes longer than most, so its p99 stays low at the price of a few more attempts.",
			Steps: []Step{
				say(0, "Both clients use all replicas in turn; B hedges.", calm(),
					load("A", PresetRecommended, "5", "order", "round-robin"),
					load("B", PresetRecommended, "5", "order", "round-robin", "hedge_quantile", "0.9", "hedge_share", "0.2")),
				say(5, "c is slow.", inject("c", "service_time", "uniform:300ms:500ms")),
				say(20, "c is as fast as the others again.", inject("c", "service_time", "uniform:10ms:50ms")),
			},
		},
		{
			Name: "groups", Title: "Calls fail in groups",
			Look: "A crash takes every call in flight at its replica with it. With twenty callers each crash costs many calls, which together crash the next replica. With a limit of one in flight it costs one.",
			Steps: []Step{
				say(0, "Twenty callers, all at the first replica that is up.", calm(), load("A", PresetOriginal, "20"), off("B")),
				say(4, "One request in ten crashes its replica.", inject("", "crash_probability", "0.1")),
				say(16, "At most one attempt is in flight at a replica; the other calls wait.",
					set("A", "max_in_flight", "1", "when_down", "wait", "deadline", "10s")),
				say(28, "No more crashes.", inject("", "crash_probability", "0")),
			},
		},
	}
}

// The functions below make the steps of a scenario.

func say(at int, text string, do ...[]Command) Step {
	return Step{At: Micros(time.Duration(at) * time.Second), Say: text, Do: slices.Concat(do...)}
}

// calm returns the commands that prepare every scenario: three replicas with a service time,
// without faults, and with a restart delay of 500 ms.
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

// inject sets faults of a replica, or of all replicas if its name is empty.
func inject(replica string, set ...string) []Command {
	c := Command{Do: ActionFaults, Set: pairs(set...)}
	if replica != "" {
		c.Replicas = []string{replica}
	}
	return []Command{c}
}

// load turns a load on with a policy and a number of callers.
func load(id, preset, concurrency string, set ...string) []Command {
	values := pairs(append(set, "rate", "0", "concurrency", concurrency)...)
	return []Command{{Do: ActionLoad, Load: id, On: new(true), Preset: preset, Set: values}}
}

func set(id string, set ...string) []Command {
	return []Command{{Do: ActionLoad, Load: id, Set: pairs(set...)}}
}

func off(id string) []Command { return []Command{{Do: ActionLoad, Load: id, On: new(false)}} }

// pairs returns a map of alternating names and values.
func pairs(list ...string) map[string]string {
	m := map[string]string{}
	for pair := range slices.Chunk(list, 2) {
		m[pair[0]] = pair[1]
	}
	return m
}
