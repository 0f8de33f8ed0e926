#!/bin/sh
# A cluster that crashes, 50 calls through the failover client, their statistics, and the end of it all.
# It has ports of its own, so that it can run beside `make run-cluster`: DEMO_PORT=7201 and the two after it.
set -eu
cd "$(dirname "$0")/.."
port=${DEMO_PORT:-7201}

bin/supervisor --replicas 3 --base-port "$port" --restart-delay 500ms -- \
	bin/counterd --addr={addr} --replica={name} --p-crash=0.3 --service-time=uniform:10ms:50ms &
supervisor=$!
stop() {
	trap - EXIT
	kill -TERM "$supervisor" 2>/dev/null || true
	wait "$supervisor"
}
trap stop EXIT
trap 'exit 130' INT TERM

replicas="static:///127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
bin/crashlab load --target "$replicas" --wait 10s -n 50 -c 5
stop
