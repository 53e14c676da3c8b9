#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test/bench/image.sh [MiB]: compressing by two threads beside one, checking a sealed checkpoint beside cat, and a compressed one beside
# zstd -dc: medians of interleaved rounds (ROUNDS=5). Nothing is asserted.
set -u -o pipefail
export LC_ALL=C
TOP=$(cd "$(dirname "$0")/../.." && pwd)
IMAGE=$(cd "${BUILD:-$TOP/build}" && pwd)/cr-image || exit 2
mib=${1:-256}
W=$(mktemp -d "${BENCH_DIR:-/dev/shm}/cr-bench.XXXXXX") || exit 2
trap 'rm -rf "$W"' EXIT
cd "$W" || exit 2
mkdir ckpt times
"$IMAGE" encode -o ckpt/inventory.img <<<'{"magic": "INVENTORY", "entries": [{"img_version": 2, "fdinfo_per_id": true}]}'
"$IMAGE" encode -o ckpt/pagemap-7.img <<<'{"magic": "PAGEMAP", "entries": [{"pages_id": 1}, {"vaddr": 4096, "compat_nr_pages": 0, "nr_pages": '$((mib * 256))'}]}'
# Like memory: programs, text, and a quarter of pages that do not compress.
{ find /usr/bin /usr/lib /usr/share -xdev -type f -size +8k -exec cat {} + 2>/dev/null | head -c $((mib * 3 / 4))M; head -c "$mib"M /dev/urandom; } | head -c "$mib"M >ckpt/pages-1.img
now() { local t=${EPOCHREALTIME/./}; echo "$t"; }
clock() { # clock NAME COMMAND...
	local name=$1 a
	shift
	a=$(now)
	"$@" >/dev/null || [ $? = 1 ] || exit 1
	echo $(($(now) - a)) >>"times/$name"
}
median() { sort -n "times/$1" | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
for ((r = 0; r < ${ROUNDS:-5}; r++)); do
	for t in 1 2; do
		cp -r ckpt "c$t"
		clock "compress$t" "$IMAGE" compress --threads "$t" "c$t"
	done
	"$IMAGE" seal ckpt >/dev/null
	clock cat cat ckpt/pages-1.img
	clock check "$IMAGE" check ckpt
	clock check1 "$IMAGE" check --threads 1 ckpt
	clock zstd zstd -dcq c1/pages-1.img.zst
	clock checkz "$IMAGE" check c1
	clock checkz1 "$IMAGE" check --threads 1 c1
	rm -rf c1 c2
done
ratio() { awk -v a="$(median "$2")" -v b="$(median "$3")" -v m="$mib" -v n="$1" 'BEGIN { printf "%-46s %8.0f MiB/s %8.2f\n", n, m / a * 1e6, b / a }'; }
printf '%-46s %14s %8s\n' "$mib MiB of pages" speed ratio
ratio 'compress, 2 threads; to 1 thread' compress2 compress1
ratio 'check of a sealed checkpoint; to cat' check cat
ratio '  by one thread' check1 cat
ratio 'check of a compressed one; to zstd -dc' checkz zstd
ratio '  by one thread' checkz1 zstd
