#!/bin/sh
# A cluster that crashes, the same 50 calls through it under two policies, and what became of them side by side.
# It has ports of its own, so that it can run beside `make run-cluster`: DEMO_PORT=7201 and the two after it.
set -eu
cd "$(dirname "$0")/.."
port=${DEMO_PORT:-7201}
replicas="static:///127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
original="--timeout 1s --rounds 3 --pause 200ms --order first --eject-after 0"
best="--timeout 0s --deadline 10s --rounds 3 --pause 0s --order least-in-flight --when-down wait --max-in-flight adaptive"

if bin/crashlab get --target "$replicas" --rounds 1 >/dev/null 2>&1; then
	echo "demo: another cluster answers at $replicas; choose another DEMO_PORT" >&2
	exit 1
fi
results=$(mktemp -d)
bin/supervisor --replicas 3 --base-port "$port" --restart-delay 300ms -- \
	bin/counterd --addr={addr} --replica={name} --p-crash=0.3 --service-time=uniform:10ms:50ms &
supervisor=$!
stop() {
	[ -n "$supervisor" ] || return 0
	kill -TERM "$supervisor" 2>/dev/null || true
	wait "$supervisor" || true
	supervisor=
}
trap 'stop; rm -rf "$results"' EXIT
# Ctrl-C in a terminal has reached the supervisor already, to which a second signal means haste.
trap 'trap - EXIT; wait "$supervisor" || true; rm -rf "$results"; exit 130' INT
trap 'exit 129' HUP
trap 'exit 143' TERM

# shellcheck disable=SC2086 # the policies are several words each
for policy in original best; do
	eval "flags=\$$policy"
	bin/crashlab load --target "$replicas" --wait 10s -n 50 -c 10 $flags >"$results/$policy"
	cat "$results/$policy"
done
stop

printf '\nThe same 50 calls, 10 at a time, at replicas that crash at every third request and are back after 300 ms:\n\n'
awk -F': ' '
	function row(name, a, b) { printf "%-28s %-40s %s\n", name, a, b }
	FNR == 1 { column++ }
	/^(Success rate|Latency of successful calls|Attempts per call): / {
		if (column == 1) names[++n] = $1
		gsub(/p90 [^,]*, |, p99\.9 .*/, "", $2) # two columns have no room for them
		value[$1, column] = $2
	}
	END {
		row("", "the original policy", "the best of ours")
		for (i = 1; i <= n; i++) row(names[i], value[names[i], 1], value[names[i], 2])
	}
' "$results/original" "$results/best"
printf '\noriginal: %s\nbest:     %s\n' "$original" "$best"
