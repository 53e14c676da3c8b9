#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/stream.sh [MIB...]: memory in and out of directories, on tmpfs and on disk, and of pipes, plain and compressed, each beside
# raw work with the same bytes in the same interleaved rounds; seconds of the wall clock, medians, and the ratio to the raw row. Nothing
# is asserted. ROUNDS=N (default 3), BENCH_DISK=folder on a disk. BIG=1: 1, 4 and (when memory allows) 8 GiB, and 200,000 mappings, for
# which vm.max_map_count is larger meanwhile. Without it: 1 GiB.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=$(cd "${BUILD:-$TOP/build}" && pwd) || exit 2
export TOP BIN
free_mib=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
if [ "${BENCH_INSIDE:-}" != 1 ]; then
	[ "$(id -u)" = 0 ] || { echo "bench: run as root" >&2; exit 2; }
	dir=$(mktemp -d "${TMPDIR:-/tmp}/cr-bench.XXXXXX") || exit 2
	disk=$(mktemp -d "${BENCH_DISK:-/var/tmp}/cr-bench.XXXXXX") || exit 2
	maps=$(cat /proc/sys/vm/max_map_count)
	trap 'rm -rf "$dir" "$disk"; echo "$maps" >/proc/sys/vm/max_map_count' EXIT
	trap 'exit 130' INT TERM
	[ "${BIG:-}" != 1 ] || [ "$maps" -ge 300000 ] || echo 300000 >/proc/sys/vm/max_map_count
	BENCH_INSIDE=1 DISK=$disk W=$dir "$TOP/test/lib/in-ns" "$TOP/test/bench/stream.sh" "$@"
	exit
fi
. "$TOP/test/lib/common.sh"
need zstd
sizes=("$@")
[ $# != 0 ] || { [ "${BIG:-}" = 1 ] && sizes=(1024 4096 8192) || sizes=(1024); }
mkdir mem && mount -t tmpfs none mem && mount -o remount,size=100% mem || die "cannot mount a tmpfs"

timed() { # ROW COMMAND...
	local row=$1 TIMEFORMAT=%R
	shift
	{ time eval "$*" >/dev/null 2>&4 || die "$row"; } 4>&2 2>>"times/$row"
}
row() { # ROW RAW-ROW
	printf '%-34s %8.3f s' "$1" "$(median "times/$1")"
	[ $# = 1 ] || awk -v a="$(median "times/$1")" -v b="$(median "times/$2")" -v n="$2" 'BEGIN { printf "   %5.2f of %s", a / b, n }'
	echo
}
begin() { # KIND N
	start target "$BIN/test/bench/target" "$1" "$2"
	wait_for 120 test -e target/ready || die "not ready"
	p=$PID
	rm -rf times
	mkdir times
}
end() { kill -9 "$p"; wait_gone "$p"; rm -rf target mem/* "${DISK:?}"/*; }
fresh() { rm -rf "$1"; mkdir "$1"; }

out() { # what is written where
	for ((r = 0; r < ${ROUNDS:-3}; r++)); do
		for place in mem "$DISK"; do
			n=$([ "$place" = mem ] && echo tmpfs || echo disk)
			fresh "$place/img"
			timed "dump.$n" '"$CR_DUMP" -t "$p" -D "$place/img" -R'
			[ "$n" = tmpfs ] || sync "$place"/img/*
			timed "raw.$n" 'dd if="$place/img/pages-1.img" of="$place/raw" bs=1M conv=fsync status=none'
			rm "$place/raw"
			[ "$n" = tmpfs ] || rm -r "$place/img"
		done
		timed dump.pipe '"$CR_DUMP" -t "$p" -D - -R | cat'
		timed raw.pipe 'cat mem/img/pages-1.img | cat'
	done
	for n in tmpfs disk pipe; do row "dump.$n" "raw.$n"; row "raw.$n"; done
}
back() { # where it comes from
	fresh mem/img
	"$CR_DUMP" -t "$p" -D - >mem/s.tar || die "dump"
	wait_gone "$p"
	tar xf mem/s.tar -C mem/img
	for ((r = 0; r < ${ROUNDS:-3}; r++)); do
		timed restore.directory '"$CR_RESTORE" -D mem/img -d'
		kill -9 "$p"; wait_gone "$p"
		timed restore.stream '"$CR_RESTORE" -D - -d <mem/s.tar'
		kill -9 "$p"; wait_gone "$p"
		timed restore.pipe 'cat mem/s.tar | "$CR_RESTORE" -D - -d'
		[ "$r" = $((${ROUNDS:-3} - 1)) ] || { kill -9 "$p"; wait_gone "$p"; }
	done
	row restore.directory
	row restore.stream restore.directory
	row restore.pipe restore.directory
}
packed() { # zstd, ours and its own
	for ((r = 0; r < ${ROUNDS:-3}; r++)); do
		fresh mem/img
		timed compress.directory '"$CR_DUMP" -t "$p" -D mem/img -R --compress=1'
		timed compress.pipe '"$CR_DUMP" -t "$p" -D - -R --compress=1 | cat'
		timed compress.pipe.one-core 'taskset -c 0 "$CR_DUMP" -t "$p" -D - -R --compress=1 | cat'
		timed zstd.-1.-T2 '"$CR_DUMP" -t "$p" -D - -R | zstd -q -1 -T2'
	done
	row compress.directory
	row compress.pipe zstd.-1.-T2
	row compress.pipe.one-core compress.pipe
}

for mib in "${sizes[@]}"; do
	# The target, its images and a copy of them: three times as much, and room for all else.
	[ $((mib * 7 / 2)) -le "$free_mib" ] || { echo "$mib MiB: only $free_mib MiB of memory are free"; continue; }
	printf '\n%d MiB that nobody can compress\n' "$mib"
	begin memory "$mib"
	out
	back
	end
done
mib=${sizes[0]}
printf '\n%d MiB like the heap of a program\n' "$mib"
begin heap "$mib"
packed
end
if [ "${BIG:-}" = 1 ]; then
	printf '\n200,000 mappings\n'
	begin mappings 200000
	for ((r = 0; r < ${ROUNDS:-3}; r++)); do
		fresh mem/img
		timed dump '"$CR_DUMP" -t "$p" -D mem/img'
		wait_gone "$p"
		timed restore '"$CR_RESTORE" -D mem/img -d'
	done
	row dump
	row restore
	end
fi
