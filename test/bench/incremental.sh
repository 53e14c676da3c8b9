#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/incremental.sh [MIB]: dumps of a target of which 1 % changes in between, beside whole ones; then how long redis-server of a quarter
# of that stands still while it goes down a pipe, with --iterate and without. changed.on: and tracked on from then. Seconds of the wall clock and of processor time, medians of
# interleaved rounds. Nothing is asserted. ROUNDS=N (default 5), BENCH_DIR=folder for images.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=$(cd "${BUILD:-$TOP/build}" && pwd) || exit 2
export TOP BIN
if [ "${BENCH_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "bench: run as root" >&2; exit 2; }
	dir=$(mktemp -d "${BENCH_DIR:-/dev/shm}/cr-bench.XXXXXX") || exit 2
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 130' INT TERM
	BENCH_INSIDE=1 W=$dir "$TOP/test/lib/in-ns" "$TOP/test/bench/incremental.sh" "$@"
	exit
fi
. "$TOP/test/lib/common.sh"
mib=${1:-4096}
start target "$BIN/test/bench/target" memory "$mib"
wait_for 120 test -e target/ready || die "not ready"
p=$PID
timed() { # ROW COMMAND...
	local row=$1 TIMEFORMAT='%R %U %S' line
	shift
	line=$({ time "$@" >/dev/null 2>err; } 2>&1) || die "$row: $(cat err)"
	awk '{ print $1 }' <<<"$line" >>"wall.$row"
	awk '{ print $2 + $3 }' <<<"$line" >>"cpu.$row"
}
# A virtual machine gets memory from its host when it first writes to it, which takes longer than all else. So it has what comes next.
warm() {
	head -c "$1M" /dev/zero >warm && rm warm
}
change() {
	rm -f target/changed
	kill -USR1 "$p"
	wait_for 60 test -e target/changed || die "nothing changes"
}
for ((r = 0; r < ${ROUNDS:-5}; r++)); do
	mkdir -p img/0 img/1 img/2 img/3 img/4
	change
	warm "$mib"
	timed whole "$CR_DUMP" -t "$p" -D img/0 -R
	rm -rf img/0
	"$CR_DUMP" -t "$p" -D img/1 -R --track-mem --no-seal || die "a dump"
	change
	warm $((mib / 8))
	timed changed.on "$CR_DUMP" -t "$p" -D img/2 -R --prev-images-dir ../1 --track-mem
	change
	warm $((mib / 8))
	timed changed.tracked "$CR_DUMP" -t "$p" -D img/3 -R --prev-images-dir ../2
	change
	warm $((mib / 8))
	timed changed.compared "$CR_DUMP" -t "$p" -D img/4 -R --prev-images-dir ../2 --track=content
	rm -rf img
done
kill -9 "$p"
printf '%-24s %10s %10s %8s %8s\n' "$mib MiB, 1 % changed" wall processor wall processor
for row in whole changed.on changed.tracked changed.compared; do
	awk -v n="$row" -v w="$(median "wall.$row")" -v c="$(median "cpu.$row")" -v ww="$(median wall.whole)" -v wc="$(median cpu.whole)" \
		'BEGIN { printf "%-24s %8.3f s %8.3f s %7.1f%% %7.1f%%\n", n, w, c, 100 * w / ww, 100 * c / wc }'
done
command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null && command -v ip >/dev/null || exit 0
unshare --net -- env MIB="$((mib / 4))" bash "$TOP/test/live/redis-iterate.sh" | grep -E '^migration|^round|FAIL'
