#!/bin/sh
# Makes the same 50 calls to a crashing cluster under two policies, and compares the results. The output
# of the replicas and of the calls goes to files in runs/. The demo uses the ports from DEMO_PORT=7201
# to 7203, so that it can run beside `make run-cluster`.
set -eu
cd "$(dirname "$0")/.."
port=${DEMO_PORT:-7201}
replicas="static:///127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
original="--timeout 1s --rounds 3 --pause 200ms --order first --eject-after 0"
recommended="--policy recommended"

if bin/crashlab get --target "$replicas" --rounds 1 >/dev/null 2>&1; then
	echo "demo: another cluster answers at $replicas; set another DEMO_PORT" >&2
	exit 1
fi
results=runs/demo-$port
mkdir -p "$results"

cat <<END
Three replicas. A request crashes its replica with probability 0.3; the
supervisor relaunches it after 300 ms. The same 50 calls are made twice, 10 at a
time: with the policy of the original course, and with the recommended policy.

END
bin/supervisor --replicas 3 --base-port "$port" --restart-delay 300ms -- \
	bin/counterd --addr={addr} --replica={name} --p-crash=0.3 --service-time=uniform:10ms:50ms >"$results/cluster.log" 2>&1 &
supervisor=$!
stop() {
	[ -n "$supervisor" ] || return 0
	kill -TERM "$supervisor" 2>/dev/null || true
	wait "$supervisor" || true
	supervisor=
}
trap stop EXIT
# Ctrl-C in a terminal reaches the supervisor too. A second signal would make it kill the replicas.
trap 'trap - EXIT; wait "$supervisor" || true; exit 130' INT
trap 'exit 129' HUP
trap 'exit 143' TERM

# shellcheck disable=SC2086 # each policy is several words
for policy in original recommended; do
	eval "flags=\$$policy"
	echo "$policy: crashlab load -n 50 -c 10 $flags" | fold -s -w 75 | sed '2,$s/^/    /'
	bin/crashlab load --target "$replicas" --wait 10s -n 50 -c 10 $flags >"$results/$policy.txt" || {
		cat "$results/cluster.log" >&2
		exit 1
	}
done
stop

printf '\nEach attempt is in %s/original.txt and recommended.txt,\nthe output of the replicas in %s/cluster.log.\n\n' "$results" "$results"
awk '
	function row(name, a, b) { printf "%-30s %-24s %s\n", name, a, b }
	function field(name, text) { value[name, column] = text; if (column == 1) names[++n] = name }
	FNR == 1 { column++ }
	sub(/^Success rate: /, "") { sub(/,.*/, ""); field("calls that succeed", $0) }
	sub(/^Latency of successful calls: /, "") {
		p50 = p99 = $0
		field("latency of those, median", sub(/.*p50 /, "", p50) && sub(/,.*/, "", p50) ? p50 : "none")
		field("latency of those, p99", sub(/.*p99 /, "", p99) && sub(/,.*/, "", p99) ? p99 : "none")
	}
	sub(/^Attempts per call: /, "") { field("attempts per call", $0) }
	END {
		row("", "the original policy", "the recommended policy")
		for (i = 1; i <= n; i++) row(names[i], value[names[i], 1], value[names[i], 2])
	}
' "$results/original.txt" "$results/recommended.txt"
