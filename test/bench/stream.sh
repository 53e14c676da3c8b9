#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/stream.sh [MIB]: streams beside directories, the same memory in interleaved rounds; seconds of the wall clock, medians.
# Nothing is asserted. ROUNDS=N (default 5), BENCH_DIR=folder for images.
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
	BENCH_INSIDE=1 W=$dir "$TOP/test/lib/in-ns" "$TOP/test/bench/stream.sh" "$@"
	exit
fi
. "$TOP/test/lib/common.sh"
need zstd
mib=${1:-1024}
start target "$BIN/test/bench/target" memory "$mib"
wait_for 60 test -e target/ready || die "not ready"
p=$PID
timed() { # ROW COMMAND...
	local row=$1 TIMEFORMAT=%R
	shift
	{ time eval "$*" >/dev/null 2>&4 || die "$row"; } 4>&2 2>>"times.$row"
}
mkdir img
for ((r = 0; r < ${ROUNDS:-5}; r++)); do
	timed dump.directory '"$CR_DUMP" -t "$p" -D img -R'
	timed dump.directory.no-seal '"$CR_DUMP" -t "$p" -D img -R --no-seal'
	timed dump.directory.compressed '"$CR_DUMP" -t "$p" -D img -R --compress=1'
	timed dump.pipe '"$CR_DUMP" -t "$p" -D - -R | cat'
	timed dump.pipe.compressed '"$CR_DUMP" -t "$p" -D - -R --compress=1 | cat'
	timed dump.pipe.zstd '"$CR_DUMP" -t "$p" -D - -R | zstd -q -1 -T2'
done
rm -rf img
for ((r = 0; r < ${ROUNDS:-5}; r++)); do
	mkdir img
	"$CR_DUMP" -t "$p" -D img || die "dump"
	wait_gone "$p"
	timed restore.directory '"$CR_RESTORE" -D img -d'
	rm -rf img
	"$CR_DUMP" -t "$p" -D - >s.tar || die "dump"
	wait_gone "$p"
	timed restore.pipe 'cat s.tar | "$CR_RESTORE" -D - -d'
	rm s.tar
done
kill -9 "$p"
for f in times.*; do
	printf '%-32s %s s\n' "${f#times.}" "$(sort -n "$f" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }')"
done
