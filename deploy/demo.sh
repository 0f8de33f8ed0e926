#!/bin/sh
# A cluster that crashes, 50 calls through the failover client, their statistics, and the end of it all.
# It has ports of its own, so that it can run beside `make run-cluster`: DEMO_PORT=7201 and the two after it.
set -eu
cd "$(dirname "$0")/.."
port=${DEMO_PORT:-7201}
replicas="static:///127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"

if bin/crashlab get --target "$replicas" --rounds 1 >/dev/null 2>&1; then
	echo "demo: another cluster answers at $replicas; choose another DEMO_PORT" >&2
	exit 1
fi
bin/supervisor --replicas 3 --base-port "$port" --restart-delay 300ms -- \
	bin/counterd --addr={addr} --replica={name} --p-crash=0.3 --service-time=uniform:10ms:50ms &
supervisor=$!
stop() {
	kill -TERM "$supervisor" 2>/dev/null || true
	wait "$supervisor" || true
}
trap stop EXIT
# Ctrl-C in a terminal has reached the supervisor already, to which a second signal means haste.
trap 'trap - EXIT; wait "$supervisor" || true; exit 130' INT
trap 'exit 129' HUP
trap 'exit 143' TERM

bin/crashlab load --target "$replicas" --wait 10s -n 50 -c 2
