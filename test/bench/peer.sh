#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/peer.sh [CASE[:N]...]: the same processes dumped and restored by cr-utils and by CRIU in turn, where a criu that works on
# this kernel is installed: medians of both, and how many times longer CRIU takes. Cases as in test/bench/run. ROUNDS=N (default 5),
# BENCH_DIR=folder for images, CRIU=another than that in the PATH, CRIU_OPTIONS=for it alone. Nothing is asserted.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=$(cd "${BUILD:-$TOP/build}" && pwd) || exit 2
export TOP BIN
if [ "${BENCH_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "peer: run as root" >&2; exit 2; }
	CRIU=$(command -v "${CRIU:-criu}") || { echo "peer: there is no criu here"; exit 0; }
	export CRIU
	"$CRIU" check >/dev/null 2>&1 || { echo "peer: this criu does not work on this kernel: $("$CRIU" check 2>&1 | head -1)"; exit 0; }
	dir=$(mktemp -d "${BENCH_DIR:-/dev/shm}/cr-bench.XXXXXX") || exit 2
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 130' INT TERM
	BENCH_INSIDE=1 W=$dir unshare --net -- "$TOP/test/lib/in-ns" "$TOP/test/bench/peer.sh" "$@"
	exit
fi
. "$TOP/test/lib/common.sh"
ip link set lo up || die "cannot bring the loopback device up"
timed=$BIN/test/bench/timed
read -ra criu_options <<<"${CRIU_OPTIONS:-}"
cases=(sleep threads:1000 mappings:10000 memory:256 tcp:1000 files:4000 tree:500)
[ $# = 0 ] || cases=("$@")

printf '%s, %s\n\n%-18s %12s %12s %7s %12s %12s %7s\n' "$("$CRIU" --version | head -1)" "Linux $(uname -r)" \
	case dump 'of CRIU' times restore 'of CRIU' times
for c in "${cases[@]}"; do
	kind=${c%%:*} n=
	case $c in *:*) n=${c#*:} ;; esac
	options=()
	case $kind in tcp) options=(--tcp-established) ;; esac
	rm -rf times
	mkdir times
	for ((r = 0; r < ${ROUNDS:-5}; r++)); do
		# Each its own process: CRIU restores into a time namespace.
		for who in ours theirs; do
			case $kind in
			sleep) start "t$r$who" sleep 100000; touch "t$r$who/ready"; sleep 0.1 ;;
			*) start "t$r$who" "$BIN/test/bench/target" "$kind" "$n" ;;
			esac
			wait_for 120 test -e "t$r$who/ready" || die "$c: not ready: $(cat "t$r$who/stderr")"
			rm -rf img
			mkdir img
			dump=("$CR_DUMP") restore=("$CR_RESTORE")
			[ "$who" = ours ] || dump=("$CRIU" dump -o dump.log "${criu_options[@]}") restore=("$CRIU" restore -o restore.log "${criu_options[@]}")
			"$timed" "${dump[@]}" -t "$PID" -D img "${options[@]}" 3>>"times/$who.dump" ||
				die "$c: $who: dump: $(grep -h Error img/dump.log | head -3)"
			wait_gone "$PID" 30 || die "$c is still there"
			"$timed" "${restore[@]}" -D img -d "${options[@]}" 3>>"times/$who.restore" ||
				die "$c: $who: restore: $(grep -h Error img/restore.log | head -3)"
			kill -9 "$PID"
			wait_gone "$PID" 30
			rm -rf "t$r$who"
		done
	done
	awk -v c="$c" -v a="$(median times/ours.dump)" -v b="$(median times/theirs.dump)" -v r="$(median times/ours.restore)" \
		-v s="$(median times/theirs.restore)" 'BEGIN {
		printf "%-18s %9.2f ms %9.2f ms %7.1f %9.2f ms %9.2f ms %7.1f\n", c, a / 1000, b / 1000, b / a, r / 1000, s / 1000, s / r }'
done
rm -rf img
