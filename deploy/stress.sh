#!/bin/sh
# Runs the tests repeatedly under the conditions of slow and busy machines:
#
#   deploy/stress.sh [CONDITION]... [-- ARGS]
#
#   plain      no special condition
#   one        GOMAXPROCS=1
#   busy       with two busy loops per core
#   quota      with half a core, by a control group; requires root
#
# The default is all conditions. ARGS are arguments of go test, by default `-race -count 10 ./...`.
# The script continues after a failure, ends with one line per condition, and exits with 1 if a
# condition failed.
set -u
cd "$(dirname "$0")/.."

conditions=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	case $1 in
	plain | one | busy | quota) conditions="$conditions $1" ;;
	*) echo "stress.sh: $1: want plain, one, busy or quota" >&2; exit 2 ;;
	esac
	shift
done
[ $# = 0 ] || shift
export GORACE="${GORACE:-atexit_sleep_ms=0}" # otherwise each program takes a second to exit
[ $# -gt 0 ] || set -- -race -count 10 -timeout 3h ./...

tests() { go run ./deploy/gotest -- "$@"; }

busy() (
	pids=
	trap 'kill $pids 2>/dev/null' EXIT
	trap 'exit 130' INT TERM
	for _ in $(seq $((2 * $(nproc)))); do
		(while :; do :; done) &
		pids="$pids $!"
	done
	tests "$@"
)

# A control group of version 2 if its CPU controller is enabled, otherwise of version 1.
quota() (
	if grep -qw cpu /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
		group=/sys/fs/cgroup/crashlab-stress-$$
		mkdir "$group" && echo "50000 100000" >"$group/cpu.max"
	elif [ -d /sys/fs/cgroup/cpu ]; then
		group=/sys/fs/cgroup/cpu/crashlab-stress-$$
		mkdir "$group" && echo 50000 >"$group/cpu.cfs_quota_us"
	else
		false
	fi || { echo "stress.sh: quota: cannot create a control group with a CPU quota here"; exit 77; }
	trap 'rmdir "$group"' EXIT
	sh -c 'echo $$ >"$0/cgroup.procs" && exec go run ./deploy/gotest -- "$@"' "$group" "$@"
)

result=0
summary=
for condition in ${conditions:-plain one busy quota}; do
	echo "== $condition"
	case $condition in
	plain) tests "$@" ;;
	one) GOMAXPROCS=1 tests "$@" ;;
	busy) busy "$@" ;;
	quota) quota "$@" ;;
	esac
	case $? in
	0) summary="$summary$condition: passed\n" ;;
	77) summary="$summary$condition: skipped\n" ;;
	*) summary="$summary$condition: FAILED\n" result=1 ;;
	esac
done
printf "== summary\n$summary"
exit $result
